"""How far each column's values lie from the real ones, alone and two columns at a time."""

import itertools

import polars as pl
import torch
from torch import Tensor

from touchstone.data.tables.encoding import numbered
from touchstone.data.tables.schema import Category, Number, Schema
from touchstone.draws import derive
from touchstone.privacy.use.features import judged, numbers

BINS = 10  # of a column of numbers, as one of two
PAIRS = 200  # of columns, that are looked at


def marginals(schema: Schema, real: pl.DataFrame, synthetic: pl.DataFrame) -> dict[str, float]:
    """The distance of each column's values, by the column's name; in [0, 1], 0 is best.

    Of a category the total variation, a missing value being one more; of numbers Kolmogorov's and
    Smirnov's statistic, the largest difference of the two distribution functions, a missing value
    lying below all others.

    Real rows have a distance from other real rows, too, which goes down with their number: see that
    beside it.
    """
    return {
        column.name: kolmogorov_smirnov(
            *(numbers(frame[column.name]).nan_to_num(nan=-torch.inf) for frame in (real, synthetic))
        )
        if isinstance(column, Number)
        else total_variation(*(numbered(column, frame[column.name]) for frame in (real, synthetic)))
        for column in judged(schema)
    }


def pairs(
    schema: Schema,
    bins_of: pl.DataFrame,
    real: pl.DataFrame,
    synthetic: pl.DataFrame,
    seed: int = 0,
) -> dict[tuple[str, str], float]:
    """The total variation of pairs of columns, by their names; in [0, 1], 0 is best.

    Numbers are put into ten bins, a missing one into one more. Of more than 200 pairs of columns
    as many are drawn. As to real rows' own distance see `marginals`, it is larger here.

    Args:
        schema: of the frames.
        bins_of: real rows, by whose deciles numbers are put into bins.
        real: rows to compare with.
        synthetic: rows to compare.
        seed: of the draw.
    """
    names = [column.name for column in judged(schema)]
    every = list(itertools.combinations(range(len(names)), 2))
    generator = torch.Generator().manual_seed(derive(seed, "pairs"))
    chosen = sorted(torch.randperm(len(every), generator=generator)[:PAIRS].tolist())
    first, second = (cells(schema, bins_of, frame) for frame in (real, synthetic))
    sizes = torch.cat([first, second]).amax(0) + 1 if len(names) else torch.empty(0)

    def joint(frame: Tensor, one: int, other: int) -> Tensor:
        return frame[:, one] * sizes[other] + frame[:, other]

    return {
        (names[one], names[other]): total_variation(
            joint(first, one, other), joint(second, one, other)
        )
        for one, other in (every[number] for number in chosen)
    }


def cells(schema: Schema, bins_of: pl.DataFrame, frame: pl.DataFrame) -> Tensor:
    """The bin of each number, the value of each category: int64 `(N, columns)`, numbers first.

    A bin reaches up to a decile and holds it: a value that most rows have is one of its own.
    """
    parts = []
    for column in judged(schema):
        if isinstance(column, Category):
            parts.append(numbered(column, frame[column.name]))
            continue
        known = numbers(bins_of[column.name])
        inner = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)[1:-1]
        known = known[~known.isnan()]
        edges = torch.unique(quantiles(known, inner)) if len(known) else known
        values = numbers(frame[column.name])
        places = torch.searchsorted(edges, values)
        parts.append(places.masked_fill(values.isnan(), BINS))
    return torch.stack(parts, 1) if parts else torch.empty(len(frame), 0, dtype=torch.int64)


def quantiles(values: Tensor, shares: Tensor) -> Tensor:
    """The least of the values that a share of them does not pass; of any number of values."""
    places = (shares * len(values)).ceil().long() - 1
    return values.sort().values[places.clamp(0, len(values) - 1)]


def total_variation(first: Tensor, second: Tensor) -> float:
    """Half the sum of the differences of the shares of values, int64 `(n,)` and `(m,)`.

    In [0, 1], 0 for equal shares and 1 where no value is common.
    """
    numbered_anew = torch.unique(torch.cat([first, second]), return_inverse=True)[1]
    most = int(numbered_anew.max()) + 1
    shares = [
        part.bincount(minlength=most).double() / len(part)
        for part in torch.split(numbered_anew, [len(first), len(second)])
    ]
    return float((shares[0] - shares[1]).abs().sum() / 2)


def kolmogorov_smirnov(first: Tensor, second: Tensor) -> float:
    """The largest difference of the distribution functions of values `(n,)` and `(m,)`.

    In [0, 1], 0 is best.
    """
    places = torch.cat([first, second])
    reached = [
        torch.searchsorted(values.sort().values, places, right=True).double() / len(values)
        for values in (first, second)
    ]
    return float((reached[0] - reached[1]).abs().max())
