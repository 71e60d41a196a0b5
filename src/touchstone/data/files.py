"""Files that appear whole or not at all, however many jobs ask for them at once."""

import fcntl
import os
import shutil
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 20  # without a byte, before a server counts as silent


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Holds the making of `path` for this job alone; other jobs on the machine wait their turn.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Gives an empty folder inside `folder`, from which what is complete is renamed; then gone."""
    place = folder / f".unfinished-{uuid.uuid4().hex}"
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def download(url: str, path: Path) -> None:
    """Downloads `url` to `path`, with progress on stderr.

    Raises:
        OSError: no answer, silence for 20 s, or fewer bytes than were announced.
    """
    from tqdm import tqdm

    request = urllib.request.Request(url, headers={"User-Agent": "touchstone"})
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:
        length = response.headers["Content-Length"]
        announced = None if length is None else int(length)
        with (
            path.open("wb") as file,
            tqdm(total=announced, desc=path.name, unit="B", unit_scale=True) as progress,
        ):
            while chunk := response.read(1 << 16):
                file.write(chunk)
                progress.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if announced is not None and path.stat().st_size != announced:
        raise OSError(f"{path.stat().st_size} bytes came of {announced}")


def say(message: str) -> None:
    """Tells the user, on stderr."""
    print(message, file=sys.stderr, flush=True)
