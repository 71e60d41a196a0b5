"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 70,000 pictures of clothes, 28x28, grey."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from touchstone.data import idx
from touchstone.data.images import Images

FASHION_MNIST = idx.IdxSet(
    name="fashion_mnist",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    digest=idx.sha256_uncompressed,
    digests={
        "train-images-idx3-ubyte": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
)
PACKAGE = "dataset-fashion-mnist"
INSTALLED = idx.Place(f"Debian's package {PACKAGE}", Path("/usr/share/datasets/fashion-mnist"))


def load(
    folder: str | Path, split: str = "train", resolution: int = 28, channels: int = 1
) -> Images:
    """Loads 60,000 images (`train`) or 10,000 (`test`).

    From the first of these that answers: the data folder, Debian's package where it is installed,
    torchvision's mirrors, Debian's archive.

    Args:
        folder: the data folder of all sets.
        split: `train` or `test`.
        resolution: pixels a side; other than 28 is resized bilinearly, the clothes filling the
            picture as before.
        channels: 1, or 3 for the grey repeated.

    Raises:
        UsageError: no source has the files, whole and unharmed.
    """
    return idx.load(FASHION_MNIST, sources(), Path(folder), split, resolution, channels)


def sources() -> Iterator[idx.Place | idx.Fetch]:
    """The places to look in after the data folder, in this order."""
    yield INSTALLED
    # Imported when it is needed: it takes seconds.
    from torchvision.datasets import FashionMNIST

    yield from idx.mirrors(FASHION_MNIST, FashionMNIST.mirrors)
    yield idx.Fetch("Debian's archive", unpack_package)


def unpack_package(place: Path) -> None:
    """Brings the files of Debian's package into `place`, with no need to be root.

    Raises:
        OSError: there is no apt-get or dpkg-deb here, or the archive does not answer.
    """
    _run(place, "apt-get", "-q", "-o", "Acquire::http::Timeout=20", "download", PACKAGE)
    [package] = place.glob("*.deb")
    _run(place, "dpkg-deb", "-x", package.name, "package")
    for path in place.glob("package/usr/share/datasets/fashion-mnist/*.gz"):
        path.rename(place / path.name)


def _run(place: Path, *command: str) -> None:
    done = subprocess.run(
        command,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise OSError(f"{' '.join(command[:1] + command[-2:])}: {lines[-1]}")
