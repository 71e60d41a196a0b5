"""Synthetic rows of a table: as many as are wanted, and of those people who are wanted."""

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from touchstone.data.tables.encoding import Encoder, conditions, type_of, typed
from touchstone.data.tables.schema import (
    Category,
    Constant,
    Determined,
    Key,
    Number,
    Schema,
)
from touchstone.errors import UsageError
from touchstone.sampling import CHUNK, Sampler

BLOCK = 10 * CHUNK  # rows that are held at once
ENOUGH = 10_000  # rows, after which it is judged whether any more are worth making
RARE = 0.05  # the share of rows with a value, below which a generator is asked for it
FEWEST = 1 / 1_000  # the share of them that has to fit
SHOWN = 12  # values of a column that a message lists


@dataclass(frozen=True)
class Clause:
    """What rows have to be, in one of their columns: `where.COLUMN=TEXT`.

    Attributes:
        column: the column's name.
        text: as the user wrote it.
        fits: whether a row of a decoded frame does.
        category: the encoded category that decides it; none of a number.
        values: with which of its values a row fits, by their numbers.
    """

    column: str
    text: str
    fits: pl.Expr
    category: str | None = None
    values: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"where.{self.column}={self.text}"

    @classmethod
    def of(cls, encoder: Encoder, name: str, text: str) -> "Clause":
        """Reads what is wanted of a column.

        Args:
            encoder: of the table.
            name: of a column of its file.
            text: a value, as a CSV file would have it; of numbers and points in time a range, too,
                as `[30,40]`, both of its ends within; `null` for one that is missing.

        Raises:
            UsageError: there is no such column, or it has no such value.
        """
        schema = encoder.schema
        if name not in schema.names:
            near = difflib.get_close_matches(name, schema.names, n=3)
            there = f"did you mean {' or '.join(near)}?" if near else ", ".join(schema.names)
            raise UsageError(f"where.{name}={text}: there is no such column; {there}")
        column = schema[name]
        if isinstance(column, Key):
            raise UsageError(
                f"where.{name}={text}: the column tells rows apart, and is made anew for each; "
                "name one of the others"
            )
        if isinstance(column, Number):
            return cls(name, text, _within(column, text))
        values = _values(schema, column)
        value = _value(name, text, values)
        wanted = typed(name, [value], column.dtype)
        fits = pl.col(name).eq_missing(pl.lit(wanted.item(), dtype=wanted.dtype))
        if isinstance(column, Constant):
            return cls(name, text, fits)
        category = column.by if isinstance(column, Determined) else name
        numbers = (number for number, each in enumerate(values) if each == value)
        return cls(name, text, fits, category, frozenset(numbers))


@dataclass(frozen=True)
class Synthesis:
    """A table's rows as a generator makes them; the first are the same however many are wanted.

    What does not fit the clauses is left out. A conditional generator is asked for the rarest of
    the values that they come to, if it is rare: then hardly a row would fit. Of what is frequent
    the rows that fit are nearer to real ones than those that are asked for: a generator that was
    shown each value by the logarithm of its number overdoes what goes with it.

    Attributes:
        sampler: of a generator of the encoder's rows.
        encoder: turns rows into frames.
        clauses: all of which every row has to fit.
    """

    sampler: Sampler
    encoder: Encoder
    clauses: tuple[Clause, ...] = ()

    @property
    def asked(self) -> int | None:
        """The condition that the generator is given; None where it draws its own, or knows none."""
        frequencies = getattr(self.sampler.generator, "frequencies", ())
        if not len(frequencies):
            return None
        found, offset = list[int](), 0
        categories = list(conditions(self.encoder))
        for category, size in categories:
            values = frozenset(range(size)).intersection(
                *(clause.values for clause in self.clauses if clause.category == category)
            )
            # Of several values none is asked for: how often each is right is left to the generator.
            found += [offset + number for number in values if len(values) == 1 < size]
            offset += size
        # A condition is drawn by its category, each as likely, and then by its share in it.
        shares = {number: float(frequencies[number]) * len(categories) for number in found}
        rare = [number for number, share in shares.items() if share < RARE]
        return min(rare, key=shares.__getitem__, default=None)

    def frames(
        self, number: int, watch: Callable[[int, int], None] = lambda made, fitting: None
    ) -> Iterator[pl.DataFrame]:
        """Makes rows, at most `BLOCK` at once.

        Args:
            number: how many.
            watch: is told, as they are made, how many there are so far and how many of them fit.

        Yields:
            Frames of the original's columns and types; keys count on from one to the next.

        Raises:
            UsageError: of `ENOUGH` rows or more, fewer than 1 in 1,000 fit.
        """
        fitting, waiting = self._fitting(watch), torch.empty(0, self.encoder.width)
        for done in range(0, number, BLOCK):
            size = min(BLOCK, number - done)
            while len(waiting) < size:
                waiting = torch.cat([waiting, next(fitting)])
            yield self.encoder.decode(waiting[:size], first=done)
            waiting = waiting[size:]

    def _fitting(self, watch: Callable[[int, int], None]) -> Iterator[Tensor]:
        """The rows that fit, encoded, block after block.

        A block is made whole, even if less is wanted: a network may round otherwise with another
        batch size, and a number next to a half be another.
        """
        made = fitting = 0
        while made < ENOUGH or fitting >= FEWEST * made:
            rows = self._made(range(made, made + BLOCK))
            kept = rows[self._fits(rows)] if self.clauses else rows
            made, fitting = made + len(rows), fitting + len(kept)
            watch(made, fitting)
            yield kept
        raise UsageError(
            f"{' '.join(map(str, self.clauses))}: {fitting} of the {made:,} rows made fit, fewer "
            "than 1 in 1,000; ask for less"
        )

    def _made(self, numbers: range) -> Tensor:
        if self.asked is None:
            return self.sampler.of(numbers)
        return self.sampler(self.sampler.latents(numbers), torch.full((len(numbers),), self.asked))

    def _fits(self, rows: Tensor) -> Tensor:
        """Whether rows `(N, F)` fit, bool `(N,)`: as they will be written, after all rounding."""
        frame = self.encoder.decode(rows)
        fits = frame.select(pl.all_horizontal(clause.fits for clause in self.clauses)).to_series()
        return torch.from_numpy(fits.fill_null(False).to_numpy().copy())


def _values(schema: Schema, column: Category | Constant | Determined) -> list[str | None]:
    """A column's values: of one that is determined, those that go with the category's."""
    if isinstance(column, Constant):
        return [column.value]
    if isinstance(column, Category):
        return [*column.values, *([None] if column.missing else [])]
    by = schema[column.by]
    assert isinstance(by, Category)
    return [*column.values, *([column.otherwise] if by.missing else [])]


def _value(name: str, text: str, values: Sequence[str | None]) -> str | None:
    """The value that is meant: as it is written or, for `null`, the missing one."""
    if text in values:
        return text
    if text == "null" and None in values:
        return None
    there = list(dict.fromkeys("null" if value is None else value for value in values))
    near = difflib.get_close_matches(text, there, n=3, cutoff=0.5)
    listed = [*near, *(value for value in there if value not in near)]
    more = f" and {len(there) - SHOWN:,} more" if len(there) > SHOWN else ""
    raise UsageError(
        f"where.{name}={text}: the column has no such value; "
        f"it has {', '.join(listed[:SHOWN])}{more}"
    )


def _within(column: Number, text: str) -> pl.Expr:
    """Whether a number, or a point in time, is the one meant, or in the range."""
    this = pl.col(column.name)
    if text == "null" and column.missing:
        return this.is_null()
    bounds = pl.Series([column.low, column.high])
    if not type_of(column.dtype).is_float():
        bounds = bounds.cast(pl.Int64)
    least, most = bounds.cast(type_of(column.dtype))
    found = re.fullmatch(r"\[([^,]*),([^,]*)\]", text)
    try:
        low, high = (
            typed(column.name, [end.strip()], column.dtype).item()
            for end in (found.groups() if found else (text, text))
        )
        possible = low <= high and low <= most and high >= least
    except pl.exceptions.PolarsError:
        possible = False
    if not possible:
        raise UsageError(
            f"where.{column.name}={text}: it has to be a value or a range, low end first, and not "
            f"beside where.{column.name}=[{least},{most}], which holds all that there are"
        )
    dtype = type_of(column.dtype)
    return this.is_between(pl.lit(low, dtype=dtype), pl.lit(high, dtype=dtype))
