"""Kuzushiji-MNIST (Clanuwat et al. 2018): 70,000 cursive Japanese characters, 28x28, grey."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from touchstone.data import idx
from touchstone.data.images import Images


def md5_as_published(content: bytes) -> str:
    """MD5 of the gzipped file as it is published, for a set whose publisher states no other hash.

    Raises:
        Damaged: the file is not gzipped, so that it cannot be compared.
    """
    if idx.uncompressed(content) is content:
        raise idx.Damaged("it is not gzipped, and only the published .gz can be checked")
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


KMNIST = idx.IdxSet(
    name="kmnist",
    classes=("お", "き", "す", "つ", "な", "は", "ま", "や", "れ", "を"),
    digest=md5_as_published,
    digests={
        "train-images-idx3-ubyte": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte": "7320c461ea6c1c855c0b718fb2a4b134",
    },
)


def load(
    folder: str | Path, split: str = "train", resolution: int = 28, channels: int = 1
) -> Images:
    """Loads 60,000 images (`train`) or 10,000 (`test`) from the data folder or the publisher.

    Args:
        folder: the data folder of all sets.
        split: `train` or `test`.
        resolution: pixels a side; other than 28 is resized bilinearly.
        channels: 1, or 3 for the grey repeated.

    Raises:
        UsageError: neither has the files, whole and unharmed.
    """
    return idx.load(KMNIST, _mirrors(), Path(folder), split, resolution, channels)


def _mirrors() -> Iterator[idx.Fetch]:
    # Imported when it is needed: it takes seconds.
    from torchvision import datasets

    yield from idx.mirrors(KMNIST, datasets.KMNIST.mirrors)
