"""A spiral in the plane, the section of a Swiss roll (Marsland 2014, chapter 6)."""

import torch

from touchstone.data.images import check_split
from touchstone.data.points import Points
from touchstone.draws import Draws, derive

SIZES = {"train": 100_000, "test": 10_000}
NOISE = 0.25  # the deviation in either direction, as in the toys of Gulrajani et al. 2017
SCALE = 16.0  # what points are divided by: the outer end, at a radius of 14.1, comes to 0.88


def load(split: str = "train") -> Points:
    """Draws 100,000 points (`train`) or 10,000 (`test`), always the same, without labels.

    (t cos t, t sin t) with t uniform on [1.5 pi, 4.5 pi], and noise, all over 16: within [-1, 1].

    Args:
        split: `train` or `test`.

    Raises:
        UsageError: no such split.
    """
    check_split(split)
    draws, number = Draws(derive(0, "swiss_roll", split)), SIZES[split]
    angle = 1.5 * torch.pi * (1 + 2 * draws.uniform(number))
    spiral = angle[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    return Points((spiral + NOISE * draws.normal(number, 2)) / SCALE, None, ())
