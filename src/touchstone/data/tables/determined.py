"""Columns that another one determines, as a number of an education goes with its name."""

from collections.abc import Sequence, Set
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from touchstone.data.tables.encoding import as_text, name_of, typed
from touchstone.data.tables.schema import Category, Column, Determined, Number
from touchstone.errors import UsageError

EACH = 5  # rows of a value, on average, below which agreement may be chance
OTHERS = 5  # rows of other values than the commonest, below which agreement may be chance
FIRST = 2_000  # rows by which most pairs are told apart


def find(frame: pl.DataFrame, columns: Sequence[Column], kept: Set[str]) -> dict[str, Determined]:
    """Finds categories and numbers that are a function of a category.

    Of two that determine each other, the one with more values stays, then that of text, then the
    first; what is determined is determined by one that stays.

    Args:
        frame: of the columns.
        columns: the schema's.
        kept: names of columns that stay as they are.
    """
    of_kind = [column for column in columns if isinstance(column, Category | Number)]
    names = [column.name for column in of_kind]
    sizes = {name: frame[name].n_unique() for name in names}
    first = {name: codes(frame[name][:FIRST]) for name in names}
    coded = cache(lambda name: codes(frame[name]))
    by_size = sorted(
        (column for column in of_kind if isinstance(column, Category)),
        key=lambda column: (-sizes[column.name], column.name not in kept, column.dtype != "String"),
    )
    found: dict[str, Determined] = {}
    for category in by_size:
        by = category.name
        if by in found or len(frame) < EACH * sizes[by]:
            continue
        for name in names:
            other = not {name} & (kept | found.keys() | {by}) and sizes[name] <= sizes[by]
            if (
                other
                and determines(first[by], first[name])
                and determines(coded(by), coded(name))
                and _varies(coded(name))
            ):
                found[name] = look_up(frame, category, name)
    return found


def stated(frame: pl.DataFrame, category: Category, name: str) -> Determined:
    """The column that the user says a category determines.

    Raises:
        UsageError: it does not; the message names rows that contradict each other.
    """
    by, own = codes(frame[category.name]), codes(frame[name])
    if not determines(by, own):
        several = (
            frame.lazy()
            .group_by(category.name, maintain_order=True)
            .agg(pl.col(name).unique(maintain_order=True).cast(pl.String))
            .filter(pl.col(name).list.len() > 1)
            .first()
            .collect()
        )
        value, own_values = several.row(0)
        raise UsageError(
            f"data.columns.{name}.by={category.name}: it does not determine it; where "
            f"{category.name} is {value}, {name} is {own_values[0]} and {own_values[1]}"
        )
    return look_up(frame, category, name)


def check(frame: pl.DataFrame, column: Determined, category: Category) -> None:
    """Refuses values that the frame contradicts.

    Raises:
        UsageError: the message names a row's values.
    """
    known = dict(zip(category.values, column.values, strict=True))
    looked_up = as_text(frame[column.by]).replace_strict(
        known, default=None, return_dtype=pl.String
    )
    stated = typed(column.name, looked_up, column.dtype)
    others = frame.filter(pl.col(column.by).is_not_null() & stated.ne_missing(frame[column.name]))
    if len(others):
        by, own = others[column.by][0], others[column.name][0]
        raise UsageError(
            f"data.columns.{column.name}.values: where {column.by} is {by}, the table has {own}"
        )


def codes(series: pl.Series) -> NDArray[np.int64]:
    """Whole numbers from 0, equal for equal values; the missing have the last."""
    ranks = series.rank("dense").cast(pl.Int64) - 1
    return ranks.fill_null((ranks.max() or 0) + 1 if series.null_count() else 0).to_numpy()  # type: ignore[operator]


def determines(by: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether rows that agree in the one agree in the other."""
    known = np.zeros(int(by.max()) + 1, dtype=np.int64)
    known[by] = other
    return bool(np.array_equal(known[by], other))


def look_up(frame: pl.DataFrame, category: Category, name: str) -> Determined:
    """What goes with each of the category's values; null with one that the frame has not."""
    pairs = frame.select(
        as_text(frame[category.name]).alias("by"), as_text(frame[name]).alias("value")
    ).unique()
    known = dict(pairs.iter_rows())
    values = tuple(known.get(value) for value in category.values)
    return Determined(name, category.name, values, known.get(None), name_of(frame[name].dtype))


def _varies(numbers: NDArray[np.int64]) -> bool:
    return len(numbers) - int(np.bincount(numbers).max()) >= OTHERS
