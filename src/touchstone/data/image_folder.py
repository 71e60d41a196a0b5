"""A user's own pictures, in a folder, at any resolution and in any mode."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePath

import torch

from touchstone.data.images import SPLITS, Images, check_settings
from touchstone.data.pictures import SUFFIXES, cached
from touchstone.errors import UsageError


def load(
    path: str | Path | None,
    folder: str | Path,
    split: str = "train",
    resolution: int = 64,
    channels: int = 3,
) -> Images:
    """Loads the pictures of a folder and of the folders in it, each resized once into a cache.

    The central square of a picture is resized. Where every picture lies in a sub-folder, the
    sub-folders' names are the classes. The splits are the folders `train/` and `test/` where both
    are there; otherwise the test split is a tenth of the pictures, chosen by the hash of their
    names, so that a picture stays in its split when others come or go.

    Args:
        path: the folder of pictures.
        folder: the cache.
        split: `train` or `test`.
        resolution: pixels a side.
        channels: 1 or 3.

    Raises:
        UsageError: there is no such folder, or no picture in it that can be decoded, or the cache
            cannot be written. Single broken pictures are skipped and reported on stderr.
    """
    check_settings(split, resolution, channels)
    if path is None:
        raise UsageError("data.path is not set: write data.path=FOLDER, your folder of pictures")
    root = Path(str(path)).expanduser()  # true is a name as well
    if not root.exists():
        raise UsageError(f"data.path={path}: there is no such folder")
    if not root.is_dir():
        raise UsageError(f"data.path={path}: it is not a folder; give the folder of your pictures")
    names = sorted(find(root))
    if not names:
        raise UsageError(
            f"data.path={path}: no pictures in it; their names end in {', '.join(sorted(SUFFIXES))}"
        )
    parted = all((root / part).is_dir() for part in SPLITS)
    if parted:
        names = [name for name in names if PurePath(name).parts[0] in SPLITS]
    chosen = [name for name in names if (split_of(name, parted)) == split]
    if not chosen:
        raise UsageError(
            f"data.path={path}: none of its {len(names)} pictures falls to the {split} split; "
            "add pictures, or put them into folders train/ and test/ in it"
        )
    # Over both splits, so that a class has the same label in each.
    classes = tuple(sorted({_class_of(name, parted) for name in names}))
    pixels, kept = cached(root, chosen, Path(folder), resolution=resolution, channels=channels)
    if "" in classes:
        return Images(pixels, None, ())
    labels = torch.tensor([classes.index(_class_of(name, parted)) for name in kept])
    return Images(pixels, labels, classes)


def find(root: Path) -> Iterator[str]:
    """The paths, in `root`, of the files below it that are named as pictures; hidden ones apart."""
    seen = set()
    for place, folders, files in os.walk(root, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(place, name)) not in seen  # noqa: PTH118
        ]
        for name in files:
            if not name.startswith(".") and PurePath(name).suffix.lower() in SUFFIXES:
                yield (Path(place) / name).relative_to(root).as_posix()


def split_of(name: str, parted: bool) -> str:
    if parted:
        return PurePath(name).parts[0]
    digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()
    return "test" if int.from_bytes(digest) % 10 == 0 else "train"


def _class_of(name: str, parted: bool) -> str:
    """The sub-folder that a picture lies in, below its split's folder; empty for none."""
    parts = PurePath(name).parts[1:] if parted else PurePath(name).parts
    return parts[0] if len(parts) > 1 else ""
