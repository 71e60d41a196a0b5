"""The channel of print and scan, its parts against what they are defined to be."""

from dataclasses import asdict, replace

import pytest
import torch

from touchstone.data.printed_codes import LEVELS
from touchstone.data.printing import Press, Scanner, plate, printed

# Nothing varies but what every item has of its own, and the mean over items is known.
STILL = Press(spread=1e-6, waver=0, mottle=0, paper=0)
STRAIGHT = Scanner(spread=1e-6, rotation=0, shift=0, sharpening=0, noise=0)


def test_a_plate_has_six_points_a_symbol() -> None:
    points = plate(torch.tensor([[[True, False], [False, True]]]))
    assert points.shape == (1, 12, 12)
    assert points[0, :6, :6].eq(1).all()
    assert points[0, :6, 6:].eq(0).all()


def test_without_blur_a_picture_shows_the_symbols() -> None:
    symbols = torch.rand(64, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    pictures = printed(plate(symbols), STILL, STRAIGHT, seed=1).float() / 255
    centres = pictures[:, 1::3, 1::3]
    # Paper throws back 1 - 0.92 / (1 + e^4) = 0.983, ink 1 - 0.92 / (1 + e^-6) = 0.082; gamma,
    # contrast and brightness of the items, of mean 1, 1 and 0, move single ones.
    assert abs(float(centres[~symbols].mean()) - 0.983) < 0.03
    assert abs(float(centres[symbols].mean()) - 0.082) < 0.03


def test_more_gain_darkens() -> None:
    symbols = plate(torch.rand(50, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5)
    light = [
        float(printed(symbols, Press(gain=gain), Scanner(), seed=1).float().mean())
        for gain in (0.3, 0.4, 0.5)
    ]
    assert light[0] < light[1] < light[2]


def test_a_print_of_its_own_for_every_seed_and_item() -> None:
    same = plate(torch.ones(2, 8, 8) * (torch.arange(8) % 2))
    pictures = printed(same, Press(), Scanner(), seed=1)
    assert torch.equal(pictures, printed(same, Press(), Scanner(), seed=1))
    assert not torch.equal(pictures, printed(same, Press(), Scanner(), seed=2))
    assert not torch.equal(pictures[0], pictures[1])


def test_noise_and_blur_are_as_large_as_said() -> None:
    white = torch.zeros(200, 48, 48)
    still = Scanner(spread=1e-6, rotation=0, shift=0, sharpening=0, noise=0.02)
    pictures = printed(white + 0.5, STILL, still, seed=3).float() / 255
    deviations = pictures.std((1, 2))
    # Each item's own noise is 0.02 exp(N(0, 0.35²)), whose median is 0.02.
    assert abs(float(deviations.median()) - 0.02) < 0.003
    # A single dark symbol of 6 points, blurred by a Gaussian of 0.5 symbols: along a line through
    # its centre the light lost has the variance 0.5² + 1/12 in symbols, where nothing clips.
    soft = Press(spread=1e-6, waver=0, mottle=0, paper=0, softness=100, gain=0, darkness=1)
    ink = torch.zeros(400, 90, 90)
    ink[:, 42:48, 42:48] = 200
    seen = Scanner(spread=0.5, rotation=0, shift=0, sharpening=0, noise=0)
    blank = printed(torch.zeros_like(ink), soft, seen, seed=4).float()
    lost = (blank - printed(ink, soft, seen, seed=4).float()).clamp(min=0).mean(0)
    places = (torch.arange(45) - 22) / 3
    profile = lost.sum(0)
    variance = float((profile * places**2).sum() / profile.sum())
    # The items' own spreads, exp(N(0, 0.15²)), raise 0.5² by e^(2 · 0.15²), and a bilinear pixel
    # adds a little.
    assert abs(variance - (0.25 * 1.046 + 1 / 12)) < 0.05


def test_the_numbers_of_the_channel() -> None:
    assert asdict(Press()) == {
        "spread": 0.40,
        "waver": 0.12,
        "length": 0.35,
        "gain": 0.40,
        "softness": 0.10,
        "mottle": 0.04,
        "paper": 0.02,
        "darkness": 0.92,
    }
    assert asdict(Scanner()) == {
        "spread": 0.50,
        "rotation": 0.2,
        "shift": 0.15,
        "sharpening": 1.0,
        "noise": 0.02,
    }
    levels = {
        "coarse": (0.40, 0.50, 0.12),
        "medium": (0.35, 0.42, 0.11),
        "fine": (0.33, 0.40, 0.10),
    }
    assert levels.keys() == LEVELS.keys()
    for level, (spread, blur, waver) in levels.items():
        assert LEVELS[level] == (Press(spread=spread, waver=waver), Scanner(spread=blur))


@pytest.mark.parametrize("part", [*asdict(Press()), *(f"scanner {key}" for key in vars(Scanner()))])
def test_each_part_of_the_channel_changes_the_picture(part: str) -> None:
    ink = plate(torch.rand(20, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5)
    press, scanner = Press(), Scanner()
    if part.startswith("scanner "):
        key = part.removeprefix("scanner ")
        scanner = replace(scanner, **{key: 2 * getattr(scanner, key)})
    else:
        press = replace(press, **{part: 0.5 * getattr(press, part)})
    whole = printed(ink, Press(), Scanner(), seed=1).float()
    # The same draws: nothing but the part itself makes a difference.
    assert (printed(ink, press, scanner, seed=1).float() - whole).abs().mean() > 0.3
