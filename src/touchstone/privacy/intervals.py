"""Figures with their intervals: rates, and the area under the ROC curve."""

from typing import NamedTuple

import torch
from torch import Tensor

LEVEL = 0.95


class Estimate(NamedTuple):
    """A figure and the limits of its interval."""

    value: float
    low: float
    high: float

    def covers(self, value: float) -> bool:
        """Whether a value lies within the interval."""
        return self.low <= value <= self.high


def rate(hits: int, number: int, level: float = LEVEL) -> Estimate:
    """The share of hits among a number of trials, 1 or more, with an exact interval.

    Clopper and Pearson 1934: each side is missed with (1 - level) / 2 at most.
    """
    low, high = limits(torch.tensor([hits]), number, (1 - level) / 2)
    return Estimate(hits / number, float(low), float(high))


def limits(hits: Tensor, number: int, missed: float) -> tuple[Tensor, Tensor]:
    """Clopper and Pearson's lower and upper limits of rates, each missed with `missed` at most.

    Args:
        hits: how many of the trials, `(k,)`.
        number: of trials.
        missed: the probability that the rate is beyond one limit.
    """
    from scipy.special import betaincinv

    counts = hits.double().numpy()
    low = torch.from_numpy(betaincinv(counts.clip(min=1), number - counts + 1, missed))
    high = torch.from_numpy(betaincinv(counts + 1, (number - counts).clip(min=1), 1 - missed))
    return low.where(hits > 0, low.new_zeros(())), high.where(hits < number, high.new_ones(()))


def auroc(positive: Tensor, negative: Tensor, level: float = LEVEL) -> Estimate:
    """The probability that a positive's score is the higher one; ties count half.

    The interval is by the variance of DeLong, DeLong and Clarke-Pearson 1988. That is 0 where the
    scores are perfectly apart; there the interval is the exact one of disjoint pairs, every one of
    which was in order.

    Args:
        positive: scores `(n,)`, n being 2 or more.
        negative: scores `(m,)`, m being 2 or more.
        level: the interval's.
    """
    from scipy.special import ndtri

    above = placements(positive, negative)
    below = 1 - placements(negative, positive)
    value = float(above.mean())
    if value in (0, 1):
        pairs = min(len(positive), len(negative))
        return rate(round(value) * pairs, pairs, level)
    variance = above.var() / len(positive) + below.var() / len(negative)
    reach = float(ndtri((1 + level) / 2) * variance.sqrt())
    return Estimate(value, max(value - reach, 0), min(value + reach, 1))


def placements(scores: Tensor, others: Tensor) -> Tensor:
    """The share of the others `(m,)` that each score `(n,)` is above, ties half: float64 `(n,)`."""
    ordered = others.sort().values
    lower = torch.searchsorted(ordered, scores.contiguous())
    not_higher = torch.searchsorted(ordered, scores.contiguous(), right=True)
    return (lower + not_higher).double() / (2 * len(others))
