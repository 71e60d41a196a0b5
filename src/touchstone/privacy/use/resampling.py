"""Intervals of figures over rows.

A figure is a function of how often each row counts: once each gives its value, and the counts of a
sample with replacement those that it might have had.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from touchstone.draws import derive
from touchstone.privacy.intervals import LEVEL, Estimate

# Of counts `(D, N)`, float64: the figure by each row of them, `(D,)`; NaN where there is none.
Statistic: TypeAlias = Callable[[Tensor], Tensor]

DRAWS, BLOCK = 500, 50  # samples with replacement, and how many are computed at once


def estimate(
    statistics: Mapping[str, Statistic], rows: int, seed: int = 0, level: float = LEVEL
) -> dict[str, Estimate]:
    """Figures with their percentile intervals (Efron and Tibshirani 1993, chapter 13).

    Args:
        statistics: by name; all see the same samples.
        rows: N.
        seed: of the samples.
        level: the intervals'.
    """
    generator = torch.Generator().manual_seed(derive(seed, "bootstrap"))
    once = torch.ones(1, rows, dtype=torch.float64)
    drawn: dict[str, list[Tensor]] = {name: [] for name in statistics}
    for block in torch.split(torch.arange(DRAWS), BLOCK):
        chosen = torch.randint(rows, (len(block), rows), generator=generator)
        counts = torch.zeros(len(block), rows, dtype=torch.float64)
        counts.scatter_add_(1, chosen, torch.ones_like(counts))
        for name, statistic in statistics.items():
            drawn[name].append(statistic(counts))
    sides = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    return {
        name: Estimate(
            float(statistic(once)), *torch.nanquantile(torch.cat(drawn[name]), sides).tolist()
        )
        for name, statistic in statistics.items()
    }


def auc(scores: Tensor, positive: Tensor) -> Statistic:
    """The area under the ROC curve, ties half; 0.5 is a guess, 1 is best.

    Args:
        scores: `(N,)`, higher where positive is likelier.
        positive: bool `(N,)`.
    """
    order = scores.argsort()
    ties = torch.unique_consecutive(scores[order], return_inverse=True)[1]
    signs = torch.stack([positive[order], ~positive[order]]).double()

    def area(counts: Tensor) -> Tensor:
        sums = counts.new_zeros(2, len(counts), int(ties[-1]) + 1)
        sums.index_add_(2, ties, signs[:, None] * counts[:, order])
        above, below = sums
        beaten = (above * (below.cumsum(1) - below / 2)).sum(1)
        return torch.div(beaten, above.sum(1) * below.sum(1))

    return area


def share(hits: Tensor, among: Tensor) -> Statistic:
    """The share of the rows `among`, bool `(N,)`, that are `hits`, bool `(N,)`."""
    these, all_of = (hits & among).double(), among.double()
    return lambda counts: (counts @ these) / (counts @ all_of)


def f1(said: Tensor, positive: Tensor) -> Statistic:
    """The harmonic mean of precision and recall, in [0, 1]; 1 is best.

    Args:
        said: bool `(N,)`: taken for positive.
        positive: bool `(N,)`.
    """
    found, all_of = (said & positive).double(), said.double() + positive.double()
    return lambda counts: 2 * (counts @ found) / (counts @ all_of)


def mean(statistics: list[Statistic]) -> Statistic:
    """The mean of figures, of those that there are."""
    return lambda counts: torch.stack([each(counts) for each in statistics]).nanmean(0)


def spread(statistics: list[Statistic]) -> Statistic:
    """The largest of figures less the least."""

    def difference(counts: Tensor) -> Tensor:
        found = torch.stack([each(counts) for each in statistics])
        return found.amax(0) - found.amin(0)

    return difference
