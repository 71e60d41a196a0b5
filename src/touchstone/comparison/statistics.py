"""What can be said of figures from a few seeds: intervals, tests and the parts of their variance.

Functions of arrays alone. Distributions are scipy's; the formulas are computed for many pairs at
once, which a thousand runs need.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return float(np.mean(values))


def deviation(values: Sequence[float]) -> float | None:
    """The standard deviation over n - 1; None of one value alone."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """The interval of a mean by Student's t distribution; None of one value alone."""
    if len(values) < 2:
        return None
    middle, error = np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5
    half = special.stdtrit(len(values) - 1, (1 + level) / 2) * error
    return float(middle - half), float(middle + half)


class Welch(NamedTuple):
    """Welch's test of pairs of samples: arrays of one length.

    Attributes:
        difference: of the means, the first less the second.
        low: of the interval of the difference.
        high: of the same.
        p: two-sided.
    """

    difference: Floats
    low: Floats
    high: Floats
    p: Floats


def welch(means: ArrayLike, deviations: ArrayLike, sizes: ArrayLike, level: float = 0.95) -> Welch:
    """Tests whether pairs of samples, whose variances may differ, have one mean.

    Welch, The generalization of "Student's" problem when several different population variances
    are involved, Biometrika 34, 1947; the degrees of freedom by Satterthwaite, An approximate
    distribution of estimates of variance components, Biometrics Bulletin 2, 1946.

    Args:
        means: of the first samples, and of the second: two rows.
        deviations: theirs, over n - 1.
        sizes: theirs, each two or more.
        level: of the interval.
    """
    (first, second), numbers = np.asarray(means, dtype=float), np.asarray(sizes, dtype=float)
    spread = np.asarray(deviations, dtype=float)
    # A mean of equal values is not exactly theirs, and so they seem to differ.
    rounding = 1e-12 * np.maximum(np.abs(first), np.abs(second))
    errors = np.where(spread <= rounding, 0, spread) ** 2 / numbers
    squares = errors**2 / (numbers - 1)
    difference, error = first - second, np.sqrt(errors.sum(axis=0))
    difference = np.where(np.abs(difference) <= rounding, 0, difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.nan_to_num(errors.sum(axis=0) ** 2 / squares.sum(axis=0), nan=1.0)
        # Samples without any spread have one mean, or have not, for certain.
        t = np.where(difference == 0, 0, np.abs(difference) / error)
    half = special.stdtrit(freedom, (1 + level) / 2) * error
    return Welch(difference, difference - half, difference + half, 2 * special.stdtr(freedom, -t))


def holm(p: ArrayLike) -> Floats:
    """Corrects p values for their number, so that one false finding in all is as rare as stated.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6, 1979: the smallest of m values times m, the next times m - 1, never falling.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return corrected


def effects(
    values: Sequence[float], factors: Mapping[str, Sequence[Hashable]]
) -> list[tuple[tuple[str, ...], float, float | None]]:
    """Parts of the variance that factors account for, each by itself and each two together.

    Sums of squares of type II (Yates, The analysis of multiple classifications with unequal
    numbers in the different classes, JASA 29, 1934): what a term adds to the model of all terms
    that do not contain it. Every factor counts as categorical. Without interactions where there
    are not more values than those have parameters; empty where even the factors alone have as many.

    Args:
        values: the figures, n of them.
        factors: the levels of each factor, n of them, by its name.

    Returns:
        For each term, a name or two: its share of the sum of squares (eta squared), and the p value
        of its F test against the residuals, None where no residual is left.
    """
    y = np.asarray(values, dtype=float)
    total = float(((y - np.mean(y)) ** 2).sum()) if len(y) else 0.0
    free = {name: len(set(levels)) - 1 for name, levels in factors.items()}
    alone = [name for name in factors if free[name]]
    pairs = list(combinations(alone, 2))
    if not alone or total == 0 or sum(free.values()) + 1 >= len(y):
        return []
    columns: dict[tuple[str, ...], Floats] = {(name,): contrasts(factors[name]) for name in alone}
    if sum(free.values()) + sum(free[a] * free[b] for a, b in pairs) + 1 <= len(y):
        columns |= {(a, b): product(columns[a,], columns[b,]) for a, b in pairs}

    def fitted(terms: Iterable[tuple[str, ...]]) -> tuple[float, int]:
        design = np.hstack([np.ones((len(y), 1)), *(columns[term] for term in terms)])
        solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
        return float(((y - design @ solution) ** 2).sum()), int(rank)

    residual, rank = fitted(columns)
    freedom = len(y) - rank
    found = []
    for term in columns:
        others = [other for other in columns if not set(term) <= set(other)]
        (without, fewer), (within, more) = fitted(others), fitted([*others, term])
        if more == fewer:  # an interaction of which the grid has no cell of its own
            continue
        explained = max(without - within, 0.0)
        p = None
        if freedom > 0:
            noise = max(residual, 1e-12 * total) / freedom  # no less than the sums' own rounding
            p = float(special.fdtrc(more - fewer, freedom, explained / (more - fewer) / noise))
        found.append((term, explained / total, p))
    return found


def contrasts(levels: Sequence[Hashable]) -> Floats:
    """A column a level but the first, that tells it from the others, summing to zero over them."""
    known = list(dict.fromkeys(levels))
    rows = np.vstack([-np.ones(len(known) - 1), np.eye(len(known) - 1)])
    return rows[[known.index(level) for level in levels]]


def product(first: Floats, second: Floats) -> Floats:
    """Every column of one times every column of the other."""
    return (first[:, :, None] * second[:, None, :]).reshape(len(first), -1)
