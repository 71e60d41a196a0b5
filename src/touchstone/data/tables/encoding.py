"""Rows as the networks take them, and back (Xu et al. 2019, CTGAN, arXiv 1907.00503, section 4.2).

A number becomes one of its modes, one-hot, and where it lies in it, `alpha = (c - eta) / (4 phi)`;
a category becomes one-hot. A value that is missing is a further mode, or a further category.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from touchstone.data.tables.schema import Category, Constant, Determined, Key, Number, Schema
from touchstone.draws import Draws, derive
from touchstone.errors import UsageError

SPREAD = 4  # deviations of a mode that its numbers are divided by
JOINT = " & "  # between the values that a category joins

# By the names that a schema gives them.
TYPES: dict[str, pl.DataType] = {
    "Int8": pl.Int8(),
    "Int16": pl.Int16(),
    "Int32": pl.Int32(),
    "Int64": pl.Int64(),
    "UInt8": pl.UInt8(),
    "UInt16": pl.UInt16(),
    "UInt32": pl.UInt32(),
    "UInt64": pl.UInt64(),
    "Float32": pl.Float32(),
    "Float64": pl.Float64(),
    "String": pl.String(),
    "Boolean": pl.Boolean(),
    "Date": pl.Date(),
    "Datetime": pl.Datetime("us"),
    "Datetime UTC": pl.Datetime("us", "UTC"),
}

# `("number", K)`: a scalar in [-1, 1] and K modes, one-hot; `("category", K)`: K values, one-hot.
Layout: TypeAlias = list[tuple[str, int]]


@dataclass(frozen=True)
class Modes:
    """The Gaussians of a column of numbers.

    Attributes:
        means: eta, one a mode, in the column's unit.
        deviations: phi, more than 0.
        weights: mu, which sum to 1.
    """

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[float, ...]

    @classmethod
    def between(cls, low: float, high: float) -> "Modes":
        """One mode, in which all numbers from `low` to `high` have an alpha in [-1, 1]."""
        return cls(((low + high) / 2,), (max(high - low, 1e-6) / 2 / SPREAD,), (1.0,))

    def posterior(self, values: Tensor) -> Tensor:
        """How likely each mode made each of the values `(N,)`: `(N, K)`, rows that sum to 1."""
        means, deviations, weights = self._tensors()
        distance = (values[:, None] - means) / deviations
        return (weights.log() - deviations.log() - distance.square() / 2).softmax(dim=1)

    def alpha(self, values: Tensor, chosen: Tensor) -> Tensor:
        """Where values `(N,)` lie in the modes chosen `(N,)`, cut off at -1 and 1."""
        means, deviations, _ = self._tensors()
        return ((values - means[chosen]) / (SPREAD * deviations[chosen])).clamp(-1, 1)

    def values(self, alpha: Tensor, chosen: Tensor) -> Tensor:
        """The numbers `(N,)` that lie there."""
        means, deviations, _ = self._tensors()
        return alpha * SPREAD * deviations[chosen] + means[chosen]

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        means, deviations, weights = (
            torch.tensor(each, dtype=torch.float64)
            for each in (self.means, self.deviations, self.weights)
        )
        return means, deviations, weights


@dataclass(frozen=True)
class Encoder:
    """Turns frames of a schema into rows of numbers, and back.

    Attributes:
        schema: of the frames.
        modes: of each column of numbers, by name.
    """

    schema: Schema
    modes: Mapping[str, Modes]

    @property
    def layout(self) -> Layout:
        """The blocks of an encoded row, in order."""
        return [
            ("number", len(self.modes[column.name].means) + column.missing)
            if isinstance(column, Number)
            else ("category", len(column.values) + column.missing)
            for column in self._encoded
        ]

    @property
    def width(self) -> int:
        """F, the numbers of an encoded row."""
        return sum(size + (kind == "number") for kind, size in self.layout)

    @property
    def places(self) -> dict[str, slice]:
        """Where each encoded column's block lies in a row, by the column's name."""
        found, start = {}, 0
        for column, (kind, size) in zip(self._encoded, self.layout, strict=True):
            stop = start + size + (kind == "number")
            found[column.name] = slice(start, stop)
            start = stop
        return found

    def encode(self, frame: pl.DataFrame) -> Tensor:
        """Encodes rows; a number's mode is drawn from its posterior, for equal frames alike.

        Args:
            frame: of the schema's columns and types, N rows.

        Returns:
            float32 `(N, F)`, in [-1, 1].

        Raises:
            UsageError: a value that the schema does not have, with the column's name.
        """
        blocks = [
            self._encode_number(column, frame[column.name])
            if isinstance(column, Number)
            else encode_category(column, series_of(column, frame))
            for column in self._encoded
        ]
        return torch.cat(blocks, dim=1) if blocks else torch.empty(len(frame), 0)

    def decode(self, rows: Tensor, first: int = 0) -> pl.DataFrame:
        """Decodes rows `(N, F)`: of each one-hot block the largest is taken.

        Args:
            rows: as a generator makes them.
            first: how many rows were made before these: new keys count on from there.

        Returns:
            N rows of the schema's columns, types and ranges.
        """
        rows = rows.detach().cpu()
        columns: dict[str, pl.Series] = {}
        for column, place in self.places.items():
            block, kind = rows[:, place], self.schema[column]
            columns[column] = (
                self._decode_number(kind, block)
                if isinstance(kind, Number)
                else _decode_category(kind, block)
                if isinstance(kind, Category)
                else pl.Series()
            )
        for other in self.schema.columns:
            if isinstance(other, Constant):
                columns[other.name] = typed(other.name, [other.value] * len(rows), other.dtype)
            elif isinstance(other, Key):
                numbers = range(first + 1, first + 1 + len(rows))
                keys = [f"{other.prefix}{number}" for number in numbers]
                columns[other.name] = typed(other.name, keys, other.dtype)
            elif isinstance(other, Determined):
                columns[other.name] = self._look_up(other, columns[other.by])
        return pl.DataFrame([columns[name] for name in self.schema.names])

    def to_json(self) -> str:
        """The encoder as text that `from_json` reads."""
        modes = {
            name: {"means": of.means, "deviations": of.deviations, "weights": of.weights}
            for name, of in self.modes.items()
        }
        return json.dumps({"schema": json.loads(self.schema.to_json()), "modes": modes}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Encoder":
        """Reads what `to_json` wrote.

        Raises:
            UsageError: it is something else.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            modes = {
                name: Modes(*(tuple(of[key]) for key in ("means", "deviations", "weights")))
                for name, of in content["modes"].items()
            }
            return cls(Schema.from_json(json.dumps(content["schema"])), modes)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"damaged, or no table of touchstone ({error})") from error

    @property
    def _encoded(self) -> tuple[Number | Category, ...]:
        return tuple(
            column for column in self.schema.columns if isinstance(column, Number | Category)
        )

    def _encode_number(self, column: Number, series: pl.Series) -> Tensor:
        modes, absent = self.modes[column.name], _missing(column.name, series, column.missing)
        numbers = series.to_physical().cast(pl.Float64).fill_null(column.low)
        values = torch.from_numpy(numbers.to_numpy().copy())
        # By inverse cumulation: the first mode that the draw does not pass.
        draw = Draws(derive(0, "modes", column.name)).uniform(len(values)).double()
        cumulated = modes.posterior(values).cumsum(dim=1)
        chosen = (cumulated < draw[:, None]).sum(dim=1).clamp(max=len(modes.means) - 1)
        alpha = modes.alpha(values, chosen).masked_fill(absent, 0.0)
        chosen = chosen.masked_fill(absent, len(modes.means))
        size = len(modes.means) + column.missing
        return torch.cat([alpha[:, None], one_hot(chosen, size)], dim=1).float()

    def _decode_number(self, column: Number, block: Tensor) -> pl.Series:
        modes = self.modes[column.name]
        chosen = block[:, 1:].argmax(dim=1)
        absent = chosen == len(modes.means)
        values = modes.values(block[:, 0].double(), chosen.masked_fill(absent, 0))
        numbers = values.clamp(column.low, column.high).round(decimals=column.decimals)
        series = of_floats(pl.Series(column.name, numbers.numpy()), type_of(column.dtype))
        return series.set(pl.Series(absent.numpy()), None)

    def _look_up(self, column: Determined, by: pl.Series) -> pl.Series:
        category = self.schema[column.by]
        assert isinstance(category, Category)
        known = dict(zip(category.values, column.values, strict=True))
        found = [
            column.otherwise if value is None else known[value] for value in as_text(by).to_list()
        ]
        return typed(column.name, found, column.dtype)


def encode_category(column: Category, series: pl.Series) -> Tensor:
    """One-hot, float32 `(N, K)`; what is missing is the last of the K.

    Raises:
        UsageError: a value that the column does not have.
    """
    return one_hot(numbered(column, series), len(column.values) + column.missing).float()


def numbered(column: Category, series: pl.Series) -> Tensor:
    """The values' numbers, int64 `(N,)`; that of a missing one is the number of values.

    Raises:
        UsageError: a value that the column does not have.
    """
    absent = _missing(column.name, series, column.missing)
    text = as_text(series)
    numbers = {value: number for number, value in enumerate(column.values)}
    found = text.replace_strict(numbers, default=-1, return_dtype=pl.Int64).fill_null(-1)
    indices = torch.from_numpy(found.to_numpy().copy())
    unknown = (indices < 0) & ~absent
    if unknown.any():
        value = text[int(unknown.nonzero()[0])]
        raise UsageError(f"column {column.name}: it has no value {value!r} in its schema")
    return indices.masked_fill(absent, len(column.values))


def series_of(column: Category, frame: pl.DataFrame) -> pl.Series:
    """A category's column of a frame, or what it joins of several."""
    if not column.joins:
        return frame[column.name]
    joined = frame.select(pl.concat_str(column.joins, separator=JOINT).alias(column.name))
    return joined.to_series()


def as_text(series: pl.Series) -> pl.Series:
    """The values as a category names them."""
    return series.cast(pl.String)


def type_of(name: str) -> pl.DataType:
    """Polars' type of a name that a schema gives it."""
    return TYPES[name]


def of_floats(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Float64 as a type of numbers or of points in time."""
    if dtype.is_float():
        return series.cast(dtype)
    # Polars makes points in time of whole numbers alone.
    whole = dtype if dtype.is_integer() else pl.Int64()
    # The largest float64 that the type holds: its own largest number would be rounded up.
    most = 2**64 - 2**11 if dtype == pl.UInt64() else 2**63 - 2**10
    return series.clip(upper_bound=float(most)).cast(whole).cast(dtype)


def name_of(dtype: pl.DataType) -> str:
    """What a schema calls a type of Polars."""
    return next(name for name, known in TYPES.items() if known == dtype)


def conditions(encoder: Encoder) -> Iterator[tuple[str, int]]:
    """The categories of which one can be asked for, and how many values each has."""
    for column, (kind, size) in zip(encoder.places, encoder.layout, strict=True):
        if kind == "category":
            yield column, size


def _missing(name: str, series: pl.Series, allowed: bool) -> Tensor:
    absent = torch.from_numpy(series.is_null().to_numpy().copy())
    if not allowed and bool(absent.any()):
        raise UsageError(f"column {name}: a value is missing, which its schema does not allow")
    return absent


def _decode_category(column: Category, block: Tensor) -> pl.Series:
    values: list[str | None] = [*column.values, None]
    found = [values[number] for number in block.argmax(dim=1).tolist()]
    return typed(column.name, found, column.dtype)


def typed(name: str, texts: Sequence[str | None] | pl.Series, dtype: str) -> pl.Series:
    """A series of a type, of values as a category names them."""
    series = pl.Series(name, texts, dtype=pl.String)
    if dtype == "Boolean":
        return series == "true"
    if dtype == "Date":
        return series.str.to_date()
    if dtype.startswith("Datetime"):
        return series.str.to_datetime(time_unit="us").cast(type_of(dtype))
    return series.cast(type_of(dtype))
