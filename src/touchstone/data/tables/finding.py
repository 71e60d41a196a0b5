"""What a table's columns are: as the user states them, or found by their content.

Where nothing is stated, a column is the first of these that fits:

- of one value, or of none: a constant;
- text or whole numbers that tell rows apart and nothing else (`keys`): a key;
- of booleans, of text, or of two different numbers: a category;
- of numbers or of points in time: a number. Whole numbers of few values may be quantities or codes;
  `kind: category` says that they are codes.

Text that a model should not learn (`sensitive`) is refused, and so is text of too many values. A
category or a number that a category determines (`determined`) is looked up in it.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from touchstone.data.tables import determined, parsing, sensitive, stated
from touchstone.data.tables.encoding import as_text, name_of, type_of
from touchstone.data.tables.keys import is_key, prefix
from touchstone.data.tables.naming import saying
from touchstone.data.tables.schema import Category, Column, Constant, Key, Number, Schema
from touchstone.data.tables.stated import SETTINGS, Stated
from touchstone.errors import UsageError

MOST = 1_000  # values of a category
LEAST = 10  # rows of a table


def find(
    frame: pl.DataFrame,
    columns: Stated,
    *,
    target: str | None = None,
    most: int = MOST,
    typed: bool = False,
) -> tuple[Schema, pl.DataFrame]:
    """Finds the schema of a table.

    Args:
        frame: N rows.
        columns: what is stated of single ones: `{"age": {"low": 17}, "zip": {"kind": "drop"}}`.
        target: the column that the table is used to predict: a category, unless stated.
        most: values that a category may have.
        typed: whether text is text, as it is in a Parquet file; otherwise what it stands for is
            found.

    Returns:
        The schema, and the frame of its columns and types.

    Raises:
        UsageError: fewer than `LEAST` rows; settings that there are not, or that the values
            contradict; a column of mixed types, with too many values, or that no model should
            learn.
    """
    stated.check(columns, frame.columns)
    if target is not None and target not in frame.columns:
        names = ", ".join(frame.columns)
        raise UsageError(f"data.target={target}: there is no such column; there are {names}")
    if len(frame) < LEAST:
        raise UsageError(f"the table has {len(frame)} rows; it has to have {LEAST} at least")
    meant = {name: dict(columns.get(name, {})) for name in frame.columns}
    if target is not None:
        meant[target].setdefault("kind", "category")
    kept = {name: of for name, of in meant.items() if of.get("kind") != "drop"}
    if not typed:
        frame = frame.with_columns([_read(frame[name], of) for name, of in kept.items()])
    frame = frame.select(list(kept))
    sensitive.check({name: frame[name] for name, of in kept.items() if "kind" not in of})

    found: dict[str, Column] = {
        name: _column(frame[name], of, most)
        for name, of in kept.items()
        if of.get("kind") != "determined"
    }
    fixed = {name for name in found if "kind" in kept[name]}
    for name in kept.keys() - found.keys():
        found[name] = _determined(frame, name, kept[name], found)
        fixed |= {name, kept[name]["by"]}
    found |= determined.find(frame, list(found.values()), fixed)
    keys = [name for name, column in found.items() if isinstance(column, Key)]
    frame = frame.with_columns([frame[name].cast(type_of(found[name].dtype)) for name in keys])
    return Schema(tuple(found[name] for name in kept), target), frame


def conform(
    schema: Schema, frame: pl.DataFrame, columns: Stated, *, lenient: bool = False
) -> pl.DataFrame:
    """Brings a table of the same kind, such as one that was made, to a schema's columns and types.

    Args:
        schema: whose.
        frame: of text, of the types, or of others that can be cast to them.
        columns: what is stated of single ones, of which the `format` counts.
        lenient: makes a value of another type a missing one, each row by itself; dates are those of
            the `format` that is stated, or of ISO 8601.

    Raises:
        UsageError: a column is not there, or a value is none of its type.
    """
    lacking = [name for name in schema.names if name not in frame.columns]
    if lacking:
        raise UsageError(f"the table has no column {', '.join(lacking)}")
    return pl.DataFrame(
        [
            _cast(
                frame[column.name],
                column.dtype,
                columns.get(column.name, {}).get("format"),
                lenient=lenient,
            )
            for column in map(schema.__getitem__, schema.names)
        ]
    )


def _read(series: pl.Series, settings: Mapping[str, Any]) -> pl.Series:
    """A column of text as the type that it stands for; another as it is."""
    if not isinstance(series.dtype, pl.String):
        return series
    name, kind, form = series.name, settings.get("kind"), settings.get("format")
    if kind in ("category", "key", "determined"):
        dtype = stated.dtype_of_texts(series.drop_nulls().unique().to_list())
    else:
        dtype = parsing.dtype_of(name, series, form)
    return _cast(series, dtype, form)


def _cast(
    series: pl.Series, dtype: str, form: str | None = None, *, lenient: bool = False
) -> pl.Series:
    """A column as a type; what is none of it becomes missing, or is refused.

    Leniently, every value is read by itself: the form of a date is not found by the others.
    """
    if isinstance(series.dtype, pl.String):
        form = form or (parsing.ISO.get(dtype) if lenient else None)
        cast = parsing.parse(series.name, series, dtype, form)
    else:
        cast = series.cast(type_of(dtype), strict=False)
    lost = series.filter(cast.is_null() & series.is_not_null())
    if len(lost) and not lenient:
        raise UsageError(f"column {series.name}: {lost[0]!r} is no {dtype}")
    return cast


def _column(series: pl.Series, settings: Mapping[str, Any], most: int) -> Column:
    name, values = series.name, series.drop_nulls()
    kind = settings.get("kind") or _kind(series)
    beside = settings.keys() - SETTINGS[kind] - {"kind"}
    if beside:
        setting = min(beside)
        raise UsageError(
            f"data.columns.{name}.{setting}: its values make it a {kind}, which has no such "
            f"setting; say {saying(name, 'kind', '...')} as well"
        )
    if kind == "constant" or not len(values):
        return _constant(series, settings)
    if kind == "key":
        before = str(settings.get("prefix", prefix(values)))
        whole = series.dtype.is_integer() and not before
        # A narrower type may not hold the keys of all rows that are made.
        widest = "UInt64" if isinstance(series.dtype, pl.UInt64) else "Int64"
        return Key(name, before, widest if whole else "String")
    missing = bool(settings.get("missing", series.null_count() > 0))
    if series.null_count() and not missing:
        raise UsageError(f"data.columns.{name}.missing=false: {series.null_count()} values are")
    if kind == "category":
        return _category(values, settings, missing, most)
    return _number(values, settings, missing)


def _kind(series: pl.Series) -> str:
    different = series.drop_nulls().n_unique()
    if different == 0 or (different == 1 and not series.null_count()):
        return "constant"
    if is_key(series):
        return "key"
    if series.dtype.is_temporal():
        return "number"
    numeric = series.dtype.is_numeric() and different > 2
    return "number" if numeric else "category"


def _constant(series: pl.Series, settings: Mapping[str, Any]) -> Constant:
    texts = as_text(series.drop_nulls().unique(maintain_order=True)).to_list()
    if "value" in settings:
        value = settings["value"]
        return Constant(
            series.name, None if value is None else stated.text_of(value), name_of(series.dtype)
        )
    if len(texts) > 1:
        raise UsageError(
            f"data.columns.{series.name}.kind=constant: it has {len(texts)} values, such as "
            f"{texts[0]} and {texts[1]}; say which by {saying(series.name, 'value', texts[0])}"
        )
    return Constant(series.name, texts[0] if texts else None, name_of(series.dtype))


def _category(values: pl.Series, settings: Mapping[str, Any], missing: bool, most: int) -> Category:
    name = values.name
    found = as_text(values.unique().sort()).to_list()
    if "values" in settings:
        known = stated.texts(name, settings["values"])
        unknown = [value for value in found if value not in set(known)]
        if unknown:
            raise UsageError(f"data.columns.{name}.values: the table has {unknown[0]!r} too")
        found = list(known)
    if len(found) > most:
        raise UsageError(
            f"column {name}: it has {len(found):,} values, and a category may have {most:,}; leave "
            f"it out by {saying(name, 'kind', 'drop')}, have it made anew by "
            f"{saying(name, 'kind', 'key')}, or say data.most={len(found)}"
        )
    return Category(name, tuple(found), missing, name_of(values.dtype))


def _number(values: pl.Series, settings: Mapping[str, Any], missing: bool) -> Number:
    name, dtype = values.name, name_of(values.dtype)
    if not values.dtype.is_numeric() and not values.dtype.is_temporal():
        raise UsageError(
            f"data.columns.{name}.kind=number: its values are none, such as {values[0]!r}; "
            f"say {saying(name, 'kind', 'category')}"
        )
    physical = values.to_physical().cast(pl.Float64).sort()
    ends = {"low": float(physical[0]), "high": float(physical[-1])}
    low, high = (
        stated.bound(name, key, settings[key], dtype) if key in settings else end
        for key, end in ends.items()
    )
    decimals = int(settings.get("decimals", _decimals(values)))
    column = stated.check_range(Number(name, low, high, decimals, missing, dtype))
    if ends["low"] < low or ends["high"] > high:
        ordered = values.sort()
        raise UsageError(
            f"data.columns.{name}: its values go from {ordered[0]} to {ordered[-1]}, beyond the "
            "range that is stated"
        )
    return column


def _decimals(values: pl.Series) -> int:
    if values.dtype.is_float():
        return parsing.decimals(values)
    if isinstance(values.dtype, pl.Datetime):
        # As many zeros of its microseconds as every value has: whole seconds, or milliseconds.
        physical = values.to_physical()
        return next((-zeros for zeros in (6, 3) if (physical % 10**zeros == 0).all()), 0)
    return 0


def _determined(
    frame: pl.DataFrame, name: str, settings: Mapping[str, Any], found: Mapping[str, Column]
) -> Column:
    by = found.get(settings["by"])
    if "values" in settings:
        column = stated.determined(name, settings, by, name_of(frame[name].dtype))
        assert isinstance(by, Category)
        determined.check(frame, column, by)
        return column
    if not isinstance(by, Category):
        raise UsageError(f"data.columns.{name}.by={settings['by']}: it has to be a category")
    return determined.stated(frame, by, name)
