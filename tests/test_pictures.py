from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from touchstone.pictures import grid, picture, save_animation

WHITE = 255


def test_a_grey_picture() -> None:
    pixels = torch.tensor([[[0, 1, 2], [253, 254, 255]]], dtype=torch.uint8)
    made = picture(pixels)

    assert (made.mode, made.size) == ("L", (3, 2))
    assert numpy.array_equal(numpy.asarray(made), pixels[0].numpy())


def test_a_coloured_picture() -> None:
    pixels = torch.arange(18, dtype=torch.uint8).view(3, 2, 3)
    made = picture(pixels)

    assert (made.mode, made.size) == ("RGB", (3, 2))
    assert made.getpixel((0, 0)) == (0, 6, 12)
    assert made.getpixel((2, 1)) == (5, 11, 17)


def test_a_grid_by_hand() -> None:
    pixels = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1, 1).repeat(1, 1, 1, 2)
    made = grid(pixels, columns=2, gap=1, least=1)

    w = WHITE
    assert numpy.asarray(made).tolist() == [
        [w, w, w, w, w, w, w],
        [w, 10, 10, w, 20, 20, w],
        [w, w, w, w, w, w, w],
        [w, 30, 30, w, w, w, w],
        [w, w, w, w, w, w, w],
    ]


def test_a_coloured_grid_without_a_gap() -> None:
    pixels = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    made = numpy.asarray(grid(pixels, columns=2, gap=0, least=1))

    assert made.shape == (2, 4, 3)
    assert numpy.array_equal(made[:, :2], pixels[0].permute(1, 2, 0).numpy())
    assert numpy.array_equal(made[:, 2:], pixels[1].permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("columns", "resolution", "least", "side"),
    [
        (10, 32, 560, 684),  # 342 wide, doubled
        (10, 28, 560, 604),
        (8, 64, 560, 530),  # nearly wide enough
        (1, 28, 256, 256),  # 32 with its gaps, eight times
        (1, 300, 256, 304),  # never made smaller
    ],
)
def test_a_grid_is_enlarged_by_a_whole_factor(
    columns: int, resolution: int, least: int, side: int
) -> None:
    pixels = torch.zeros(columns**2, 1, resolution, resolution, dtype=torch.uint8)

    assert grid(pixels, columns, least=least).size == (side, side)


def test_enlarging_repeats_pixels() -> None:
    pixels = torch.tensor([0, 100, 200, 50], dtype=torch.uint8).view(1, 1, 2, 2)
    made = numpy.asarray(grid(pixels, 1, gap=0, least=6))

    assert numpy.array_equal(made, pixels[0, 0].numpy().repeat(3, axis=0).repeat(3, axis=1))


def test_an_animation_repeats_for_ever(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), level) for level in (0, 90, 180)]
    path = tmp_path / "walk.gif"
    save_animation(iter(frames), path, milliseconds=50)

    with Image.open(path) as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]
        assert animation.info["loop"] == 0
        for number, level in enumerate((0, 90, 180)):
            animation.seek(number)
            assert animation.info["duration"] == 50
            assert animation.convert("L").getpixel((2, 2)) == level


def test_two_channels_lie_side_by_side() -> None:
    pixels = torch.arange(2 * 3 * 4, dtype=torch.uint8).view(2, 3, 4)
    made = picture(pixels)
    assert made.size == (8, 3)
    assert made.mode == "L"
    assert [made.getpixel((x, 1)) for x in range(8)] == [4, 5, 6, 7, 16, 17, 18, 19]
    assert grid(pixels[None], 1, gap=0, least=8).size == (8, 3)
