"""What a score means, from genuine items alone that neither the run nor the detector was shown.

Split-conformal calibration: as long as a new genuine item is exchangeable with those held out, what
is said here holds in finite samples, whatever the detector and the distribution of its scores.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import torch
from torch import Tensor

from touchstone.errors import UsageError


class Verdict(StrEnum):
    """What is said of an item."""

    GENUINE = "genuine"
    COUNTERFEIT = "counterfeit"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, eq=False)
class Calibration:
    """The scores of held-out genuine items, against which others are held.

    Vovk, Gammerman, Shafer 2005, Algorithmic Learning in a Random World; Bates, Candès, Lei,
    Romano, Sesia 2023, Testing for outliers with conformal p-values, section 2.

    Attributes:
        scores: of n genuine items, floats `(n,)`, the higher the less genuine.

    Raises:
        UsageError: no scores, or one that is no number.
    """

    scores: Tensor

    def __post_init__(self) -> None:
        if not len(self.scores) or self.scores.isnan().any():
            raise UsageError(
                f"calibration: the detector's scores of the {len(self.scores)} genuine items held "
                "out are no calibration: it takes one or more, each of them a number"
            )

    def p_values(self, scores: Tensor) -> Tensor:
        """Conformal p-values of scores `(N,)`, float64 `(N,)` in [1/(n + 1), 1].

        p = (1 + #{held-out items whose score is not lower}) / (n + 1). Of a genuine item,
        P(p <= t) is at most t for every t, over draws of the held-out items and of the new one.
        """
        return (1 + self._not_below(scores)).double() / (len(self.scores) + 1)

    def threshold(self, rate: float) -> float:
        """The lowest score refused, so that of new genuine items at most `rate` are expected to be.

        A score is not below it exactly where its p-value is `rate` or less. The expectation is over
        the held-out items, too; `guarantee` says what these may do to it.

        Raises:
            UsageError: a rate outside (0, 1), or too few held-out items for it.
        """
        highest = self._ordered[-self._allowed(rate)]  # of those accepted
        return float(torch.nextafter(highest, torch.full_like(highest, torch.inf)))

    def guarantee(self, rate: float, confidence: float = 0.95) -> float:
        """What the false-alarm rate at `threshold(rate)` is at most, at a confidence.

        Given the held-out items the rate is distributed as Beta(k, n + 1 - k), with
        k = floor(rate (n + 1)), or lies below where scores are tied: Vovk 2012, Conditional
        validity of inductive conformal predictors; Bates et al., section 2. This is its quantile at
        `confidence`: of so large a share of all sets of n held-out items the rate keeps below it.

        Raises:
            UsageError: as of `threshold`.
        """
        from scipy.special import betaincinv

        allowed = self._allowed(rate)
        return float(betaincinv(allowed, len(self.scores) + 1 - allowed, confidence))

    def _allowed(self, rate: float) -> int:
        """The k of the n + 1 items, the new one among them, that may be refused."""
        if not 0 < rate < 1:
            raise UsageError(f"false_alarms={rate}: it has to lie between 0 and 1")
        number = len(self.scores)
        allowed = math.floor(rate * (number + 1) + 1e-9)
        if not allowed:
            raise UsageError(
                f"false_alarms={rate:g}: it takes {math.ceil(1 / rate - 1e-9) - 1:,} genuine items "
                f"that were held out of training, and there are {number:,}: hold out more, by a "
                f"smaller subset, or ask for {1 / (number + 1):.2g} or more"
            )
        return allowed

    def _not_below(self, scores: Tensor) -> Tensor:
        """How many held-out items have a score that is not lower, int64 `(N,)`."""
        below = torch.searchsorted(self._ordered.double(), scores.double().contiguous())
        return len(self.scores) - below

    @cached_property
    def _ordered(self) -> Tensor:
        return self.scores.sort().values


def probability(p_values: Tensor) -> Tensor:
    """The least probability that items are genuine, if before they were as likely as not.

    (1 + (-e p log p)^-1)^-1 for p < 1/e, and 0.5 from there on: Sellke, Bayarri, Berger 2001,
    Calibration of p values for testing precise null hypotheses, The American Statistician 55. It is
    a bound for all counterfeits whose p-values' density is falling as Beta(x, 1)'s is, and so says
    how far a p-value can speak against an item at all: 0.05 leaves it 0.29 or more, 0.01 leaves
    0.11. It is no frequency of genuine items among those of one score, which no one can know who
    has not seen the counterfeits; and it never speaks for an item: 0.5 is no evidence against it.

    Args:
        p_values: `(N,)` in (0, 1].

    Returns:
        `(N,)` in (0, 0.5].
    """
    p = p_values.clamp(max=math.exp(-1))
    return 1 / (1 + 1 / (-math.e * p * p.log()))


def verdict(scores: Tensor, threshold: float, unlike: Tensor | None = None) -> list[Verdict]:
    """Says of each item whether it is a counterfeit.

    Args:
        scores: `(N,)`; of one that is no number nothing can be told.
        threshold: the lowest score of a counterfeit.
        unlike: which of the items are of no kind that the detector was made for, bool `(N,)`.
    """
    unknown = scores.isnan() if unlike is None else scores.isnan() | unlike.to(scores.device)
    return [
        Verdict.CANNOT_TELL if strange else Verdict.COUNTERFEIT if high else Verdict.GENUINE
        for strange, high in zip(unknown.tolist(), (scores >= threshold).tolist(), strict=True)
    ]
