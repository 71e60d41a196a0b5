"""Samples as pictures: grids, and animations of them."""

from collections.abc import Iterable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def picture(pixels: Tensor) -> Image.Image:
    """Makes a picture of uint8 pixels `(C, H, W)`: grey or RGB; others' channels side by side."""
    if len(pixels) != 3:
        return Image.fromarray(torch.cat(list(pixels.cpu()), dim=1).numpy())
    return Image.fromarray(pixels.cpu().permute(1, 2, 0).numpy())


def grid(pixels: Tensor, columns: int, *, gap: int = 2, least: int = 560) -> Image.Image:
    """Lays uint8 images `(N, C, H, W)` out in rows, enlarged by a whole factor to be looked at.

    Args:
        pixels: the images; the last row is filled up with white.
        columns: images a row.
        gap: white space between images, in pixels of the images.
        least: the width, in pixels of the picture, that images are enlarged to come close to.
    """
    if pixels.shape[1] not in (1, 3):
        pixels = torch.cat(torch.split(pixels, 1, dim=1), dim=3)
    number, channels, height, width = pixels.shape
    rows = -(-number // columns)
    canvas = torch.full(
        (channels, rows * (height + gap) + gap, columns * (width + gap) + gap), 255
    ).byte()
    for index, image in enumerate(pixels.cpu()):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        canvas[:, top : top + height, left : left + width] = image
    factor = max(1, round(least / canvas.shape[2]))
    result = picture(canvas)
    return result.resize((result.width * factor, result.height * factor), Image.Resampling.NEAREST)


def save_animation(frames: Iterable[Image.Image], path: Path, *, milliseconds: int = 60) -> None:
    """Writes pictures of one size as a GIF that repeats."""
    first, *others = frames
    first.save(path, save_all=True, append_images=others, duration=milliseconds, loop=0)
