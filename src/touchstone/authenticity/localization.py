"""How well maps find what is wrong, where the truth is known place by place."""

from dataclasses import dataclass

import torch
from torch import Tensor

from touchstone.draws import derive
from touchstone.errors import UsageError

CHANCE = 0.5  # of a map that knows nothing


@dataclass(frozen=True)
class Localization:
    """How well maps find what is wrong, beside `CHANCE`.

    Attributes:
        auroc: of all places of all items together, in [0, 1]: `localization_auroc`.
        interval: of it, by items drawn again.
        by_item: the mean over items of each one's own AUROC, for which the scale of a map does not
            count; over those items that have both right and wrong places.
        by_item_interval: of it.
        items: how many there are of those.
    """

    auroc: float
    interval: tuple[float, float]
    by_item: float
    by_item_interval: tuple[float, float]
    items: int


def localization_auroc(maps: Tensor, truth: Tensor) -> float:
    """The probability that a wrong place is higher on its map than a right one is on its own.

    All places of all items together: a place that ties with another is half above it; 0.5 is
    chance.

    Args:
        maps: `(N, H, W)`, of pixels or of symbols, higher where an item looks more wrong.
        truth: bool `(N, H, W)`, true where it is wrong.

    Raises:
        UsageError: shapes that differ, a map that is not all numbers, or all places right or wrong.
    """
    above, wrong, right = _pairs(maps, truth)
    return float(above.sum() / (wrong.sum() * right.sum()))


def localization(
    maps: Tensor, truth: Tensor, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Localization:
    """Says how well maps find what is wrong, with percentile intervals of the bootstrap.

    Efron & Tibshirani 1993, chapter 13. The places of an item are not independent: whole items are
    drawn again, with replacement. With `M_ij` the pairs of a wrong place of item i above a right
    place of item j, and each item drawn `w_i` times, the AUROC is `wᵀMw / (Σ w_i p_i Σ w_j q_j)`.

    Args:
        maps: as of `localization_auroc`.
        truth: as of `localization_auroc`.
        draws: how many times.
        seed: of the draws.
        level: of the intervals.

    Raises:
        UsageError: as `localization_auroc`; or no item has both right and wrong places.
    """
    above, wrong, right = _pairs(maps, truth)
    both = (wrong > 0) & (right > 0)
    if not both.any():
        raise UsageError("localization: no item has both right and wrong places")
    own = above.diagonal()[both] / (wrong * right)[both]

    times = _drawn(len(maps), draws, seed)
    pooled = ((times @ above) * times).sum(dim=1) / ((times @ wrong) * (times @ right))
    times = _drawn(len(own), draws, seed)
    means = (times @ own) / len(own)
    return Localization(
        auroc=float(above.sum() / (wrong.sum() * right.sum())),
        interval=_percentiles(pooled, level),
        by_item=float(own.mean()),
        by_item_interval=_percentiles(means, level),
        items=len(own),
    )


def _pairs(maps: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts the pairs of places, float64.

    Returns:
        M, how often a wrong place of item i is above a right place of item j, a tie being half,
        `(N, N)`; how many places of each item are wrong, p, and how many are right, q, `(N,)`.
    """
    if maps.shape != truth.shape or truth.dtype != torch.bool:
        raise UsageError(
            f"localization: maps are {tuple(maps.shape)}, and the truth has to be so many bools: "
            f"it is {tuple(truth.shape)} of {truth.dtype}"
        )
    if maps.isnan().any():
        raise UsageError("localization: the maps are not all numbers")
    values, wrong = maps.flatten(1), truth.flatten(1)
    if not wrong.any() or wrong.all():
        raise UsageError("localization: it needs places that are wrong and places that are right")
    item = torch.arange(len(maps), device=maps.device)[:, None].expand_as(wrong)[wrong]
    theirs = values[wrong]
    above = torch.zeros(len(maps), len(maps), dtype=torch.float64, device=maps.device)
    for number, (row, mask) in enumerate(zip(values, wrong, strict=True)):
        others = row[~mask].sort().values
        below = torch.searchsorted(others, theirs)
        not_above = torch.searchsorted(others, theirs, right=True)
        above[:, number].index_add_(0, item, (below + not_above).double() / 2)
    return above, wrong.sum(dim=1).double(), (~wrong).sum(dim=1).double()


def _drawn(items: int, draws: int, seed: int) -> Tensor:
    """How often each item is drawn when so many are, `(draws, items)`, float64."""
    generator = torch.Generator().manual_seed(derive(seed, "localization"))
    numbers = torch.randint(items, (draws, items), generator=generator)
    return torch.zeros(draws, items).scatter_add_(1, numbers, torch.ones(draws, items)).double()


def _percentiles(drawn: Tensor, level: float) -> tuple[float, float]:
    """The middle `level` of what was drawn; a draw without any pair has no say."""
    sides = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=drawn.dtype)
    low, high = drawn[~drawn.isnan()].quantile(sides).tolist()
    return low, high
