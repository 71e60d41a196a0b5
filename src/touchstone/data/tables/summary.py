"""What was found of a table, as the user sees it."""

import polars as pl

from touchstone.data.tables.encoding import type_of
from touchstone.data.tables.schema import (
    Category,
    Column,
    Constant,
    Determined,
    Key,
    Number,
    Schema,
)

SHOWN = 4  # values of a category
WIDTH = 60  # of what is shown of them


def describe(schema: Schema, frame: pl.DataFrame) -> str:
    """An aligned table: a line a column, its kind, its values, and how many are missing.

    Args:
        schema: the table's.
        frame: its rows.
    """
    lines = [("column", "kind", "values", "missing")]
    for column in schema.columns:
        joins = isinstance(column, Category) and column.joins
        share = 0 if joins else frame[column.name].null_count() / len(frame)
        kind = type(column).__name__.lower()
        target = " (target)" if column.name == schema.target else ""
        shown = f"{share:.1%}" if share else "-"
        lines.append((column.name, kind + target, _cut(_values(column)), shown))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _values(column: Column) -> str:
    match column:
        case Number():
            low, high = (_shown(column, bound) for bound in (column.low, column.high))
            return f"{low} to {high}"
        case Category():
            first = ", ".join(column.values[:SHOWN])
            more = len(column.values) - SHOWN
            return f"{first} and {more} more" if more > 0 else first
        case Constant():
            return "none" if column.value is None else column.value
        case Key():
            return f"made anew: {column.prefix}1, {column.prefix}2, ..."
        case Determined():
            return f"by {column.by}"


def _shown(column: Number, bound: float) -> str:
    if column.dtype.startswith("Date"):
        moment = pl.Series([int(bound)]).cast(type_of(column.dtype)).cast(pl.String)[0]
        return str(moment).removesuffix(" 00:00:00.000000")
    return f"{bound:.10g}"


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."
