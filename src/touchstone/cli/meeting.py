"""How the processes of a job, started by torchrun or srun, come to the same run.

The first one makes the run and writes its path under the job's name; the others wait for that. A
job that is started again under its name, for a process of it died or its time was up, finds its
run there and goes on with it.
"""

import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from touchstone import job
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from touchstone.tracking.run import Run

PATIENCE = 300  # seconds: on a cluster the first process can be long in coming


def appointed(runs_dir: Path, words: Sequence[str]) -> "Run | None":
    """The run that this job has, or will have; None where it is for this process to make it.

    Args:
        runs_dir: which all processes have to see.
        words: what makes it the same training, the same in all processes.

    Raises:
        UsageError: the first process has named none in time, or the name is another job's.
    """
    from touchstone.tracking.run import Run

    place = _place(runs_dir)
    if place is None:
        if job.leads() and not job.nameless():
            return None
        raise UsageError(
            "processes that others started have to know their job's name: start them by "
            "torchrun --standalone, by torchrun --rdzv-id=NAME, or by srun"
        )
    until = time.monotonic() + PATIENCE
    while True:
        path, its_words = _read(place)
        if path is not None and (path / "config.yaml").is_file():
            if its_words == list(words):
                return Run(path)
            if job.leads():
                raise UsageError(
                    f"the job {place.name} is already that of {path}, with other words: "
                    "choose another name (torchrun --rdzv-id=NAME)"
                )
        if job.leads():
            return None
        if time.monotonic() > until:
            raise UsageError(
                f"runs_dir={runs_dir}: the job's first process has begun no run in it for "
                f"{PATIENCE} s; all machines have to see the same folder"
            )
        time.sleep(0.1)


def appoint(run: "Run", runs_dir: Path, words: Sequence[str]) -> None:
    """Tells the other processes of this job which run it is, wherever that lies."""
    place = _place(runs_dir)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.partial")
        partial.write_text(json.dumps({"run": str(run.path.resolve()), "words": list(words)}))
        partial.replace(place)


def _read(place: Path) -> tuple[Path | None, list[str]]:
    with contextlib.suppress(OSError, json.JSONDecodeError):
        content = json.loads(place.read_text())
        return Path(content["run"]), content["words"]
    return None, []


def _place(runs_dir: Path) -> Path | None:
    name = job.name()
    return None if name is None else runs_dir / ".jobs" / name
