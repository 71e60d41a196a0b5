from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from touchstone.data.pictures import cached, decode
from touchstone.errors import UsageError


def grey(value: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("L", size, value)


def whole(pixels: NDArray[np.uint8]) -> list[int]:
    """A flat picture's one colour."""
    colours = np.unique(pixels.reshape(len(pixels), -1), axis=1)
    assert colours.shape[1] == 1
    return [int(value) for value in colours[:, 0]]


def test_the_central_square_is_taken(tmp_path: Path) -> None:
    picture = Image.new("L", (24, 8), 0)
    picture.paste(200, (8, 0, 16, 8))
    picture.save(tmp_path / "wide.png")
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "tall.png")
    for name in ("wide.png", "tall.png"):
        assert whole(decode(tmp_path / name, 4, 1)) == [200]
    assert whole(decode(tmp_path / "wide.png", 4, 3, crop=2)) == [200, 200, 200]
    with pytest.raises(ValueError, match="24x8 is smaller than the crop of 9"):
        decode(tmp_path / "wide.png", 4, 1, crop=9)


def test_shrinking_averages_a_chequered_board(tmp_path: Path) -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(tmp_path / "board.png")
    small = decode(tmp_path / "board.png", 8, 1)
    assert np.abs(small.astype(int) - 127.5).max() < 3


def test_a_picture_is_set_upright(tmp_path: Path) -> None:
    picture = Image.new("L", (8, 8), 0)
    picture.paste(255, (0, 0, 8, 4))  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise is needed: what is above goes right
    picture.save(tmp_path / "turned.png", exif=exif)
    upright = decode(tmp_path / "turned.png", 8, 1)[0]
    assert (upright[:, :4] == 0).all()
    assert (upright[:, 4:] == 255).all()


@pytest.mark.parametrize(
    ("picture", "name", "colour"),
    [
        (grey(77), "a.png", [77, 77, 77]),
        (Image.new("1", (8, 8), 1), "a.png", [255, 255, 255]),
        (Image.new("RGB", (8, 8), (10, 20, 30)), "a.png", [10, 20, 30]),
        (Image.new("RGB", (8, 8), (10, 20, 30)).quantize(2), "a.png", [10, 20, 30]),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 0)), "a.png", [255, 255, 255]),
        (Image.new("RGBA", (8, 8), (0, 100, 255, 51)), "a.png", [204, 224, 255]),
        (Image.new("LA", (8, 8), (10, 0)), "a.png", [255, 255, 255]),
        (Image.fromarray(np.full((8, 8), 0x8080, np.uint16)), "a.png", [128, 128, 128]),
        (Image.fromarray(np.full((8, 8), 40_000, np.int32)), "a.tif", [156, 156, 156]),
        (Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "a.tif", [0, 255, 255]),
        (Image.new("YCbCr", (8, 8), (100, 128, 128)), "a.jpg", [100, 100, 100]),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_every_mode_becomes_eight_bits(
    tmp_path: Path, picture: Image.Image, name: str, colour: list[int]
) -> None:
    picture.save(tmp_path / name)
    assert whole(decode(tmp_path / name, 4, 3)) == colour
    luma = round(sum(w * c for w, c in zip((0.299, 0.587, 0.114), colour, strict=True)))
    assert whole(decode(tmp_path / name, 4, 1)) == [luma]


def test_transparent_palettes_lie_on_white(tmp_path: Path) -> None:
    grey(10).convert("P").save(tmp_path / "a.gif", transparency=10)
    assert whole(decode(tmp_path / "a.gif", 4, 3)) == [255, 255, 255]


def test_a_picture_of_floats_is_refused(tmp_path: Path) -> None:
    Image.new("F", (8, 8), 0.5).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="whose range is not known"):
        decode(tmp_path / "a.tif", 4, 1)


def test_a_format_that_runs_a_program_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(OSError, match="cannot identify image file"):
        decode(tmp_path / "a.png", 4, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five flat pictures, of which the third and the fifth are broken."""
    place = tmp_path / "pictures"
    place.mkdir()
    for number in range(5):
        grey(40 * number, (9 + number, 9)).save(place / f"{number}.png")
    content = (place / "2.png").read_bytes()
    (place / "2.png").write_bytes(content[: len(content) // 2])
    (place / "4.png").write_text("not a picture")
    return place


NAMES = [f"{number}.png" for number in range(5)]


def take(folder: Path, resolution: int = 4) -> tuple[torch.Tensor, list[str]]:
    return cached(folder, NAMES, folder.parent / "cache", resolution=resolution, channels=1)


def entries(folder: Path) -> list[Path]:
    return sorted((folder.parent / "cache" / "pictures").glob("[!.]*"))


def test_broken_pictures_are_skipped_counted_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for attempt in range(2):  # made, then read
        pixels, kept = take(folder)
        assert kept == ["0.png", "1.png", "3.png"]
        assert pixels.shape == (3, 1, 4, 4)
        assert [whole(picture.numpy()) for picture in pixels] == [[0], [40], [120]]
        error = capsys.readouterr().err
        assert "2 of 5 pictures cannot be read and are skipped:\n  2.png: " in error
        assert "\n  4.png: cannot identify image file" in error
        assert ("decoding pictures" in error) == (attempt == 0)


def test_an_entry_is_made_once_for_what_it_is_made_from(folder: Path) -> None:
    take(folder)
    [entry] = entries(folder)
    made = (entry / "pixels.npy").stat().st_mtime_ns
    take(folder)
    assert (entry / "pixels.npy").stat().st_mtime_ns == made
    take(folder, resolution=8)
    assert len(entries(folder)) == 2
    grey(9).save(folder / "4.png")
    pixels, kept = take(folder)
    assert len(entries(folder)) == 3
    assert kept == ["0.png", "1.png", "3.png", "4.png"]
    assert whole(pixels[3].numpy()) == [9]


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("pixels.npy", lambda content: content[:-1]),
        ("pixels.npy", lambda content: content[:-1] + b"\x55"),
        ("pixels.npy", lambda content: b""),
        ("record.json", lambda content: content[:-5]),
        ("record.json", lambda content: b"{}"),
    ],
)
def test_a_damaged_entry_is_made_anew(
    folder: Path, file: str, damage: "type[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    before = take(folder)[0].clone()
    [entry] = entries(folder)
    (entry / file).write_bytes(damage((entry / file).read_bytes()))
    assert torch.equal(take(folder)[0], before)
    assert "is damaged, and is made anew" in capsys.readouterr().err
    assert entries(folder) == [entry]


def test_an_unfinished_entry_is_not_read_and_none_is_left_behind(folder: Path) -> None:
    take(folder)
    assert not list((folder.parent / "cache" / "pictures").glob(".unfinished*"))


def test_pictures_are_left_as_large_as_they_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    for number, values in enumerate(pixels):
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    kept = cached(tmp_path, NAMES[:3], tmp_path / "cache", resolution=None, channels=None)[0]
    assert torch.equal(kept, torch.from_numpy(pixels).permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("pictures", "channels"),
    [
        ([grey(1), Image.new("1", (8, 8)), Image.fromarray(np.ones((8, 8), np.uint16))], 1),
        ([grey(1), Image.new("LA", (8, 8), (1, 1))], 1),
        ([grey(1), Image.new("RGB", (8, 8))], 3),
        ([Image.new("RGB", (8, 8)).quantize(2)], 3),
    ],
)
def test_grey_stays_grey_where_all_are(
    tmp_path: Path, pictures: list[Image.Image], channels: int
) -> None:
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    names = NAMES[: len(pictures)]
    for resolution, side in ((None, 8), (4, 4)):
        pixels, _ = cached(
            tmp_path, names, tmp_path / "cache", resolution=resolution, channels=None
        )
        assert pixels.shape == (len(pictures), channels, side, side)


def test_a_turned_picture_has_the_size_it_is_seen_in(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    grey(50, (8, 6)).save(tmp_path / "0.png", exif=exif)
    grey(60, (6, 8)).save(tmp_path / "1.png")
    pixels, kept = cached(
        tmp_path, NAMES[:2], tmp_path / "cache", resolution=None, channels=None, setting="fake"
    )
    assert kept == NAMES[:2]
    assert pixels.shape == (2, 1, 8, 6)


def test_several_sizes_are_counted(folder: Path) -> None:
    grey(9, (10, 9)).save(folder / "2.png")
    for attempt in range(2):
        with pytest.raises(UsageError) as refused:
            cached(
                folder, NAMES, folder.parent / "cache", resolution=None, channels=1, setting="real"
            )
        assert str(refused.value) == (
            f"real={folder}: the pictures have several sizes (2 of 10x9, 1 of 9x9, 1 of 12x9); "
            "resolution=9 would bring the central square of each to one"
        ), attempt
        assert not entries(folder)


def test_no_good_picture_at_all_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="2 of 2 pictures cannot be read"):
        cached(folder, ["2.png", "4.png"], folder.parent / "cache", resolution=4, channels=1)
    with pytest.raises(UsageError, match=r"^fake=.*: 1 of 1 pictures cannot be read"):
        cached(
            folder,
            ["4.png"],
            folder.parent / "cache",
            resolution=None,
            channels=None,
            setting="fake",
        )
    assert not entries(folder)


def test_a_cache_that_cannot_be_written_is_named(folder: Path) -> None:
    (folder.parent / "cache").write_text("a file")
    with pytest.raises(UsageError, match=r"cache_dir=.*cannot be written"):
        take(folder)
