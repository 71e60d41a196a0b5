"""Rows and columns of samples with words beside them."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from touchstone.data.images import quantize
from touchstone.pictures import picture

SIDE = 96  # pixels that a sample's height is enlarged to come close to, by a whole factor
GAP = 4
TEXT = 16  # pixels of the font
LINE = TEXT + 2 * GAP


def table(
    samples: Tensor,
    columns: int,
    *,
    beside: Sequence[str] = (),
    above: Sequence[str] = (),
    below: Sequence[str] = (),
) -> Image.Image:
    """Lays samples out in rows.

    Args:
        samples: `(N, C, H, W)` in [-1, 1], C being 1 or 3.
        columns: samples a row.
        beside: of each row, what stands at its left.
        above: of each column, what stands over it.
        below: of each sample, what stands under it.
    """
    tiles = [_tile(sample) for sample in quantize(samples)]
    width, height = tiles[0].width + GAP, tiles[0].height + GAP + (LINE if below else 0)
    left = GAP + max((round(_font().getlength(words)) + 2 * GAP for words in beside), default=0)
    top = GAP + (LINE if above else 0)
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (left + columns * width, top + rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (left + column * width, top + row * height))
    for row, words in enumerate(beside):
        middle = top + row * height + tiles[0].height // 2
        draw.text((left - 2 * GAP, middle), words, "black", _font(), anchor="rm")
    for column, words in enumerate(above):
        middle = left + column * width + tiles[0].width // 2
        draw.text((middle, top - LINE // 2), words, "black", _font(), anchor="mm")
    for number, words in enumerate(below):
        row, column = divmod(number, columns)
        middle = left + column * width + tiles[0].width // 2
        under = top + row * height + tiles[0].height + LINE // 2
        draw.text((middle, under), words, "black", _font(), anchor="mm")
    return sheet


def in_line(*parts: Image.Image | str) -> Image.Image:
    """Sets pictures, and signs between them, side by side, each in the middle of the height."""
    blocks = [_sign(part) if isinstance(part, str) else part for part in parts]
    height = max(block.height for block in blocks)
    sheet = Image.new("RGB", (sum(block.width for block in blocks), height), "white")
    left = 0
    for block in blocks:
        sheet.paste(block, (left, (height - block.height) // 2))
        left += block.width
    return sheet


def stacked(*parts: Image.Image | str) -> Image.Image:
    """Sets pictures, and headings over them, one below the other."""
    blocks = [_heading(part) if isinstance(part, str) else part for part in parts]
    width = max(block.width for block in blocks)
    sheet = Image.new("RGB", (width, sum(block.height for block in blocks)), "white")
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    return sheet


def _tile(pixels: Tensor) -> Image.Image:
    tile = picture(pixels)
    factor = max(1, round(SIDE / tile.height))
    return tile.resize((tile.width * factor, tile.height * factor), Image.Resampling.NEAREST)


def _sign(words: str) -> Image.Image:
    sign = Image.new("RGB", (2 * LINE, 2 * LINE), "white")
    ImageDraw.Draw(sign).text((LINE, LINE), words, "black", _font(2 * TEXT), anchor="mm")
    return sign


def _heading(words: str) -> Image.Image:
    heading = Image.new("RGB", (round(_font().getlength(words)) + 2 * GAP, 2 * LINE), "white")
    ImageDraw.Draw(heading).text((GAP, 2 * LINE - GAP), words, "black", _font(), anchor="ls")
    return heading


def _font(size: int = TEXT) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
