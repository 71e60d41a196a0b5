"""Columns that tell rows apart and nothing else: keys."""

import polars as pl

from touchstone.data.tables.naming import words

KEYS = {"id", "ids", "key", "index", "uuid", "guid", "no", "nr", "rowid", "identifier"}
REPEATS = 20  # values, expected to occur twice, from which it is no chance that none does


def is_key(series: pl.Series) -> bool:
    """Whether a column's values do nothing but tell rows apart.

    They are all different, none missing, and the name says so; or they are text without blanks, a
    digit in each; or whole numbers of a range so narrow that chance would have repeated `REPEATS`
    (of n numbers out of R, about n² / 2R), as it is where they are consecutive.
    """
    dtype, rows = series.dtype, len(series)
    if not (dtype.is_integer() or isinstance(dtype, pl.String)):
        return False
    if series.null_count() or series.n_unique() < rows:
        return False
    if words(series.name) & KEYS:
        return True
    if isinstance(dtype, pl.String):
        return bool(series.str.contains(r"^\S*\d\S*$").all())
    low, high = series.min(), series.max()
    assert isinstance(low, int)
    assert isinstance(high, int)
    return high - low + 1 == rows or rows**2 / 2 / (high - low + 1) > REPEATS


def prefix(series: pl.Series) -> str:
    """What all keys have before the number that they end in; nothing where they differ in it."""
    if not isinstance(series.dtype, pl.String):
        return ""
    parts = series.str.extract(r"^(.*?)\d+$").unique()
    return parts[0] or "" if len(parts) == 1 else ""
