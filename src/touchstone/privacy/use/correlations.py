"""How two columns go together: the matrix of associations, and how far it is from the real one."""

import math
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from touchstone.data.tables.encoding import numbered
from touchstone.data.tables.schema import Number, Schema
from touchstone.privacy.use.features import judged, numbers


@dataclass(frozen=True)
class Correlations:
    """How far associations lie apart, over all pairs of columns; 0 is best, of each.

    Attributes:
        mean: the absolute difference, in [0, 2]: two numbers may go together the other way round.
        largest: of one pair, in [0, 2].
        pair: the names of its columns.
    """

    mean: float
    largest: float
    pair: tuple[str, str]


def correlations(
    schema: Schema, real: pl.DataFrame, synthetic: pl.DataFrame
) -> Correlations | None:
    """Compares the associations of all pairs of columns; None of fewer than two columns."""
    names = [column.name for column in judged(schema)]
    if len(names) < 2:
        return None
    apart = (associations(schema, real) - associations(schema, synthetic)).abs()
    one, other = torch.triu_indices(len(names), len(names), 1)
    pairwise = apart[one, other]
    most = int(pairwise.argmax())
    return Correlations(
        float(pairwise.mean()), float(pairwise[most]), (names[one[most]], names[other[most]])
    )


def associations(schema: Schema, frame: pl.DataFrame) -> Tensor:
    """The association of each pair of columns, float64 `(C, C)`, symmetric; numbers come first.

    Two numbers: Pearson's correlation, in [-1, 1]. Two categories: Cramér's V (1946, section
    21.9), in [0, 1]. A number and a category: the correlation ratio (Fisher 1925), the root of the
    share of the number's variance that lies between the category's values, in [0, 1]. A number's
    missing values do not count, a category's are one more. A column that does not vary goes
    together with none: 0.
    """
    columns = judged(schema)
    found = torch.eye(len(columns), dtype=torch.float64)
    values = [
        numbers(frame[column.name])
        if isinstance(column, Number)
        else numbered(column, frame[column.name])
        for column in columns
    ]
    measures = {0: pearson, 1: correlation_ratio, 2: cramers_v}
    for one in range(len(columns)):
        for other in range(one):
            numeric = [isinstance(columns[place], Number) for place in (other, one)]
            of_pair = measures[2 - sum(numeric)](values[other], values[one])
            found[one, other] = found[other, one] = of_pair
    return found


def pearson(first: Tensor, second: Tensor) -> float:
    """Pearson's correlation of float64 `(N,)` each, where neither is NaN."""
    both = ~(first.isnan() | second.isnan())
    x, y = (_centred(values[both]) for values in (first, second))
    return _ratio(float(x @ y), float((x @ x).sqrt() * (y @ y).sqrt()))


def correlation_ratio(values: Tensor, groups: Tensor) -> float:
    """Eta of float64 `(N,)` by groups int64 `(N,)`, where the value is not NaN."""
    there = ~values.isnan()
    values, groups = _centred(values[there]), groups[there]
    sums, counts = groups.bincount(values), groups.bincount()
    between = (sums.square() / counts.clamp(min=1)).sum()
    return math.sqrt(_ratio(float(between), float(values @ values)))


def cramers_v(first: Tensor, second: Tensor) -> float:
    """Cramér's V of int64 `(N,)` each: the root of chi squared over its largest value."""
    columns = int(second.max()) + 1 if len(second) else 1
    counts = (first * columns + second).bincount(minlength=(int(first.max()) + 1) * columns)
    table = counts.view(-1, columns).double()
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    expected = table.sum(1, keepdim=True) * table.sum(0) / table.sum()
    chi_squared = float(((table - expected).square() / expected).sum())
    return math.sqrt(_ratio(chi_squared, float(table.sum()) * (min(table.shape) - 1)))


def _centred(values: Tensor) -> Tensor:
    # The mean of equal values is rounded: less the first one, they and it are exactly 0.
    values = values - values[:1]
    return values - values.mean()


def _ratio(part: float, whole: float) -> float:
    return max(-1.0, min(part / whole, 1.0)) if whole > 0 else 0.0
