"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 60,000 small photographs, 32x32, colour.

Read from the published binary version, which holds bytes and no code, out of its archive.
"""

import hashlib
import tarfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch

from touchstone.data.files import alone, download, say, scratch
from touchstone.data.images import Images, check_settings, fit
from touchstone.errors import UsageError

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Archive:
    """A published archive.

    Attributes:
        name: the set's name and that of its own folder in the data folder.
        url: where it is published.
        md5: its MD5, in hex, as published.
        splits: the split's members, in order.
        class_names: the member that names the classes, one a line.
        label_bytes: bytes before a picture; the last is the label.
    """

    name: str
    url: str
    md5: str
    splits: dict[str, tuple[str, ...]]
    class_names: str
    label_bytes: int


CIFAR10 = Archive(
    name="cifar10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    splits={
        "train": tuple(f"cifar-10-batches-bin/data_batch_{batch}.bin" for batch in range(1, 6)),
        "test": ("cifar-10-batches-bin/test_batch.bin",),
    },
    class_names="cifar-10-batches-bin/batches.meta.txt",
    label_bytes=1,
)
CIFAR100 = Archive(
    name="cifar100",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    splits={"train": ("cifar-100-binary/train.bin",), "test": ("cifar-100-binary/test.bin",)},
    class_names="cifar-100-binary/fine_label_names.txt",
    label_bytes=2,
)


def load_cifar10(
    folder: str | Path, split: str = "train", resolution: int = 32, channels: int = 3
) -> Images:
    """Loads 50,000 images (`train`) or 10,000 (`test`) of 10 classes; see `load`."""
    return load(CIFAR10, folder, split, resolution, channels)


def load_cifar100(
    folder: str | Path, split: str = "train", resolution: int = 32, channels: int = 3
) -> Images:
    """Loads 50,000 images (`train`) or 10,000 (`test`) of 100 classes; see `load`."""
    return load(CIFAR100, folder, split, resolution, channels)


def load(
    archive: Archive, folder: str | Path, split: str, resolution: int, channels: int
) -> Images:
    """Loads a split from the archive in the data folder, downloaded first where it is not there.

    Args:
        archive: the set.
        folder: the data folder of all sets.
        split: `train` or `test`.
        resolution: pixels a side; other than 32 is resized bilinearly.
        channels: 3, or 1 for the luma.

    Raises:
        UsageError: the archive cannot be had, or it is damaged.
    """
    check_settings(split, resolution, channels)
    path = Path(folder) / archive.name / archive.url.rpartition("/")[2]
    try:
        _obtain(archive, path)
        with tarfile.open(path) as members:
            records = b"".join(_member(members, name) for name in archive.splits[split])
            classes = tuple(_member(members, archive.class_names).decode().split())
    except (OSError, HTTPException, tarfile.TarError) as failure:
        raise UsageError(
            f"data={archive.name}: the archive cannot be had. Tried:\n"
            f"  the data folder: {path} is not there, or damaged\n"
            f"  {archive.url}: {failure}\n"
            f"Put {path.name} (MD5 {archive.md5}) into {path.parent} by hand, "
            "or set data_dir to a folder that has it."
        ) from failure
    table = torch.frombuffer(bytearray(records), dtype=torch.uint8)
    table = table.view(-1, archive.label_bytes + _PIXELS)
    pixels = table[:, archive.label_bytes :].reshape(-1, 3, 32, 32)
    labels = table[:, archive.label_bytes - 1].long()
    return Images(fit(pixels, resolution, channels), labels, classes)


def _obtain(archive: Archive, path: Path) -> None:
    if _whole(archive, path):
        return
    with alone(path):
        if _whole(archive, path):
            return  # another job fetched it while this one waited
        say(f"{archive.name}: fetching from {archive.url}")
        with scratch(path.parent) as place:
            download(archive.url, place / path.name)
            if not _whole(archive, place / path.name):
                raise OSError(f"what came is damaged: its MD5 is not {archive.md5}")
            (place / path.name).replace(path)


def _whole(archive: Archive, path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    if digest.hexdigest() == archive.md5:
        return True
    say(f"{archive.name}: {path} is damaged: its MD5 is not {archive.md5}")
    return False


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    try:
        file = archive.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise OSError(f"the archive has no {name}")
    return file.read()
