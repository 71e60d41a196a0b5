"""What a private run spends: epsilon, by Opacus's accountant of privacy loss random variables."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from touchstone.errors import UsageError

Number = TypeVar("Number", int, float)

TOLERANCE = 0.01  # of epsilon, by which a budget is left unspent


@dataclass(frozen=True)
class Account:
    """Differential privacy of updates by noised sums over Poisson samples.

    Two sets of records, one of which has one record more, make any result of the updates about as
    likely: `P(A) <= e^epsilon P(B) + delta`. Epsilon is the upper bound of Gopi, Lee & Wutschitz
    2021, arXiv 2106.02848, as Opacus computes it.

    It is a run's own: several runs on the same records add up, those of a sweep too.

    Attributes:
        noise: sigma, the deviation of the noise over the norm to which a record is clipped.
        rate: with which a record is in a sample, in (0, 1).
        delta: as in the inequality.
    """

    noise: float
    rate: float
    delta: float

    def epsilon(self, updates: int) -> float:
        """What so many updates spend.

        Raises:
            UsageError: where Opacus is not installed.
        """
        return _epsilon(self.noise, self.rate, self.delta, updates) if updates else 0.0

    def affordable(self, epsilon: float, most: int) -> int:
        """The most updates, and no more than `most`, that spend no more than `epsilon`."""
        few, many = 0, 1
        while self.epsilon(many) <= epsilon:  # from below, for much that is spent takes long
            if many == most:
                return most
            few, many = many, min(4 * many, most)
        while few and many - few > 1:
            between = _interpolated(self.epsilon, few, many, epsilon)
            tried = min(max(few + 1, int(between)), many - 1)
            few, many = (tried, many) if self.epsilon(tried) <= epsilon else (few, tried)
        return few


def calibrated(epsilon: float, delta: float, rate: float, updates: int) -> float:
    """The noise with which so many updates spend `epsilon`, or less by up to `TOLERANCE`.

    Raises:
        UsageError: no noise is enough for so little, or Opacus is not installed.
    """

    def spent(noise: float) -> float:
        return Account(noise, rate, delta).epsilon(updates)

    little = enough = 1.0
    while spent(enough) > epsilon:
        little, enough = enough, 2 * enough
        if enough > 1e5:
            raise UsageError(
                f"privacy.epsilon={epsilon}: it cannot be reached with any noise; ask for more"
            )
    while spent(little) <= epsilon:
        little, enough = little / 1.25, little  # little noise takes long to account for
    while epsilon - spent(enough) > TOLERANCE:
        tried = _interpolated(spent, little, enough, epsilon - TOLERANCE / 2)
        little, enough = (little, tried) if spent(tried) <= epsilon else (tried, enough)
    return enough


def _interpolated(
    spent: Callable[[Number], float], low: Number, high: Number, epsilon: float
) -> float:
    """Where a function that is about a power, known at two places, comes to `epsilon`."""
    rise = math.log(spent(high) / spent(low))
    share = math.log(epsilon / spent(low)) / rise
    # Kept from the ends, so that the other end comes closer, too.
    return float(low * (high / low) ** min(max(share, 0.02), 0.98))


@lru_cache(maxsize=1024)
def _epsilon(noise: float, rate: float, delta: float, updates: int) -> float:
    try:
        from opacus.accountants import PRVAccountant
    except ModuleNotFoundError as error:
        raise UsageError("privacy=dp needs Opacus: pip install 'touchstone[privacy]'") from error
    accountant = PRVAccountant()
    accountant.history = [(noise, rate, updates)]
    with warnings.catch_warnings():
        # Of an upper bound from which it only takes how wide it has to look.
        warnings.filterwarnings("ignore", message="Optimal order is the largest alpha")
        return float(accountant.get_epsilon(delta))
