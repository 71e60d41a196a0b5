"""What the text of a column stands for: whole numbers, numbers, booleans or points in time."""

from collections.abc import Iterator

import polars as pl

from touchstone.data.tables.encoding import type_of
from touchstone.data.tables.naming import saying
from touchstone.errors import UsageError

WHOLE = r"^-?(0|[1-9]\d{0,17})$"  # what an Int64 holds, and writes again as it was
NUMBER = r"^-?((0|[1-9]\d*)\.?\d*|\.\d+)([eE][+-]?\d+)?$"
CODE = r"^(0\d+|-?\d{19,})$"  # a postcode or the number of an account, but no quantity
BOOLEAN = r"^(?i:true|false)$"
DATE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([ T]\d|$)"

DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
ISO = {"Date": "%Y-%m-%d", "Datetime": "%Y-%m-%d %H:%M:%S%.f"}
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S%.f")

MANY = 20  # different numbers among which words are a mistake, and the numbers no codes
NAMES = {"numbers": NUMBER, "dates": DATE}


def dtype_of(name: str, text: pl.Series, form: str | None = None) -> str:
    """The type that every value of a column of text has, by polars' name; `String` is always one.

    Numbers that begin with a 0 or have 19 digits, such as of accounts, are text. So are some
    numbers among words; but where half of the values or more are numbers (or dates), more than
    `MANY` different ones, a word among them is a mistake.

    Args:
        name: the column's.
        text: its values.
        form: of its points in time, as `strptime` takes it, where it is known.

    Raises:
        UsageError: a column of mixed types, or dates that can be read in two ways.
    """
    counts = text.drop_nulls().value_counts()
    values, count = counts[text.name], counts["count"]
    if not len(values):
        return "String"
    if form is not None:
        return _dtype_of_times(form)
    if values.str.contains(BOOLEAN).all():
        return "Boolean"
    if values.str.contains(CODE).any():
        return "String"
    for dtype, pattern in (("Int64", WHOLE), ("Float64", NUMBER)):
        if values.str.contains(pattern).all():
            return dtype
    found = times(name, values)
    if found is not None:
        return _dtype_of_times(found)
    for kind, pattern in NAMES.items():
        fits = values.str.contains(pattern)
        if int(fits.sum()) > MANY and 2 * int(count.filter(fits).sum()) >= int(count.sum()):
            words = ", ".join(map(repr, values.filter(~fits).sort().to_list()[:3]))
            raise UsageError(
                f"column {name} is mixed: {kind}, and {count.filter(~fits).sum()} times something "
                f"else, such as {words}; correct these or leave them empty, or say "
                f"{saying(name, 'kind', 'category')} if they are meant"
            )
    return "String"


def times(name: str, values: pl.Series) -> str | None:
    """The form that all values, different ones, have as points in time; None where they have none.

    Raises:
        UsageError: they have several, which give different points.
    """
    if not len(values) or not values.str.contains(DATE).all():
        return None
    found: dict[str, pl.Series] = {}
    for form in _forms():
        if len(_strptime(values[:1], form).drop_nulls()):
            parsed = _strptime(values, form)
            if not parsed.null_count():
                found[form] = parsed
    for first in found:
        for other in found:
            if not found[first].equals(found[other]):
                raise UsageError(
                    f"column {name}: {values[0]} can be read as {first} and as {other}; say which "
                    f"by {saying(name, 'format', repr(first))}, or leave it text by kind=category"
                )
        return first
    return None


def parse(name: str, text: pl.Series, dtype: str, form: str | None = None) -> pl.Series:
    """Reads a column of text as a type.

    Args:
        name: the column's.
        text: its values.
        dtype: polars' name of the type.
        form: of its points in time, where it is known.

    Returns:
        The column, null where the text is null or says something else.

    Raises:
        UsageError: dates that can be read in two ways.
    """
    if dtype == "Boolean":
        return text.str.to_lowercase().replace_strict(
            {"true": True, "false": False}, default=None, return_dtype=pl.Boolean
        )
    if not dtype.startswith("Date"):
        to = type_of(dtype)
        # Pandas writes whole numbers as 3.0 where one is missing.
        shown = text.str.replace(r"\.0*$", "") if to.is_integer() else text
        return shown.cast(to, strict=False)
    form = form or times(name, text.drop_nulls().unique())
    if form is None:
        return pl.Series(text.name, [None] * len(text), dtype=type_of(dtype))
    return _strptime(text, form).cast(type_of(dtype))


def decimals(numbers: pl.Series) -> int:
    """Digits after the point, 0 to 15, that all numbers can be written with."""
    text = numbers.drop_nulls().unique().cast(pl.String)
    parts = text.to_frame("text").select(
        digits=pl.col("text").str.extract(r"\.(\d*?)0*(?:[eE]|$)").str.len_chars().fill_null(0),
        exponent=pl.col("text").str.extract(r"[eE]([+-]?\d+)").cast(pl.Int64).fill_null(0),
    )
    most = parts.select((pl.col("digits").cast(pl.Int64) - pl.col("exponent")).max()).item()
    return min(max(most or 0, 0), 15)


def _forms() -> Iterator[str]:
    yield from DAYS
    yield from (f"{day}{mark}{clock}" for day in DAYS for clock in CLOCKS for mark in (" ", "T"))


def _dtype_of_times(form: str) -> str:
    return "Datetime" if "%H" in form else "Date"


def _strptime(text: pl.Series, form: str) -> pl.Series:
    dtype = pl.Datetime("us") if "%H" in form else pl.Date
    return text.str.strptime(dtype, form, strict=False)
