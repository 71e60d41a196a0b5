"""The columns of a table, the generated ones over the real ones."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from PIL import Image, ImageDraw, ImageFont
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from touchstone.data.split import Split
from touchstone.data.tables.encoding import numbered, series_of
from touchstone.data.tables.rows import Rows
from touchstone.data.tables.schema import Category, Number, Schema
from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.gan import GAN
from touchstone.sampling import samples

ACROSS, FINER = 5, 2  # columns side by side; the picture is drawn twice as large
WIDTH, HEIGHT = 240, 196  # pixels of one column's place
LEFT, TOP, INNER = 14, 30, 212  # pixels to where it is drawn, and how wide that is
TALL, BAR, WORDS = 128, 14, 112  # pixels of a histogram, of a category's bar, and of its name
HEADING = 40  # pixels of the legend
BINS, MOST = 24, 8  # of a histogram, and values of a category that are named
TAIL = 0.005  # the share of the real numbers that the last bins hold with what lies beyond

# The one pale and filled, the other dark: told apart without colours, too.
REAL, GENERATED, INK, SOFT = (190, 200, 214), (200, 16, 96), (40, 44, 52), (110, 114, 122)


class Table(Callback):
    """Shows each column's values, real and generated, every so many images.

    At every logger that can show pictures, under `samples`. Of a private run's data no rows are at
    hand, and the generated ones stand alone.

    Args:
        every: images from one picture to the next.
        rows: generated ones that are shown.
    """

    def __init__(self, every: int, rows: int = 2000) -> None:
        self.every = every
        self.rows = rows

    def on_fit_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Takes the real rows.

        Raises:
            UsageError: samples that are no rows of a table.
        """
        split: Split = trainer.datamodule.images  # type: ignore[attr-defined]
        if not isinstance(split, Rows):
            other = "points" if split.shape == (2,) else "default"
            raise UsageError(
                "callbacks=table: it shows the columns of a table, and a sample of these data is "
                f"of the shape {split.shape}; use callbacks={other}"
            )
        self._encoder = split.encoder
        self._scales = scales(split.encoder.schema, split.frame)
        self._real = shares(self._scales, split.frame)

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Makes the picture when it is due."""
        if not module.passed(self.every) or not trainer.is_global_zero:
            return
        seed = derive(module.seed, "samples")
        made = samples(module.average.network, self.rows, seed=seed, device=module.device)
        frame = self._encoder.decode(torch.cat(list(made)))
        shown = draw(
            self._scales, self._real, shares(self._scales, frame), f"{module.images:,} rows shown"
        )
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("samples", [shown], step=module.images)


@dataclass(frozen=True)
class Histogram:
    """Bins of one width for a column of numbers, and one more for what is missing.

    Attributes:
        column: of numbers.
        low: where the first bin begins; it holds all below, too.
        width: of a bin.
        bins: how many there are; the last one holds all above, too.
        ends: what the first and the last bin hold, as text.
    """

    column: Number
    low: float
    width: float
    bins: int
    ends: tuple[str, str]

    @classmethod
    def of(cls, column: Number, real: pl.Series) -> "Histogram":
        """The bins that suit real values: each holds as many of those that could be."""
        known = real.drop_nulls()
        numbers = known.to_physical().cast(pl.Float64)
        low, high = (
            float(numbers.quantile(share, "nearest") or 0) if len(numbers) else bound
            for share, bound in ((TAIL, column.low), (1 - TAIL, column.high))
        )
        unit = 10.0**-column.decimals
        steps = round((high - low) / unit) + 1
        per_bin = math.ceil(steps / BINS)
        less = len(numbers) > 0 and float(numbers.min() or 0) < low  # type: ignore[arg-type]
        more = len(numbers) > 0 and float(numbers.max() or 0) > high  # type: ignore[arg-type]
        ends = "<= " * less + text_of(column, low), ">= " * more + text_of(column, high)
        return cls(column, low - unit / 2, per_bin * unit, math.ceil(steps / per_bin), ends)

    def shares(self, values: pl.Series) -> list[float]:
        """The share of the values in each bin; the last one's are missing."""
        numbers = values.to_physical().cast(pl.Float64)
        known = torch.from_numpy(numbers.drop_nulls().to_numpy().copy())
        places = ((known - self.low) / self.width).floor().clamp(0, self.bins - 1).long()
        counts = torch.bincount(places, minlength=self.bins).tolist()
        return [count / max(len(values), 1) for count in (*counts, len(values) - len(known))]


@dataclass(frozen=True)
class Bars:
    """The values of a category that are named, the most frequent first, and the others as one.

    Attributes:
        column: of a category.
        values: the numbers of those that are named.
        names: theirs, and that of the others where there are any.
    """

    column: Category
    values: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, column: Category, real: pl.Series) -> "Bars":
        """The values that most real rows have."""
        names = [*column.values, *["missing"] * column.missing]
        counts = numbered(column, real).bincount(minlength=len(names))
        order = counts.argsort(descending=True, stable=True).tolist()
        values = order if len(order) <= MOST + 1 else order[:MOST]
        others = [f"other ({len(order) - MOST})"] if len(order) > MOST + 1 else []
        return cls(column, tuple(values), (*(names[value] for value in values), *others))

    def shares(self, values: pl.Series) -> list[float]:
        """The share of the values that is each of those named, and any other."""
        found = numbered(self.column, values)
        counts = found.bincount(minlength=len(self.column.values) + self.column.missing)
        others = [counts.sum() - counts[list(self.values)].sum()]
        shown = [*counts[list(self.values)], *others][: len(self.names)]
        return [int(count) / max(len(values), 1) for count in shown]


def scales(schema: Schema, real: pl.DataFrame) -> list[Histogram | Bars]:
    """By what the columns are shown, in their order; what no network learns is not."""
    return [
        Histogram.of(column, real[column.name])
        if isinstance(column, Number)
        else Bars.of(column, series_of(column, real))
        for column in schema.columns
        if isinstance(column, Number | Category)
    ]


def shares(by: Sequence[Histogram | Bars], frame: pl.DataFrame) -> list[list[float]]:
    """The shares of a frame's values, column by column."""
    return [
        scale.shares(
            frame[scale.column.name]
            if isinstance(scale, Histogram)
            else series_of(scale.column, frame)
        )
        for scale in by
    ]


def draw(
    by: Sequence[Histogram | Bars],
    real: Sequence[Sequence[float]],
    generated: Sequence[Sequence[float]],
    caption: str,
) -> Image.Image:
    """Draws all columns, at most five side by side.

    Args:
        by: what they are shown by.
        real: the shares of the real values, pale areas.
        generated: those of the generated ones, dark lines.
        caption: what the picture begins with.
    """
    across = min(ACROSS, max(len(by), 2))  # two, at least, for the legend's sake
    down = -(-len(by) // ACROSS)
    pen = Pen(across * WIDTH, HEADING + down * HEIGHT)
    pen.text(LEFT, HEADING / 2, caption)
    if any(map(any, real)):
        pen.block(LEFT + 170, 14, 20, 12, REAL)
        pen.text(LEFT + 196, HEADING / 2, "real")
    pen.block(LEFT + 250, 18, 20, 4, GENERATED)
    pen.text(LEFT + 276, HEADING / 2, "generated")
    for number, (scale, own, made) in enumerate(zip(by, real, generated, strict=True)):
        row, column = divmod(number, ACROSS)
        x, y = column * WIDTH + LEFT, HEADING + row * HEIGHT
        pen.text(x, y + 14, shortened(scale.column.name, INNER))
        panel = histogram if isinstance(scale, Histogram) else bars
        panel(pen, x, y + TOP, scale, own, made)  # type: ignore[arg-type]
    return pen.picture()


def histogram(
    pen: "Pen", x: float, y: float, scale: Histogram, real: Sequence[float], made: Sequence[float]
) -> None:
    """Draws a column of numbers from its upper left corner on, `INNER` pixels wide."""
    *own, own_missing = real
    *theirs, their_missing = made
    missing = scale.column.missing
    room = INNER - 34 * missing
    step, highest = room / scale.bins, max(*real, *made, 1e-9)
    bottom = y + TALL
    for number, share in enumerate(own):
        pen.block(x + number * step, bottom, step, -TALL * share / highest, REAL)
    line = [(x, bottom)]
    for number, share in enumerate(theirs):
        height = bottom - TALL * share / highest
        line += [(x + number * step, height), (x + (number + 1) * step, height)]
    pen.line([*line, (x + room, bottom)], GENERATED)
    pen.line([(x, bottom), (x + room, bottom)], SOFT, 1)
    first, last = scale.ends
    pen.text(x, bottom + 12, first, "lm", SOFT)
    pen.text(x + room, bottom + 12, last, "rm", SOFT)
    if missing:
        at = x + room + 12
        pen.block(at, bottom, 14, -TALL * own_missing / highest, REAL)
        pen.block(at + 4, bottom, 6, -TALL * their_missing / highest, GENERATED)
        pen.line([(at, bottom), (at + 14, bottom)], SOFT, 1)
        pen.text(x + INNER, bottom + 26, "missing", "rm", SOFT)


def bars(
    pen: "Pen", x: float, y: float, scale: Bars, real: Sequence[float], made: Sequence[float]
) -> None:
    """Draws a column of a category from its upper left corner on, `INNER` pixels wide."""
    highest = max(*real, *made, 1e-9)
    start, room = x + WORDS, INNER - WORDS
    for number, (name, own, theirs) in enumerate(zip(scale.names, real, made, strict=True)):
        top = y + number * (BAR + 2)
        pen.text(start - 6, top + BAR / 2, shortened(name, WORDS - 6), "rm", SOFT)
        pen.block(start, top + 1, room * own / highest, BAR - 2, REAL)
        pen.block(start, top + 5, room * theirs / highest, 4, GENERATED)
    tall = len(scale.names) * (BAR + 2) - 2
    pen.line([(start, y), (start, y + tall)], SOFT, 1)


class Pen:
    """Draws on white, in pixels of the picture that comes of it."""

    def __init__(self, width: int, height: int) -> None:
        self._canvas = Image.new("RGB", (width * FINER, height * FINER), "white")
        self._draw = ImageDraw.Draw(self._canvas)

    def block(
        self, x: float, y: float, width: float, height: float, colour: tuple[int, int, int]
    ) -> None:
        """Fills a rectangle from a corner on; upwards where the height is negative."""
        if not width or not height:
            return
        xs, ys = sorted((x, x + width)), sorted((y, y + height))
        corners = (xs[0] * FINER, ys[0] * FINER, xs[1] * FINER - 1, ys[1] * FINER - 1)
        if corners[0] <= corners[2] and corners[1] <= corners[3]:
            self._draw.rectangle(corners, colour)

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: tuple[int, int, int],
        width: float = 1.5,
    ) -> None:
        """Draws a line through points."""
        finer = [(x * FINER, y * FINER) for x, y in points]
        self._draw.line(finer, colour, round(width * FINER))

    def text(
        self,
        x: float,
        y: float,
        words: str,
        anchor: str = "lm",
        colour: tuple[int, int, int] = INK,
    ) -> None:
        """Writes words; the anchor is Pillow's."""
        self._draw.text((x * FINER, y * FINER), words, colour, font(FINER), anchor)

    def picture(self) -> Image.Image:
        """What was drawn."""
        width, height = self._canvas.size
        return self._canvas.resize((width // FINER, height // FINER), Image.Resampling.BOX)


def shortened(words: str, room: float) -> str:
    """Words on one line that take no more than so many pixels, with … for those left out.

    Letters are without their accents, which Pillow's own font does not have.
    """
    plain = unicodedata.normalize("NFKD", " ".join(words.split()))
    words = "".join(letter for letter in plain if not unicodedata.combining(letter))
    if font().getlength(words) <= room:
        return words
    while words and font().getlength(words + "…") > room:
        words = words[:-1]
    return words + "…"


def text_of(column: Number, value: float) -> str:
    """A value of a column of numbers or times, as it is read."""
    if column.dtype.startswith("Date"):
        kind = pl.Date() if column.dtype == "Date" else pl.Datetime("us")
        return str(pl.Series([round(value)], dtype=pl.Int64).cast(kind).dt.date()[0])
    if abs(value) >= 1e7 or 0 < abs(value) < 1e-3:
        return f"{value:.3g}"
    return f"{value:,.{min(max(column.decimals, 0), 3)}f}"


def font(times: int = 1) -> ImageFont.FreeTypeFont:
    """Pillow's own font."""
    found = ImageFont.load_default(12 * times)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found
