from pathlib import Path

import pytest
import torch
from PIL import Image

from touchstone.data import Images, image_folder
from touchstone.errors import UsageError


def put(root: Path, *names: str) -> Path:
    """Puts pictures there, the first black, each next one lighter by one."""
    for value, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (10 + value % 3, 12), value).save(root / name)
    return root


def load(root: Path | str | None, split: str = "train") -> Images:
    cache = Path(root).parent / "cache" if root else "cache"
    return image_folder.load(root, cache, split, resolution=4, channels=1)


def values(images: Images) -> list[int]:
    return images.pixels[:, 0, 0, 0].tolist()


def test_the_sub_folders_are_the_classes(tmp_path: Path) -> None:
    root = put(
        tmp_path / "pets", *(f"{kind}/{n}.png" for kind in ("cat", "dog") for n in range(30))
    )
    train, test = load(root), load(root, "test")
    assert train.classes == test.classes == ("cat", "dog")
    for images in (train, test):
        assert images.labels is not None
        assert images.labels.tolist() == [value // 30 for value in values(images)]
    assert sorted(values(train) + values(test)) == list(range(60))


def test_one_picture_outside_takes_the_classes_away(tmp_path: Path) -> None:
    root = put(tmp_path / "pets", "cat/a.png", "dog/b.png", "c.png")
    images = load(root)
    assert images.labels is None
    assert images.classes == ()


def test_a_skipped_picture_takes_its_label_along(tmp_path: Path) -> None:
    root = put(tmp_path / "a", *(f"train/{kind}/{kind}.png" for kind in "abc"), "test/c/z.png")
    (root / "train" / "a" / "a.png").write_bytes(b"")
    images = load(root)
    assert values(images) == [1, 2]
    assert images.labels is not None
    assert images.labels.tolist() == [1, 2]
    assert images.classes == ("a", "b", "c")


def test_folders_for_the_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    root = put(tmp_path / "a", "train/a.png", "train/b.png", "test/c.png", "other/d.png")
    assert values(load(root)) == [0, 1]
    assert values(load(root, "test")) == [2]
    assert load(root).labels is None


def test_the_test_split_is_a_tenth_that_stays(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(200)]
    before = values(load(put(tmp_path / "a", *names), "test"))
    assert 10 <= len(before) <= 30
    assert len(load(tmp_path / "a")) + len(before) == 200
    (tmp_path / "a" / "0.png").unlink()
    put(tmp_path / "a" / "more", "x.png")
    after = values(load(tmp_path / "a", "test"))
    assert set(before) - {0} <= set(after)


def test_what_is_no_picture_by_name_or_hidden_is_passed_over(tmp_path: Path) -> None:
    root = put(tmp_path / "a", "b.png", "c.JPG", ".hidden.png", ".thumbs/d.png")
    (root / "notes.txt").write_text("notes")
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "again").symlink_to(root)
    (tmp_path / "elsewhere").mkdir()
    put(tmp_path / "elsewhere", "e.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    assert sorted(image_folder.find(root)) == ["b.png", "c.JPG", "linked/e.png"]


def test_pictures_of_many_sizes_become_one(tmp_path: Path) -> None:
    root = put(tmp_path / "a", "train/a.png", "train/b.png", "train/c.png", "test/d.png")
    images = image_folder.load(root, tmp_path / "cache", "train", resolution=6, channels=3)
    assert images.pixels.shape == (3, 3, 6, 6)
    assert images.pixels.dtype == torch.uint8


def test_no_path_says_how_to_give_one() -> None:
    with pytest.raises(UsageError, match=r"write data\.path=FOLDER"):
        load(None)


def test_a_path_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file.png").write_text("text")
    (tmp_path / "empty").mkdir()
    for name, reason in [
        ("missing", "there is no such folder"),
        ("file.png", "it is not a folder"),
        ("empty", "no pictures in it"),
    ]:
        with pytest.raises(UsageError, match=f"data.path={tmp_path / name}: {reason}"):
            load(tmp_path / name)


def test_only_broken_pictures_are_refused_by_name(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "a" / "train").mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / "train" / f"{number}.png").write_text("text")
    (tmp_path / "a" / "test").mkdir()
    with pytest.raises(UsageError, match=r"3 of 3 pictures.*\n  train/0\.png: cannot identify"):
        load(tmp_path / "a")


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    root = put(tmp_path / "a", "train/a.png", "test/notes.png")
    (root / "test" / "notes.png").unlink()
    with pytest.raises(UsageError, match="none of its 1 pictures falls to the test split"):
        load(root, "test")
