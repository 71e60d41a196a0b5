"""The geometric transformations that a network can be taught to tell (Golan & El-Yaniv 2018).

arXiv 1805.10917, section 5.2: the 72 compositions of a horizontal flip or none, a translation by a
quarter of the side or none in each direction, and 0 to 3 quarter turns. Each maps places to places,
so that nothing is interpolated; what comes in at an edge is the picture's reflection there.
"""

import torch
from torch import Tensor

NUMBER = 2 * 3 * 3 * 4


def transformed(samples: Tensor, which: Tensor) -> Tensor:
    """Transforms each sample by its own transformation: flipped, then moved, then turned.

    Args:
        samples: squares `(N, C, H, H)`.
        which: int64 `(N,)` of 0 to 71; 0 leaves a sample as it is.

    Raises:
        ValueError: samples that are no squares.
    """
    *_, height, side = samples.shape
    if height != side:
        raise ValueError(f"samples of {height}x{side} cannot be turned: they have to be squares")
    which = which.view(-1, 1, 1)
    turns, right, down, flips = which % 4, which // 4 % 3, which // 12 % 3, which // 36
    # Where each pixel comes from is found from the last step back to the first.
    place = torch.arange(side, device=samples.device)
    rows, columns = place[:, None], place[None, :]
    for turn in (1, 2, 3):
        rows, columns = (
            torch.where(turns >= turn, columns, rows),
            torch.where(turns >= turn, side - 1 - rows, columns),
        )
    rows, columns = _moved(rows, down, side), _moved(columns, right, side)
    columns = torch.where(flips == 1, side - 1 - columns, columns)
    sources = (rows * side + columns).flatten(1)[:, None].expand(-1, samples.shape[1], -1)
    return samples.flatten(2).gather(2, sources).view_as(samples)


def _moved(places: Tensor, direction: Tensor, side: int) -> Tensor:
    """The places before a step of a quarter of the side: 0 none, 1 backwards, 2 forwards."""
    step = torch.where(direction == 2, -1, direction) * (side // 4)
    moved = places + step
    moved = torch.where(moved < 0, -1 - moved, moved)
    return torch.where(moved >= side, 2 * side - 1 - moved, moved)
