"""How the values of one column are shared out, among real rows and among synthetic ones."""

from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from touchstone.data.tables.encoding import numbered, type_of
from touchstone.data.tables.schema import Category, Number
from touchstone.privacy.use.features import numbers

MOST = 8  # values that are told apart


@dataclass(frozen=True)
class Shares:
    """Shares of a column's values, each side's at most 1 together.

    Attributes:
        column: its name.
        values: what the shares are of: a category's most frequent values, a number's ranges.
        real: among real rows, as many as there are values.
        synthetic: among synthetic ones.
    """

    column: str
    values: tuple[str, ...]
    real: tuple[float, ...]
    synthetic: tuple[float, ...]


def shares(column: Number | Category, real: pl.DataFrame, synthetic: pl.DataFrame) -> Shares:
    """The shares of a column's values, so few that they can be seen at once."""
    frames = real[column.name], synthetic[column.name]
    if isinstance(column, Category):
        names, sides = _values(column, [numbered(column, series) for series in frames])
    else:
        names, sides = _ranges(column, [numbers(series) for series in frames])
    kept = [place for place in range(len(names)) if any(side[place] > 0 for side in sides)]
    made, own = (tuple(float(side[place]) for place in kept) for side in reversed(sides))
    return Shares(column.name, tuple(names[place] for place in kept), own, made)


def _values(column: Category, sides: list[Tensor]) -> tuple[list[str], list[Tensor]]:
    names = [*column.values, "missing"]
    counts = [side.bincount(minlength=len(names)).double() / len(side) for side in sides]
    order = torch.maximum(*counts).argsort(descending=True, stable=True)
    first, rest = order[: MOST - 1], order[MOST - 1 :]
    found = [torch.cat([side[first], side[rest].sum().view(1)]) for side in counts]
    return [*(names[place] for place in first.tolist()), "all others"], found


def _ranges(column: Number, sides: list[Tensor]) -> tuple[list[str], list[Tensor]]:
    """Ranges that have about as many of the real values each; a frequent value is its own."""
    known = sides[0][~sides[0].isnan()].sort().values
    places = torch.linspace(0, 1, MOST + 1, dtype=torch.float64)[1:] * (len(known) - 1)
    edges = torch.unique(known[places.long()]) if len(known) else torch.zeros(1).double()
    names = [f"up to {_written(column, float(edge))}" for edge in edges]
    names += [f"over {_written(column, float(edges[-1]))}", "missing"]
    found = []
    for side in sides:
        cells = torch.searchsorted(edges, side.nan_to_num(nan=0.0))
        cells = cells.masked_fill(side.isnan(), len(edges) + 1)
        found.append(cells.bincount(minlength=len(names)).double() / len(side))
    return names, found


def _written(column: Number, value: float) -> str:
    dtype = type_of(column.dtype)
    if dtype.is_temporal():
        return str(pl.Series([int(value)]).cast(dtype)[0])
    return f"{value:,.{max(column.decimals, 0)}f}" if column.decimals <= 3 else f"{value:.4g}"
