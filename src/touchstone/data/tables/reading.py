"""A user's table, as its file has it: CSV as text, Parquet by its own types."""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from touchstone.errors import UsageError

TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")  # how the names of text files end
SEPARATORS = ",;\t|"
MISSING = ("", "NA", "N/A", "NaN", "null", "None", "?")
CHUNK = 20_000  # lines that are held as Python's own text at once


def is_text(path: Path) -> bool:
    """Whether a file is one of text, whose types are to be found."""
    return path.name.lower().endswith(TEXT)


def read(path: str | Path, names: Sequence[str] | None = None) -> pl.DataFrame:
    """Reads a table; blanks around a value are no part of it.

    Args:
        path: a file of text, whose separator is found among comma, semicolon, tab and bar, or
            `.parquet`.
        names: of the columns, for a file of text that has no header.

    Returns:
        N rows: of a file of text all columns text, with null where it says that a value is missing
        (`MISSING`); of a Parquet file its own types, with null for NaN too.

    Raises:
        UsageError: there is no such file, or it is no table: not UTF-8, no header or rows, names
            that are empty or there twice, lines of another length, or a column of no plain values.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise UsageError(f"{path}: there is no such file")
    if is_text(place):
        frame = _read_text(place, names)
    elif place.name.lower().endswith(".parquet"):
        frame = _read_parquet(place)
    else:
        raise UsageError(f"{path}: its name has to end in {', '.join(TEXT)} or .parquet")
    if not frame.height:
        raise UsageError(f"{path}: it has no rows")
    return frame


def _read_text(path: Path, names: Sequence[str] | None) -> pl.DataFrame:
    content = _decoded(path)
    lines = csv.reader(
        io.StringIO(content, newline=""), delimiter=_separator(content), skipinitialspace=True
    )
    try:
        header = [name.strip() for name in (names or next(filter(None, lines), []))]
        _check_names(path, header)
        strings = pl.Schema([(name, pl.String()) for name in header])
        if '"' in content:
            text = _quoted(path, ((lines.line_num, line) for line in lines), strings)
        else:
            text = _plain(path, content, lines.dialect.delimiter, strings, named=names is None)
    except csv.Error as error:
        raise UsageError(f"{path}: line {lines.line_num}: {error}") from error
    stripped = text.with_columns(pl.all().str.strip_chars())
    return stripped.with_columns(
        pl.when(~pl.all().is_in(MISSING)).then(pl.all()).otherwise(None).name.keep()
    )


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path}: it cannot be read ({error})") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}: line {line} is not UTF-8 ({error.reason}); save the file as UTF-8"
        ) from error


def _separator(content: str) -> str:
    """The separator that cuts the first lines alike, and into the most columns."""
    start = list(islice(io.StringIO(content, newline=""), 20))

    def cut(separator: str) -> tuple[bool, bool, int]:
        lines = csv.reader(start, delimiter=separator, skipinitialspace=True)
        widths = [len(line) for line in lines if line] or [0]
        # The last line may end within a quoted value.
        alike = len(set(widths[: max(2, len(widths) - 1)])) == 1
        return widths[0] > 1, alike, widths[0]

    return max(SEPARATORS, key=cut)


def _quoted(path: Path, lines: Iterator[tuple[int, list[str]]], strings: pl.Schema) -> pl.DataFrame:
    """The rows, by Python's reader, which knows of every line how it was cut."""
    width = len(strings)

    def rows() -> Iterator[list[str]]:
        for number, line in lines:
            if line:
                _check_width(path, number, len(line), width)
                yield line

    whole, chunks = rows(), [strings.to_frame()]
    while chunk := list(islice(whole, CHUNK)):
        chunks.append(pl.DataFrame(chunk, schema=strings, orient="row"))
    return pl.concat(chunks)


def _plain(
    path: Path, content: str, separator: str, strings: pl.Schema, *, named: bool
) -> pl.DataFrame:
    """The rows, where nothing is quoted: five times as fast by Polars, which pads short lines."""
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((number for number, line in enumerate(lines) if line), 0) + 1 if named else 0
    for number, line in enumerate(lines[first:], start=first + 1):
        if line:
            _check_width(path, number, line.count(separator) + 1, len(strings))
    rows = "\n".join(filter(None, lines[first:]))
    if not rows:
        return strings.to_frame()
    return pl.read_csv(
        io.BytesIO(rows.encode()),
        schema=strings,
        has_header=False,
        separator=separator,
        quote_char=None,
    )


def _check_width(path: Path, number: int, width: int, known: int) -> None:
    if width != known:
        raise UsageError(
            f"{path}: line {number} has {width} values, the header {known}; put a value that holds "
            "the separator between double quotes"
        )


def _check_names(path: Path, names: Sequence[str]) -> None:
    if not names:
        raise UsageError(f"{path}: it is empty; its first line has to name the columns")
    if "" in names:
        raise UsageError(
            f"{path}: column {names.index('') + 1} has no name; give it one in the header, or "
            "leave the column out (where pandas wrote it: index=False)"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(
            f"{path}: its header has the name {' and the name '.join(twice)} more than once; "
            "every column has to have a name of its own"
        )


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: damaged, or no Parquet file ({reason})") from error
    _check_names(path, [name.strip() for name in frame.columns])
    return pl.DataFrame([_of_kind(path, series) for series in frame])


def _of_kind(path: Path, series: pl.Series) -> pl.Series:
    """A column of one of the types that a schema has."""
    dtype = series.dtype
    if isinstance(dtype, pl.Categorical | pl.Enum | pl.Null):
        return series.cast(pl.String)
    if isinstance(dtype, pl.Datetime):
        return series.cast(pl.Datetime("us", "UTC" if dtype.time_zone else None))
    if dtype.is_decimal():
        series = series.cast(pl.Float64)
    if series.dtype.is_float():
        if series.is_infinite().any():
            raise UsageError(
                f"{path}: column {series.name} has a value that is infinite; "
                "make it a number, or leave it out"
            )
        return series.fill_nan(None)
    if dtype.is_integer() or isinstance(dtype, pl.String | pl.Boolean | pl.Date):
        return series
    raise UsageError(
        f"{path}: column {series.name} is of type {dtype}; a column has to hold numbers, text, "
        "booleans, dates or points in time"
    )
