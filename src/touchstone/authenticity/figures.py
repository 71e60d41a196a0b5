"""The figures of a detector: from scores of genuine and of counterfeit items alone.

A score is higher where an item looks less genuine, and an item is refused at a threshold which its
score is not below. A positive is a counterfeit. Ties are exact: items of one score are refused
together, and of a genuine and a counterfeit item of one score each is half above the other.

Scores may have leading dimensions, `(..., n)` and `(..., m)`: resampled ones have a row a draw, and
a figure `(...)` then comes of each row.
"""

import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from touchstone.draws import derive
from touchstone.errors import UsageError

Statistic: TypeAlias = Callable[[Tensor, Tensor], Tensor]

BLOCK = 100  # draws of the bootstrap that are computed at once


def figures(genuine: Tensor, counterfeit: Tensor, threshold: float) -> dict[str, float]:
    """All figures of one attack, each in [0, 1].

    Args:
        genuine: scores `(n,)`.
        counterfeit: scores `(m,)`.
        threshold: of the last two, `apcer` and `bpcer`.

    Raises:
        UsageError: no items of one of the two, or a score that is no number.
    """
    for name, scores in (("genuine", genuine), ("counterfeit", counterfeit)):
        if not len(scores):
            raise UsageError(f"the figures of a detector need {name} items: there are none")
        if scores.isnan().any():
            raise UsageError(f"the detector's scores of {name} items are not all numbers")
    return {
        "auroc": float(auroc(genuine, counterfeit)),
        "average_precision": float(average_precision(genuine, counterfeit)),
        "fpr95": float(fpr_at_tpr(genuine, counterfeit)),
        "equal_error_rate": float(equal_error_rate(genuine, counterfeit)),
        "apcer": float(apcer(counterfeit, threshold)),
        "bpcer": float(bpcer(genuine, threshold)),
    }


def auroc(genuine: Tensor, counterfeit: Tensor) -> Tensor:
    """The probability that a counterfeit has a higher score than a genuine item; 0.5 is chance.

    The area under the ROC curve, by Mann and Whitney's statistic.
    """
    ordered = genuine.sort(-1).values
    below = torch.searchsorted(ordered, counterfeit.contiguous())
    not_above = torch.searchsorted(ordered, counterfeit.contiguous(), right=True)
    return (below + not_above).double().mean(-1) / (2 * genuine.shape[-1])


def average_precision(genuine: Tensor, counterfeit: Tensor) -> Tensor:
    """The mean, over counterfeits, of the precision at the threshold that just finds each.

    It depends on how many of the items are counterfeits, which is what chance reaches.
    """
    found = refused(counterfeit, counterfeit) * counterfeit.shape[-1]
    wrong = refused(genuine, counterfeit) * genuine.shape[-1]
    return (found / (found + wrong)).mean(-1)


def fpr_at_tpr(genuine: Tensor, counterfeit: Tensor, tpr: float = 0.95) -> Tensor:
    """The share of genuine items refused where at least `tpr` of the counterfeits are.

    The literature on out-of-distribution detection has it the other way round, with the genuine
    items as the positives.
    """
    number = math.ceil(tpr * counterfeit.shape[-1] - 1e-9)  # that have to be found
    threshold = counterfeit.sort(-1, descending=True).values[..., number - 1 : number]
    return refused(genuine, threshold)[..., 0]


def equal_error_rate(genuine: Tensor, counterfeit: Tensor) -> Tensor:
    """The error rate where as many genuine items are refused as counterfeits are accepted.

    Where the ROC curve, with straight lines between its points, crosses the diagonal of equal
    errors.
    """
    fpr, tpr = roc(genuine, counterfeit)
    excess = fpr - (1 - tpr)  # rises from -1 to 1
    after = torch.searchsorted(excess, excess.new_zeros(*excess.shape[:-1], 1))
    (x0, x1), (e0, e1) = (
        (values.gather(-1, after - 1), values.gather(-1, after)) for values in (fpr, excess)
    )
    return (x0 - e0 / (e1 - e0) * (x1 - x0))[..., 0]


def apcer(counterfeit: Tensor, threshold: float) -> Tensor:
    """Attack presentation classification error rate: the share of counterfeits that are accepted.

    ISO/IEC 30107-3 has it of one kind of attack at a time, and of several the highest.
    """
    return (counterfeit < threshold).double().mean(-1)


def bpcer(genuine: Tensor, threshold: float) -> Tensor:
    """Bona fide presentation classification error rate: the share of genuine items refused.

    ISO/IEC 30107-3.
    """
    return (genuine >= threshold).double().mean(-1)


def roc(genuine: Tensor, counterfeit: Tensor) -> tuple[Tensor, Tensor]:
    """The ROC curve: false and true positive rates `(..., n + m + 1)`, from (0, 0) to (1, 1).

    One point for each item, equal ones for items of one score.
    """
    thresholds = torch.cat([genuine, counterfeit], -1).sort(-1, descending=True).values
    rates = (refused(scores, thresholds) for scores in (genuine, counterfeit))
    fpr, tpr = (torch.cat([rate.new_zeros(*rate.shape[:-1], 1), rate], -1) for rate in rates)
    return fpr, tpr


def refused(scores: Tensor, thresholds: Tensor) -> Tensor:
    """The share of scores `(..., n)` refused at each of thresholds `(..., k)`, float64."""
    below = torch.searchsorted(scores.sort(-1).values, thresholds.contiguous())
    return (scores.shape[-1] - below).double() / scores.shape[-1]


def bootstrap(
    genuine: Tensor,
    counterfeit: Tensor,
    statistic: Statistic,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """The percentile interval of a figure, by items drawn again with replacement.

    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; the genuine and the
    counterfeit items are drawn apart, as many of each as there are.

    Args:
        genuine: scores `(n,)`.
        counterfeit: scores `(m,)`.
        statistic: `auroc`, or any function of scores `(draws, n)` and `(draws, m)`.
        draws: how many times.
        seed: of the draws.
        level: the interval's.
    """
    drawn = torch.cat(
        [
            statistic(genuine[own], counterfeit[others])
            for own, others in _resampled(len(genuine), len(counterfeit), draws, seed)
        ]
    )
    return _percentiles(drawn, level)


def difference(
    first: tuple[Tensor, Tensor],
    second: tuple[Tensor, Tensor],
    statistic: Statistic = auroc,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """The interval of the first detector's figure less the second's, on the same items.

    The bootstrap of pairs: each draw takes the same items for both.

    Args:
        first: scores of the genuine `(n,)` and of the counterfeit items `(m,)`.
        second: the other detector's scores of the same items, in the same order.
        statistic: as in `bootstrap`.
        draws: how many times.
        seed: of the draws.
        level: the interval's.

    Raises:
        ValueError: scores of other numbers of items.
    """
    sizes = [len(scores) for scores in first]
    if sizes != [len(scores) for scores in second]:
        raise ValueError("the two detectors' scores are not of the same items")
    drawn = torch.cat(
        [
            statistic(first[0][own], first[1][others])
            - statistic(second[0][own], second[1][others])
            for own, others in _resampled(sizes[0], sizes[1], draws, seed)
        ]
    )
    return _percentiles(drawn, level)


def _resampled(n: int, m: int, draws: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Numbers of genuine `(draws, n)` and of counterfeit items `(draws, m)`, a block at a time."""
    generator = torch.Generator().manual_seed(derive(seed, "bootstrap"))
    for block in torch.split(torch.arange(draws), BLOCK):
        own, others = (
            torch.randint(size, (len(block), size), generator=generator) for size in (n, m)
        )
        yield own, others


def _percentiles(drawn: Tensor, level: float) -> tuple[float, float]:
    """The middle `level` of what was drawn."""
    sides = drawn.new_tensor([(1 - level) / 2, (1 + level) / 2])
    low, high = torch.quantile(drawn, sides).tolist()
    return low, high
