"""A printer and a scanner, as what they do to a pattern of black and white symbols.

The channel of copy-detection patterns: ink spreads and its edges waver, paper and ink are mottled,
and what a scanner sees of it is blurred, turned, shifted, sharpened and noisy. Lengths are in
symbols; light is 0 for none and 1 for all that paper throws back.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from touchstone.draws import derive
from touchstone.symbols import PIXELS, enlarged

PLATE = 6  # points of a printing plate across a symbol
MARGIN = 2  # symbols of white around a pattern
CHUNK = 500  # items that are printed at once


@dataclass(frozen=True)
class Press:
    """A printer.

    Attributes:
        spread: standard deviation of the Gaussian by which ink spreads.
        waver: deviation of the noise that moves the edges, in shares of the ink's amount.
        length: over which that noise, and the mottle, are alike.
        gain: amount of ink from which on a place is dark; under 0.5 dark grows (dot gain).
        softness: width of the passage from white to dark, in the same shares.
        mottle: deviation of the darkness of ink.
        paper: deviation of the light of paper.
        darkness: share of the light that ink takes.
    """

    spread: float = 0.40
    waver: float = 0.12
    length: float = 0.35
    gain: float = 0.40
    softness: float = 0.10
    mottle: float = 0.04
    paper: float = 0.02
    darkness: float = 0.92


@dataclass(frozen=True)
class Scanner:
    """What takes the pictures.

    Attributes:
        spread: standard deviation of its blur.
        rotation: deviation of the angle, in degrees.
        shift: deviation of the place, in either direction.
        sharpening: factor of what an unsharp mask of one pixel adds.
        noise: deviation of the noise of a pixel.
    """

    spread: float = 0.50
    rotation: float = 0.2
    shift: float = 0.15
    sharpening: float = 1.0
    noise: float = 0.02


def printed(ink: Tensor, press: Press, scanner: Scanner, seed: int) -> Tensor:
    """Prints plates and takes a picture of each.

    Every item has its own gain (deviation 0.03), spreads in print (logarithm, 0.06) and in capture
    (0.15), mottle (0.3), sharpening (0.25), gamma (0.12), noise (0.35), contrast (0.08) and
    brightness (0.03).

    Args:
        ink: amounts in [0, 1] at the points of a plate of S by S symbols, `(N, 6 S, 6 S)`.
        press: which prints.
        scanner: which takes the pictures.
        seed: of all that differs from item to item.

    Returns:
        Pictures, uint8 `(N, 3 S, 3 S)`.
    """
    pictures = []
    for number, part in enumerate(torch.split(ink, CHUNK)):
        generator = torch.Generator().manual_seed(derive(seed, "print", number))
        pictures.append(_captured(_paper(part, press, generator), scanner, generator))
    return torch.cat(pictures)


def plate(symbols: Tensor) -> Tensor:
    """The ink of symbols, bool `(N, S, S)`, at the points of a plate, floats `(N, 6 S, 6 S)`."""
    return enlarged(symbols.float(), PLATE)


def _paper(ink: Tensor, press: Press, generator: torch.Generator) -> Tensor:
    """The light that printed paper throws back, `(N, H, W)`, with its margin."""
    ink = pad(ink, [MARGIN * PLATE] * 4)
    each = _deviations(len(ink), generator)

    def mottled() -> Tensor:
        noise = torch.randn(ink.shape, generator=generator)
        smooth = _blurred(noise, torch.full((1, 1, 1), press.length * PLATE))
        return smooth / smooth.std((1, 2), keepdim=True)

    amount = _blurred(ink, press.spread * PLATE * each(0.06).exp()) + press.waver * mottled()
    dark = torch.sigmoid((amount - press.gain - each(0.03)) / press.softness)
    dark = dark * (1 + press.mottle * each(0.3).exp() * mottled())
    return (1 + press.paper * mottled()) * (1 - press.darkness * dark)


def _captured(light: Tensor, scanner: Scanner, generator: torch.Generator) -> Tensor:
    """The pictures, uint8 `(N, 3 S, 3 S)`, of printed paper `(N, H, W)`."""
    number, height, _ = light.shape
    symbols = height // PLATE - 2 * MARGIN
    each = _deviations(number, generator)
    light = _blurred(light, scanner.spread * PLATE * each(0.15).exp())

    angle, across, down = (
        each(deviation)[:, 0, 0]
        for deviation in (math.radians(scanner.rotation), scanner.shift, scanner.shift)
    )
    # In `grid_sample`'s units, the paper with its margin goes from -1 to 1.
    whole = symbols + 2 * MARGIN
    cosine, sine = angle.cos() * symbols / whole, angle.sin() * symbols / whole
    rows = [(cosine, -sine, 2 * across / whole), (sine, cosine, 2 * down / whole)]
    placed = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    side = symbols * PIXELS
    grid = affine_grid(placed, [number, 1, side, side], align_corners=False)
    picture = grid_sample(light[:, None], grid, align_corners=False)[:, 0]

    picture = picture + scanner.sharpening * each(0.25).exp() * (picture - _smoothed(picture))
    picture = picture.clamp(min=1e-3) ** each(0.12).exp()
    picture = (picture - 0.5) * (1 + each(0.08)) + 0.5 + each(0.03)
    noise = torch.randn(picture.shape, generator=generator)
    picture = picture + scanner.noise * each(0.35).exp() * noise
    return (255 * picture).round().clamp(0, 255).to(torch.uint8)


class _deviations:
    """Draws a number for each item from N(0, deviation²), `(N, 1, 1)`."""

    def __init__(self, number: int, generator: torch.Generator) -> None:
        self._number, self._generator = number, generator

    def __call__(self, deviation: float) -> Tensor:
        return deviation * torch.randn(self._number, 1, 1, generator=self._generator)


def _blurred(fields: Tensor, spread: Tensor) -> Tensor:
    """Fields `(N, H, W)` through Gaussians of these deviations `(N, 1, 1)`, in points."""
    height, width = fields.shape[1:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    transfer = torch.exp(-2 * (torch.pi * spread) ** 2 * (down**2 + across**2))
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(fields) * transfer, s=(height, width))
    return blurred


def _smoothed(pictures: Tensor) -> Tensor:
    """Pictures `(N, H, W)` through a Gaussian of one pixel, mirrored at the border."""
    reach = 4
    padded = pad(pictures[:, None], [reach] * 4, mode="reflect")[:, 0]
    blurred = _blurred(padded, torch.ones(1, 1, 1))
    return blurred[:, reach:-reach, reach:-reach]
