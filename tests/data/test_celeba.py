from pathlib import Path

import pytest
from PIL import Image

from touchstone.data import celeba
from touchstone.errors import UsageError


def put(folder: Path) -> None:
    """Puts a face of each split there, 178x218: black, but for a white square of 148."""
    place = folder / "celeba" / "img_align_celeba"
    place.mkdir(parents=True)
    for number in (1, 162_770, 162_771, 182_637, 182_638, 202_599):
        picture = Image.new("RGB", (178, 218), "black")
        picture.paste("white", (15, 35, 163, 183))
        picture.save(place / f"{number:06}.jpg", quality=100)


def test_the_published_splits_and_crops(tmp_path: Path) -> None:
    put(tmp_path)
    for split in ("train", "test"):
        images = celeba.load(tmp_path, tmp_path / "cache", split, resolution=16, crop=148)
        assert images.pixels.shape == (2, 3, 16, 16)
        assert images.labels is None
        assert images.pixels.min() > 240
    wide = celeba.load(tmp_path, tmp_path / "cache", resolution=16, channels=1)
    assert wide.pixels.shape == (2, 1, 16, 16)
    assert wide.pixels[0, 0, 0].max() < 30
    assert wide.pixels[0, 0, 8, 8] > 240


def test_a_crop_beyond_the_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.crop=200"):
        celeba.load(tmp_path, tmp_path, crop=200)


def test_a_split_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "celeba" / "img_align_celeba").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"no pictures of the train split, 000001\.jpg to 162770"):
        celeba.load(tmp_path, tmp_path / "cache")
