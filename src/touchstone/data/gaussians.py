"""Gaussians in the plane, on a ring or on a grid: what a generator forgets can be counted."""

from dataclasses import dataclass

import torch
from torch import Tensor

from touchstone.data.images import check_split
from touchstone.data.points import Points
from touchstone.draws import Draws, derive
from touchstone.errors import UsageError

SIZES = {"train": 100_000, "test": 10_000}


@dataclass(frozen=True)
class Arrangement:
    """Gaussians of one deviation, in the units of their paper.

    Attributes:
        means: `(K, 2)`.
        deviation: the standard deviation of each, in either direction.
        scale: what points are divided by, so that the outermost means lie at 0.8 and all points
            in [-1, 1], as samples do.
    """

    means: Tensor
    deviation: float
    scale: float


def ring() -> Arrangement:
    """Eight on a circle of radius 2, of deviation 0.02 (Metz et al. 2017, appendix A).

    Twice the size of that of Lin et al. 2018, section 4.1: radius 1, variance 1e-4.
    """
    angles = torch.arange(8) * torch.pi / 4
    return Arrangement(2 * torch.stack([angles.cos(), angles.sin()], 1), 0.02, scale=2.5)


def grid() -> Arrangement:
    """Twenty-five at (-4 + 2i, -4 + 2j), of variance 0.0025 (Lin et al. 2018, section 4.1)."""
    places = torch.arange(-4.0, 5.0, 2.0)
    return Arrangement(torch.cartesian_prod(places, places), 0.05, scale=5)


ARRANGEMENTS = {"ring": ring, "grid": grid}


def load(split: str = "train", arrangement: str = "ring") -> Points:
    """Draws 100,000 points (`train`) or 10,000 (`test`), always the same; the label is the mode.

    As many of each mode, or but for one. Points are in the paper's units, over 2.5 on the ring
    and over 5 on the grid: within [-1, 1]. Figures that count deviations do not change by it.

    Args:
        split: `train` or `test`.
        arrangement: `ring` or `grid`.

    Raises:
        UsageError: no such split or arrangement.
    """
    if arrangement not in ARRANGEMENTS:
        names = " or ".join(ARRANGEMENTS)
        raise UsageError(f"data.arrangement={arrangement}: it has to be {names}")
    check_split(split)
    chosen, number = ARRANGEMENTS[arrangement](), SIZES[split]
    modes = torch.arange(number) % len(chosen.means)
    noise = Draws(derive(0, "gaussians", split)).normal(number, 2)
    points = (chosen.means[modes] + chosen.deviation * noise) / chosen.scale
    return Points(points, modes, tuple(str(mode) for mode in range(len(chosen.means))))
