import pickle
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from touchstone.errors import UsageError
from touchstone.tracking.checkpoints import Checkpoints
from touchstone.tracking.reading import read


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good checkpoint."""
    path = tmp_path / "last.ckpt"
    Checkpoints().save_checkpoint({"images": 640, "weights": torch.arange(3)}, path)
    return path


@pytest.fixture
def full_disk(path: Path) -> Iterator[None]:
    """Lets no file grow beyond 4 kB: what is written stops in its middle."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    content = {
        "images": 640,
        "state_dict": {"weight": torch.randn(3, 4), "half": torch.randn(2).half()},
        "callbacks": {"best": [1.5, 640], "none": None},
    }
    path = tmp_path / "last.ckpt"
    Checkpoints().save_checkpoint(content, path)

    for loaded in (read(path), Checkpoints().load_checkpoint(str(path))):
        assert loaded.keys() == content.keys()
        assert loaded["images"] == 640
        assert loaded["callbacks"] == content["callbacks"]
        for name, tensor in content["state_dict"].items():  # type: ignore[attr-defined]
            assert torch.equal(loaded["state_dict"][name], tensor)
            assert loaded["state_dict"][name].dtype == tensor.dtype
    assert list(tmp_path.iterdir()) == [path]


def test_a_later_checkpoint_takes_the_place_of_the_former(path: Path) -> None:
    Checkpoints().save_checkpoint({"images": 1280}, path)

    assert read(path) == {"images": 1280}
    assert list(path.parent.iterdir()) == [path]


def test_a_name_beside_it_keeps_the_former(path: Path) -> None:
    # The best checkpoint is a second name of the last; writing the next must not change it.
    best = path.with_name("best.ckpt")
    best.hardlink_to(path)
    Checkpoints().save_checkpoint({"images": 1280}, path)

    assert (read(best)["images"], read(path)["images"]) == (640, 1280)


def test_a_disk_without_room_leaves_the_former(path: Path) -> None:
    path.with_name(f".{path.name}.partial").symlink_to("/dev/full")

    with pytest.raises(OSError, match=r"No space left.*last\.ckpt"):
        Checkpoints().save_checkpoint({"images": 1280, "weights": torch.zeros(100_000)}, path)
    assert read(path)["images"] == 640
    assert list(path.parent.iterdir()) == [path]


def test_a_disk_that_fills_up_leaves_the_former(path: Path, full_disk: None) -> None:
    with pytest.raises(OSError, match=r"File too large.*last\.ckpt"):
        Checkpoints().save_checkpoint({"images": 1280, "weights": torch.zeros(100_000)}, path)
    assert read(path)["images"] == 640
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_pickled_leaves_the_former(path: Path) -> None:
    with pytest.raises(Exception, match="lambda"):
        Checkpoints().save_checkpoint({"images": 1280, "function": lambda: None}, path)
    assert read(path)["images"] == 640
    assert list(path.parent.iterdir()) == [path]


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    mark, path = tmp_path / "executed", tmp_path / "bomb.ckpt"
    torch.save({"images": 640, "state_dict": Bomb(mark)}, path)

    with pytest.raises(UsageError, match=r"bomb\.ckpt: refused, since it holds more than tensors"):
        read(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the bomb is one
    assert mark.exists()


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    mark, path = tmp_path / "executed", tmp_path / "bomb.ckpt"
    path.write_bytes(pickle.dumps({"images": 640, "state_dict": Bomb(mark)}, protocol=2))

    with pytest.raises(UsageError, match=r"bomb\.ckpt: damaged, or no checkpoint"):
        read(path)
    assert not mark.exists()


def test_damaged_files_are_refused(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (b"", b"images: 640\n", content[:middle], content[:-1]):
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match=r"last\.ckpt: damaged, or no checkpoint"):
            read(path)


def test_what_is_no_checkpoint_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.ckpt"
    contents: list[Any] = [{"state_dict": {}}, [1, 2], torch.zeros(2)]
    for content in contents:
        torch.save(content, path)
        with pytest.raises(UsageError, match=r"other\.ckpt: not a checkpoint of touchstone"):
            read(path)


def test_a_folder_and_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{tmp_path}: damaged, or no checkpoint"):
        read(tmp_path)
    with pytest.raises(UsageError, match=r"last\.ckpt: there is no such checkpoint"):
        read(tmp_path / "last.ckpt")


def test_removing(path: Path) -> None:
    Checkpoints().remove_checkpoint(path)
    assert not path.exists()
    Checkpoints().remove_checkpoint(path)
