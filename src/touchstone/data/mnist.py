"""MNIST (LeCun, Bottou, Bengio, Haffner 1998): 70,000 handwritten digits, 28x28, grey."""

from collections.abc import Iterator
from pathlib import Path

from touchstone.data import idx
from touchstone.data.images import Images

MNIST = idx.IdxSet(
    name="mnist",
    classes=tuple("0123456789"),
    digest=idx.sha256_uncompressed,
    digests={
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
)


def load(
    folder: str | Path, split: str = "train", resolution: int = 28, channels: int = 1
) -> Images:
    """Loads 60,000 images (`train`) or 10,000 (`test`) from the data folder or the mirrors.

    Args:
        folder: the data folder of all sets.
        split: `train` or `test`.
        resolution: pixels a side; other than 28 is resized bilinearly.
        channels: 1, or 3 for the grey repeated.

    Raises:
        UsageError: neither has the files, whole and unharmed.
    """
    return idx.load(MNIST, _mirrors(), Path(folder), split, resolution, channels)


def _mirrors() -> Iterator[idx.Fetch]:
    # Imported when it is needed: it takes seconds.
    from torchvision import datasets

    yield from idx.mirrors(MNIST, datasets.MNIST.mirrors)
