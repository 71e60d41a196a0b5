import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from touchstone.data import cifar
from touchstone.data.cifar import CIFAR10, CIFAR100, Archive
from touchstone.errors import UsageError

PIXELS = torch.randint(0, 256, (10, 3, 32, 32), dtype=torch.uint8, generator=torch.manual_seed(0))
LABELS = torch.arange(10, dtype=torch.uint8).flip(0)
NAMES = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def made(like: Archive, folder: Path, url: str = "") -> Archive:
    """Writes an archive in the published form, two pictures a member, and states its MD5."""
    members = [name for names in like.splits.values() for name in names]
    path = folder / like.name / like.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        contents = {like.class_names: "\n".join([*NAMES, ""]).encode()}
        for number, name in enumerate(members):
            contents[name] = b"".join(
                b"\x07" * (like.label_bytes - 1)
                + bytes([int(LABELS[index])])
                + PIXELS[index].numpy().tobytes()
                for index in (2 * number % 10, (2 * number + 1) % 10)
            )
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return replace(
        like, md5=hashlib.md5(path.read_bytes()).hexdigest(), url=url or path.resolve().as_uri()
    )


@pytest.mark.parametrize(("like", "count"), [(CIFAR10, 10), (CIFAR100, 2)])
def test_a_split_is_read_from_the_archive(tmp_path: Path, like: Archive, count: int) -> None:
    images = cifar.load(made(like, tmp_path), tmp_path, "train", 32, 3)
    assert torch.equal(images.pixels, PIXELS[:count])
    assert images.labels is not None
    assert torch.equal(images.labels, LABELS[:count].long())
    assert images.classes == tuple(NAMES)
    assert cifar.load(made(like, tmp_path / "b"), tmp_path / "b", "test", 16, 1).pixels.shape == (
        2,
        1,
        16,
        16,
    )


def test_the_archive_is_downloaded_once_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = made(CIFAR10, tmp_path / "published")
    for _ in range(2):
        assert len(cifar.load(archive, tmp_path / "data", "train", 32, 3)) == 10
    assert capsys.readouterr().err.count("fetching from file:") == 1


def test_a_damaged_archive_is_never_read(tmp_path: Path) -> None:
    archive = made(CIFAR10, tmp_path, url=(tmp_path / "gone.tar.gz").as_uri())
    path = tmp_path / "cifar10" / "gone.tar.gz"
    (tmp_path / "cifar10" / "cifar-10-binary.tar.gz").rename(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError) as caught:
        cifar.load(archive, tmp_path, "train", 32, 3)
    message = str(caught.value)
    assert f"{path} is not there, or damaged" in message
    assert "gone.tar.gz: " in message
    assert f"MD5 {archive.md5}" in message
    assert "by hand" in message


def test_a_damaged_download_is_not_kept(tmp_path: Path) -> None:
    archive = replace(made(CIFAR10, tmp_path / "published"), md5="0" * 32)
    with pytest.raises(UsageError, match="what came is damaged"):
        cifar.load(archive, tmp_path / "data", "train", 32, 3)
    assert not list((tmp_path / "data" / "cifar10").glob("*.gz"))
