"""The idx files of the MNIST family: where they come from, what they have to be, how they read.

The format is that of LeCun's page on MNIST: two zero bytes, the type (8: unsigned byte), the
number of dimensions, each dimension as a big-endian int32, then the values.
"""

import gzip
import hashlib
import math
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from touchstone.data.files import alone, download, say, scratch
from touchstone.data.images import Images, check_settings, fit
from touchstone.errors import UsageError

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class Damaged(ValueError):
    """A file whose content is not what it has to be."""


# What a source that does not answer, or a file that is not right, raises.
_FAILURES = (OSError, EOFError, ValueError, zlib.error, HTTPException, subprocess.SubprocessError)


@dataclass(frozen=True)
class IdxSet:
    """A data set of four idx files.

    Attributes:
        name: the set's name and that of its own folder in the data folder.
        classes: the classes' names.
        digest: the hash of a file's content, as it lies there, in hex.
        digests: file names without `.gz`, and the digest that each has to have.
    """

    name: str
    classes: tuple[str, ...]
    digest: Callable[[bytes], str]
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """A source whose files lie in a folder of this machine.

    Attributes:
        name: how a message names it.
        folder: where the files lie, as they are or gzipped.
    """

    name: str
    folder: Path


@dataclass(frozen=True)
class Fetch:
    """A source that has to be fetched.

    Attributes:
        name: how a message names it.
        into: brings the set's files into an empty folder, or raises OSError.
    """

    name: str
    into: Callable[[Path], None]


def sha256_uncompressed(content: bytes) -> str:
    """SHA-256 of a file's content, uncompressed if need be: the same for every way of packing."""
    return hashlib.sha256(uncompressed(content)).hexdigest()


def uncompressed(content: bytes) -> bytes:
    """A file's content without its gzip, if it has one."""
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def load(
    files: IdxSet,
    sources: Iterable[Place | Fetch],
    folder: Path,
    split: str,
    resolution: int,
    channels: int,
) -> Images:
    """Loads a split from the first of the sources that has its files, whole and unharmed.

    What had to be fetched is kept in the set's own folder.

    Args:
        files: the set.
        sources: where to look, in this order, after the set's own folder; each is asked for only
            when those before it have failed.
        folder: the data folder of all sets.
        split: `train` or `test`.
        resolution: pixels a side; the pictures are resized where they have another.
        channels: 1, or 3 for the grey repeated.

    Raises:
        UsageError: no source has the files; the message lists each with its reason.
    """
    check_settings(split, resolution, channels)
    home = Path(folder) / files.name
    images, labels = _obtain(files, chain([Place("the data folder", home)], sources), home, split)
    return Images(fit(images[:, None], resolution, channels), labels.long(), files.classes)


def _obtain(
    files: IdxSet, sources: Iterable[Place | Fetch], home: Path, split: str
) -> tuple[Tensor, Tensor]:
    tried = []
    for source in sources:
        try:
            if isinstance(source, Place):
                return _read(files, source.folder, split)
            return _fetch(files, source, home, split)
        except _FAILURES as failure:
            reason = " ".join(str(failure).split()) or type(failure).__name__
            tried.append(f"{source.name}: {reason}")
            if isinstance(failure, Damaged):
                say(f"{files.name}: {tried[-1]}")
    raise UsageError(
        "\n  ".join([f"data={files.name}: no source has the {split} files. Tried:", *tried])
        + f"\nPut {' and '.join(f'{name}.gz' for name in FILES[split])} into {home} by hand, "
        "or set data_dir to a folder that has them."
    )


def _fetch(files: IdxSet, source: Fetch, home: Path, split: str) -> tuple[Tensor, Tensor]:
    with alone(home):
        try:
            return _read(files, home, split)  # another job fetched it while this one waited
        except _FAILURES:
            say(f"{files.name}: fetching from {source.name}")
        with scratch(home) as place:
            source.into(place)
            tensors = _read(files, place, split)
            for path in place.iterdir():
                if path.name.removesuffix(".gz") in files.digests:
                    path.replace(home / path.name)
        return tensors


def _read(files: IdxSet, folder: Path, split: str) -> tuple[Tensor, Tensor]:
    images, labels = (_read_file(files, folder, name) for name in FILES[split])
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise Damaged(
            f"{folder}: images of shape {tuple(images.shape)} do not go with "
            f"labels of shape {tuple(labels.shape)}"
        )
    return images, labels


def _read_file(files: IdxSet, folder: Path, name: str) -> Tensor:
    failure: Exception = FileNotFoundError(f"{folder / name}[.gz] is not there")
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            try:
                content = path.read_bytes()
                if files.digest(content) != files.digests[name]:
                    raise Damaged("its content is not the data set's")
                return parse(uncompressed(content))
            except _FAILURES as reason:
                failure = Damaged(f"{path} is damaged: {reason}")
    raise failure


def parse(content: bytes) -> Tensor:
    """Reads an uncompressed idx file of unsigned bytes: uint8, of the shape that its header states.

    Raises:
        Damaged: it is no such file, or it is shorter or longer than its header states.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise Damaged("it is not an idx file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise Damaged("it ends within its header")
    shape = struct.unpack(f">{dimensions}i", content[4:start])
    if len(content) - start != math.prod(shape):
        raise Damaged(f"it has {len(content) - start} values, {math.prod(shape)} are stated")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).view(shape)


def mirrors(files: IdxSet, urls: Sequence[str]) -> list[Fetch]:
    """The sources that serve the set's four gzipped files below a URL."""

    def into(url: str, place: Path) -> None:
        for name in files.digests:
            download(f"{url.rstrip('/')}/{name}.gz", place / f"{name}.gz")

    return [Fetch(url, partial(into, url)) for url in urls]
