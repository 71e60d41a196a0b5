import shutil
from pathlib import Path

import pytest

from touchstone.data import fashion_mnist, idx, kmnist, mnist
from touchstone.data.fashion_mnist import FASHION_MNIST, INSTALLED

installed = pytest.mark.skipif(
    not INSTALLED.folder.is_dir(), reason=f"{INSTALLED.folder} is not installed here"
)


@installed
def test_the_real_set_is_whole(tmp_path: Path) -> None:
    for split, count in (("train", 60_000), ("test", 10_000)):
        images = fashion_mnist.load(tmp_path, split)
        assert images.pixels.shape == (count, 1, 28, 28)
        assert images.labels is not None
        assert images.labels.bincount().tolist() == [count // 10] * 10
        # The first picture of either split.
        assert images.classes[images.labels[0]] == "Ankle boot"
    assert not list(tmp_path.iterdir())


@installed
def test_files_in_the_data_folder_come_before_the_package(tmp_path: Path) -> None:
    home = tmp_path / "fashion_mnist"
    shutil.copytree(INSTALLED.folder, home)
    images = idx.load(FASHION_MNIST, (), tmp_path, "test", 32, 1)
    assert images.pixels.shape == (10_000, 1, 32, 32)


def test_the_package_is_unpacked_without_root(tmp_path: Path) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        pytest.skip("no apt-get or dpkg-deb here")
    try:
        fashion_mnist.unpack_package(tmp_path)
    except OSError as failure:
        pytest.skip(f"Debian's archive does not answer: {failure}")
    fetched = {path.name.removesuffix(".gz") for path in tmp_path.glob("*.gz")}
    assert fetched == set(FASHION_MNIST.digests)
    (tmp_path / "fashion_mnist").mkdir()
    for path in tmp_path.glob("*.gz"):
        path.rename(tmp_path / "fashion_mnist" / path.name)
    assert len(idx.load(FASHION_MNIST, (), tmp_path, "test", 28, 1)) == 10_000


def test_the_sources_are_asked_in_the_issues_order() -> None:
    first, *mirrors, last = fashion_mnist.sources()
    assert first == INSTALLED
    assert [source.name for source in mirrors] == [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    ]
    assert last.name == "Debian's archive"


@pytest.mark.parametrize("files", [FASHION_MNIST, mnist.MNIST, kmnist.KMNIST])
def test_every_file_has_a_digest_of_its_own(files: idx.IdxSet) -> None:
    assert set(files.digests) == {name for names in idx.FILES.values() for name in names}
    assert len(set(files.digests.values())) == 4
    assert len(set(files.classes)) == 10
    assert len({len(digest) for digest in files.digests.values()}) == 1
