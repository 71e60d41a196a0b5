"""Factors of a learning rate over a run.

A schedule is called with the progress of the run, the share of its budget of images that has been
shown, and gives the factor. Past the budget the last factor stays.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[float], float]


@dataclass(frozen=True)
class Constant:
    """The factor 1 throughout."""

    def __call__(self, progress: float) -> float:
        """Gives the factor at `progress`, in [0, 1]."""
        return 1.0


@dataclass(frozen=True)
class Linear:
    """The factor 1 up to `start`, then a straight line to `end`.

    Attributes:
        start: where the line begins, a share of the budget in [0, 1).
        end: the factor at the end of the budget, at least 0.

    Raises:
        ValueError: an attribute is out of range.
    """

    start: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < 1:
            raise ValueError(f"schedule.start={self.start} has to be at least 0 and less than 1.")
        _refuse_negative(self.end)

    def __call__(self, progress: float) -> float:
        """Gives the factor at `progress`, in [0, 1]."""
        along = min(max((progress - self.start) / (1 - self.start), 0.0), 1.0)
        return 1 + along * (self.end - 1)


@dataclass(frozen=True)
class Cosine:
    """Half a period of the cosine from 1 to `end` (Loshchilov & Hutter 2017, equation 5).

    arXiv 1608.03983, without restarts.

    Attributes:
        end: the factor at the end of the budget, at least 0.

    Raises:
        ValueError: `end` is negative.
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        _refuse_negative(self.end)

    def __call__(self, progress: float) -> float:
        """Gives the factor at `progress`, in [0, 1]."""
        along = min(max(progress, 0.0), 1.0)
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * along)) / 2


def _refuse_negative(end: float) -> None:
    if end < 0:
        raise ValueError(f"schedule.end={end} has to be at least 0.")
