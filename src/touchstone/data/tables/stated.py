"""Columns as the user states them: the settings `data.columns`, judged, and made into a schema.

A schema made of these alone says nothing of the file's rows, as private training needs it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import polars as pl

from touchstone.data.tables.encoding import as_text, name_of, of_floats, typed
from touchstone.data.tables.parsing import BOOLEAN, WHOLE
from touchstone.data.tables.schema import (
    Category,
    Column,
    Constant,
    Determined,
    Key,
    Number,
    Schema,
)
from touchstone.errors import UsageError

# What is stated of each column, by its name, such as `{"age": {"kind": "number", "low": 17}}`.
Stated: TypeAlias = Mapping[str, Mapping[str, Any]]

SETTINGS = {
    "number": {"low", "high", "decimals", "missing", "format"},
    "category": {"values", "missing"},
    "constant": {"value"},
    "key": {"prefix"},
    "determined": {"by", "values"},
}
# What was stated of a column that is left out may stay.
SETTINGS["drop"] = set[str]().union(*SETTINGS.values())
NEEDED = {"number": ("low", "high"), "category": ("values",), "determined": ("by", "values")}


def check(stated: Stated, names: Sequence[str]) -> None:
    """Refuses settings of columns that the file has not, or that there are not.

    Raises:
        UsageError: the message names the column and the setting.
    """
    for name, settings in stated.items():
        subject = f"data.columns.{name}"
        if name not in names:
            raise UsageError(f"{subject}: the file has no such column; it has {', '.join(names)}")
        kind = settings.get("kind")
        if kind is not None and kind not in SETTINGS:
            raise UsageError(f"{subject}.kind={kind}: it has to be one of {', '.join(SETTINGS)}")
        known = SETTINGS[kind or "drop"]
        for setting in settings:
            if setting != "kind" and setting not in known:
                what = f"of kind={kind}" if kind else "of a column"
                raise UsageError(
                    f"{subject}.{setting}: there is no such setting {what}; "
                    f"there are {', '.join(sorted(known))}"
                )
        if kind == "determined" and "by" not in settings:
            raise UsageError(f"{subject}.by: say which category determines it")


def schema(stated: Stated, types: Mapping[str, pl.DataType], target: str | None) -> Schema:
    """Makes a schema of what is stated alone.

    Args:
        stated: of every column.
        types: of the file's columns, in order.
        target: the category that is to be predicted.

    Raises:
        UsageError: a column of which something is not stated; the message says what.
    """
    check(stated, list(types))
    missing = [
        f"{name}: {', '.join(lacking)}"
        for name in types
        if (lacking := _lacking(stated.get(name, {})))
    ]
    if missing:
        listed = "\n  ".join(missing)
        raise UsageError(
            "what the file's rows would tell of a column has to be public for private training. "
            f"Not stated of data.columns:\n  {listed}\n"
            "State each from public knowledge, such as the data's documentation, or kind=drop."
        )
    kept = {name: dtype for name, dtype in types.items() if stated[name]["kind"] != "drop"}
    made: dict[str, Column] = {}
    # A column that another determines has its values in that one's order.
    for name in sorted(kept, key=lambda name: stated[name]["kind"] == "determined"):
        made[name] = _column(name, stated[name], kept[name], made)
    return Schema(tuple(made[name] for name in kept), target)


def text_of(value: object) -> str:
    """A setting as a category names it: YAML's `true` and 3 are text there."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def texts(name: str, values: Sequence[object]) -> tuple[str, ...]:
    """The stated values of a category.

    Raises:
        UsageError: none, or one twice.
    """
    found = tuple(text_of(value) for value in values)
    if not found or len(set(found)) < len(found):
        raise UsageError(f"data.columns.{name}.values: there has to be one, and each only once")
    return found


def dtype_of_texts(found: Sequence[str]) -> str:
    """`Int64` of whole numbers alone, `Boolean` of `true` and `false`, `String` of other text."""
    text = pl.Series(found, dtype=pl.String)
    if found and text.str.contains(WHOLE).all():
        return "Int64"
    return "Boolean" if found and text.str.contains(BOOLEAN).all() else "String"


def bound(name: str, setting: str, value: object, dtype: str) -> float:
    """A stated bound in the type's own unit: days for `Date`, microseconds for `Datetime`.

    Raises:
        UsageError: it is no number, or no point in time in the form of ISO 8601.
    """
    try:
        if not dtype.startswith("Date"):
            return float(str(value))
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise UsageError(f"data.columns.{name}.{setting}={value}: {error}") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    return seconds // 86_400 if dtype == "Date" else round(seconds * 1e6)


def check_range(column: Number) -> Number:
    """The column.

    Raises:
        UsageError: its range is empty.
    """
    if column.low > column.high:
        raise UsageError(
            f"data.columns.{column.name}: low={column.low:g} is above high={column.high:g}"
        )
    return column


def _lacking(settings: Mapping[str, Any]) -> list[str]:
    if "kind" not in settings:
        return ["kind"]
    return [setting for setting in NEEDED.get(settings["kind"], ()) if setting not in settings]


def _column(
    name: str, settings: Mapping[str, Any], dtype: pl.DataType, made: Mapping[str, Column]
) -> Column:
    kind, missing = settings["kind"], bool(settings.get("missing", False))
    own = None if isinstance(dtype, pl.String) else name_of(dtype)
    if kind == "number":
        places = int(settings.get("decimals", 0))
        of = own or _dtype_of_bound(str(settings["low"]), places)
        low, high = (bound(name, key, settings[key], of) for key in ("low", "high"))
        return check_range(Number(name, low, high, places, missing, of))
    if kind == "category":
        # Of yes and no YAML makes other words, which no row has: all would be missing, unnoticed.
        if own is None and any(isinstance(value, bool) for value in settings["values"]):
            raise UsageError(
                f"data.columns.{name}.values: to YAML yes, no, true and false are no words; write "
                "them in quotes"
            )
        values = texts(name, settings["values"])
        return Category(name, values, missing, own or dtype_of_texts(values))
    if kind == "constant":
        value = settings.get("value")
        return Constant(name, None if value is None else text_of(value), own or "String")
    if kind == "key":
        prefix = str(settings.get("prefix", ""))
        whole = own is None or dtype.is_integer()
        return Key(name, prefix, "Int64" if whole and not prefix else "String")
    return determined(name, settings, made.get(settings["by"]), own)


def determined(
    name: str, settings: Mapping[str, Any], by: Column | None, dtype: str | None = None
) -> Determined:
    """A column looked up in the stated values, a mapping of the category's to its own, or to null.

    Raises:
        UsageError: what determines it is no category, or a value of it is left out.
    """
    if not isinstance(by, Category):
        raise UsageError(f"data.columns.{name}.by={settings['by']}: it has to be a category")
    known = {
        text_of(key): None if value is None else text_of(value)
        for key, value in dict(settings["values"]).items()
    }
    left = [value for value in by.values if value not in known]
    if left:
        raise UsageError(f"data.columns.{name}.values: there is none for {by.name}={left[0]}")
    values = tuple(known[value] for value in by.values)
    there = [value for value in values if value is not None]
    return Determined(name, by.name, values, None, dtype or dtype_of_texts(there))


def within(schema: Schema, frame: pl.DataFrame) -> pl.DataFrame:
    """Brings every value into the schema: a mapping of each row by itself, whatever it holds.

    A number is cut off at its range; an unknown value of a category becomes a missing one. Where a
    value may not be missing, it becomes the least number, or the first value.
    """
    return frame.with_columns(
        [_number_within(column, frame[column.name]) for column in schema.numbers]
        + [_category_within(column, frame[column.name]) for column in schema.categories]
    )


def _number_within(column: Number, series: pl.Series) -> pl.Series:
    numbers = series.to_physical().cast(pl.Float64).clip(column.low, column.high)
    numbers = numbers if column.missing else numbers.fill_null(column.low)
    return of_floats(numbers, series.dtype)


def _category_within(column: Category, series: pl.Series) -> pl.Series:
    first = None if column.missing else column.values[0]
    text = as_text(series)
    known = pl.select(
        pl.when(text.is_in(column.values)).then(text).otherwise(pl.lit(first, pl.String))
    ).to_series()
    return typed(column.name, known, column.dtype)


def _dtype_of_bound(low: str, places: int) -> str:
    """The type of a number in text, by its lower bound: `2020-01-31` is a day."""
    if low.count("-") >= 2:
        return "Datetime" if ":" in low else "Date"
    return "Float64" if places > 0 else "Int64"
