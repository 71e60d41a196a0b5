"""The figures of a detector as pictures: its scores, and its ROC curves, attack by attack."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from touchstone.authenticity.figures import auroc, bpcer, roc

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

TEXT, FINER = 14, 2  # pixels; pictures are drawn twice as large, so that lines are fine
SPAN, ROW, BARS = 450, 60, 90  # pixels of the histograms' axis and of one's height, and its bars
PLOT, LINE = 400, 24  # pixels a side of the ROC curves, and of the legend's lines
INK, SOFT, RULE = (40, 44, 52), (110, 114, 122), (222, 222, 218)
GENUINE, COUNTERFEIT, THRESHOLD = (59, 111, 182), (214, 120, 40), (200, 16, 96)
# Told apart by those who see few colours, too: Okabe and Ito 2008, Color universal design.
COLOURS = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (40, 44, 52),
)
DASHES = ((), (9, 5), (3, 4))  # pixels drawn and left out, as the colours come round again


def histograms(genuine: Tensor, counterfeit: Mapping[str, Tensor], threshold: float) -> Image.Image:
    """Draws how the scores lie: of genuine items on top, of each attack below, on one axis.

    The highest bar of each group fills its row. The axis ends where attacks would leave the genuine
    items no room: what lies beyond an end is in the last bar there.

    Args:
        genuine: scores `(n,)`.
        counterfeit: scores of each attack `(m,)`, by its name.
        threshold: from which on items are refused.
    """
    groups = {"genuine": genuine, **counterfeit}
    left, top = widest(groups) + 20, 30
    right, bottom = left + SPAN, top + ROW * len(groups)
    pen = Pen(right + widest(["100.0% refused"]) + 20, bottom + 52)
    axis = Axis(*window(genuine, counterfeit.values(), threshold), left, right)
    for row, (name, scores) in enumerate(groups.items(), start=1):
        base = top + row * ROW
        colour = GENUINE if row == 1 else COUNTERFEIT
        for bar, share in enumerate(binned(scores, axis.low, axis.high)):
            x, height = left + SPAN * bar / BARS, max(1, share * (ROW - 10))
            if share:
                pen.block((x, base - height), (x + SPAN / BARS - 0.5, base), colour)
        pen.line([(left, base), (right, base)], RULE)
        pen.text((left - 8, base - 10), name, "rm")
        refused = float(bpcer(scores, threshold))
        pen.text((right + 10, base - 10), f"{refused:.1%} refused", "lm", SOFT)
    cut = axis(threshold)
    pen.line([(cut, top - 6), (cut, bottom)], THRESHOLD, 1.5)
    pen.text((cut, top - 16), f"refused from {threshold:.4g} on", "mm", THRESHOLD)
    for value in round_values(axis.low, axis.high):
        pen.line([(axis(value), bottom), (axis(value), bottom + 4)], SOFT)
        pen.text((axis(value), bottom + 14), f"{value:g}", "mm", SOFT)
    caption = "score (higher: less genuine; the last bars hold all beyond)"
    pen.text(((left + right) / 2, bottom + 38), caption, "mm")
    return pen.picture()


def roc_curves(genuine: Tensor, counterfeit: Mapping[str, Tensor]) -> Image.Image:
    """Draws the ROC curve of each attack, with the false positive rate on a logarithmic axis.

    The axis begins where one genuine item is refused, or at 0.01 % where that is more. The legend
    names the attacks by their AUROC, the hardest last. What chance would reach is dotted.

    Args:
        genuine: scores `(n,)`.
        counterfeit: scores of each attack `(m,)`, by its name.
    """
    areas = {name: float(auroc(genuine, scores)) for name, scores in counterfeit.items()}
    names = sorted(areas, key=lambda name: -areas[name])
    least = math.log10(max(1e-4, 1 / len(genuine)))
    left, top = 64, 34
    right, bottom = left + PLOT, top + PLOT
    legend = right + 24
    end = legend + 40 + widest([*names, "chance"]) + 70
    pen = Pen(end + 12, max(bottom + 52, top + LINE * (len(names) + 2)))
    across, up = Axis(least, 0, left, right), Axis(0, 1, bottom, top)
    for power in range(math.ceil(least - 1e-9), 1):
        pen.line([(across(power), top), (across(power), bottom)], RULE)
        pen.text((across(power), bottom + 14), f"{10.0 ** (power + 2):g} %", "mm", SOFT)
    for share in (0, 0.25, 0.5, 0.75, 1):
        pen.line([(left, up(share)), (right, up(share))], RULE)
        pen.text((left - 8, up(share)), f"{100 * share:g} %", "rm", SOFT)
    pen.text(((left + right) / 2, bottom + 38), "genuine items refused", "mm")
    pen.text((left - 44, top - 20), "counterfeits refused", "lm")

    def places(fpr: Tensor, tpr: Tensor) -> list[Point]:
        """Where a curve lies; what comes before the axis begins, at its beginning."""
        xs = fpr.log10().clamp(min=least)
        return [(across(x), up(y)) for x, y in zip(xs.tolist(), tpr.tolist(), strict=True)]

    chance = torch.logspace(least, 0, 200, dtype=torch.float64)
    curves = {name: places(*roc(genuine, counterfeit[name])) for name in names}
    styles = [(colour, 2.0, dash) for dash in DASHES for colour in COLOURS]
    pen.text((end, top + 10), "AUROC", "rm", SOFT)
    for row, (name, curve) in enumerate([*curves.items(), ("chance", places(chance, chance))], 1):
        style = (SOFT, 1.0, (2, 4)) if row > len(curves) else styles[(row - 1) % len(styles)]
        area, y = areas.get(name, 0.5), top + 10 + LINE * row
        pen.line(curve, *style)
        pen.line([(legend, y), (legend + 30, y)], *style)
        pen.text((legend + 40, y), name, "lm")
        pen.text((end, y), f"{area:.3f}", "rm")
    return pen.picture()


def window(genuine: Tensor, others: Iterable[Tensor], threshold: float) -> tuple[float, float]:
    """The ends of the histograms' axis.

    Nearly all scores of every group lie within, if that leaves the genuine ones, up to the
    threshold, a fifth of the axis.
    """
    ends = torch.tensor([0.005, 0.995], dtype=torch.float64)
    low, high = torch.quantile(genuine.double(), ends).tolist()
    low, high = min(low, threshold), max(high, threshold)
    room = 2 * (high - low)
    groups = [scores.double() for scores in (genuine, *others)]
    reached = torch.stack([torch.quantile(scores, ends) for scores in groups])
    least, most = float(reached[:, 0].min()), float(reached[:, 1].max())
    low, high = max(min(low, least), low - room), min(max(high, most), high + room)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def binned(scores: Tensor, low: float, high: float) -> list[float]:
    """How high the bars are, over the highest; what lies beyond an end is in the last one there."""
    place = ((scores.double() - low) / (high - low) * BARS).clamp(0, BARS - 1)
    counts = torch.bincount(place.long(), minlength=BARS).double()
    return [float(count) for count in counts / counts.max()]


def round_values(low: float, high: float) -> list[float]:
    """Round values in an interval, four to ten of them, to be written below an axis."""
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(size * power for size in (5, 2, 1) if size * power <= (high - low) / 4)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


@dataclass(frozen=True)
class Axis:
    """Maps values to pixels: `low` to `start`, and `high` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


class Pen:
    """Draws on white, at pixels of the picture that comes of it."""

    def __init__(self, width: int, height: int) -> None:
        self._canvas = Image.new("RGB", (width * FINER, height * FINER), "white")
        self._draw = ImageDraw.Draw(self._canvas)

    def line(
        self, points: list[Point], colour: Colour, width: float = 1, dash: tuple[int, ...] = ()
    ) -> None:
        """Draws a line through points; `dash`: how many pixels of it are drawn, and left out."""
        for part in dashed(points, *dash) if dash else [points]:
            finer = [(x * FINER, y * FINER) for x, y in part]
            self._draw.line(finer, colour, round(width * FINER), joint="curve")

    def block(self, corner: Point, opposite: Point, colour: Colour) -> None:
        """Fills a rectangle, given by its upper left corner and its lower right one."""
        self._draw.rectangle([value * FINER for value in (*corner, *opposite)], colour)

    def text(self, place: Point, words: str, anchor: str, colour: Colour = INK) -> None:
        """Writes words; the anchor is Pillow's, such as `lm`: left, middle."""
        x, y = place
        self._draw.text((x * FINER, y * FINER), words, colour, font(TEXT * FINER), anchor)

    def picture(self) -> Image.Image:
        """What was drawn."""
        size = self._canvas.width // FINER, self._canvas.height // FINER
        return self._canvas.resize(size, Image.Resampling.BOX)


def dashed(points: list[Point], drawn: float, left_out: float) -> list[list[Point]]:
    """The dashes of a line through points, however short the pieces between these are."""
    dashes: list[list[Point]] = [[points[0]]]
    rest, drawing = drawn, True
    for (x, y), (end_x, end_y) in pairwise(points):
        length = math.hypot(end_x - x, end_y - y)
        done = 0.0
        while length - done > rest:
            done += rest
            turn = (x + (end_x - x) * done / length, y + (end_y - y) * done / length)
            if drawing:
                dashes[-1].append(turn)
            else:
                dashes.append([turn])
            drawing = not drawing
            rest = drawn if drawing else left_out
        rest -= length - done
        if drawing:
            dashes[-1].append((end_x, end_y))
    return dashes


def widest(words: Iterable[str]) -> int:
    """How many pixels the longest of some words takes."""
    return math.ceil(max(font(TEXT).getlength(word) for word in words))


def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font."""
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found
