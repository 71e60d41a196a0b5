"""Points with intervals on two axes, as SVG whose text stays as large on a small screen.

Places are in percent of the drawing, which CSS stretches; marks differ in shape beside colour, so
that a print in grey can be read.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise, product
from typing import NamedTuple

# About their middle: a disc, a square, a triangle, a diamond, a cross, a triangle downward.
SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "M-4.6 -4.6h9.2v9.2h-9.2z",
    "M0 -5.8L5.6 4.2H-5.6z",
    "M0 -6.4L6.4 0L0 6.4L-6.4 0z",
    "M-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "M0 5.8L5.6 -4.2H-5.6z",
)
MARGIN = 0.06  # of an axis, beyond all that it shows
ROOM = 7.5  # percent of an axis across, that a tick has to itself
NEAR = (5.5, 6.5)  # percent, across and up, within which two texts would lie on each other


class Span(NamedTuple):
    """A value with the ends of its interval, if it has one."""

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Style:
    """How the marks of a group look: one of `SHAPES`, a CSS colour, hollow or filled."""

    shape: int
    color: str
    hollow: bool = False


@dataclass(frozen=True)
class Point:
    """A mark.

    Attributes:
        x: where it lies.
        y: the same.
        style: its looks.
        said: what is told of it under the pointer.
        text: what stands beside it.
        small: whether it is one of several that another stands for.
    """

    x: Span
    y: Span
    style: Style
    said: str
    text: str = ""
    small: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis, linear in the places that it is given.

    Attributes:
        title: what stands beside it.
        low: its lower end.
        high: its upper end.
        ticks: places and what stands there.
        lines: places of lines across the chart, and what they say.
    """

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    lines: Sequence[tuple[float, str]] = ()

    @classmethod
    def over(
        cls,
        title: str,
        spans: Iterable[Span],
        lines: Sequence[tuple[float, str]] = (),
        cut: Iterable[Span] = (),
    ) -> "Axis":
        """An axis on which spans and lines are seen.

        Args:
            title: of the axis.
            spans: seen whole.
            lines: seen, each with what it says.
            cut: spans of whose intervals no more is seen than makes the axis twice as long: that of
                a mean of two can be a hundred times what lies between them.
        """
        cut = list(cut)
        shown = [end for span in spans for end in (span.value, *(span.interval or ()))]
        shown += [span.value for span in cut] + [place for place, _ in lines]
        ends = [end for span in cut for end in span.interval or ()]
        low, high = min(shown), max(shown)
        reach = (high - low) / 2
        if reach <= 1e-9 * max(abs(low), abs(high)):  # all in one place, but for rounding
            reach = max((abs(end - low) for end in ends), default=0.0) or 0.05
        low = max(low - reach, min([low, *ends]))
        high = min(high + reach, max([high, *ends]))
        margin = MARGIN * (high - low) or reach
        low, high = low - margin, high + margin
        return cls(title, low, high, ticks(low, high), lines)

    def at(self, value: float) -> float:
        """A place in percent, at the nearer end where it lies beyond."""
        return 100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)


def ticks(low: float, high: float, most: int = 7) -> list[tuple[float, str]]:
    """Round numbers between two, at most so many, a step of 1, 2 or 5 apart."""
    least = (high - low) / (most - 1) * (1 - 1e-9)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= least)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(number * step, f"{number * step:.{digits}f}") for number in range(first, last + 1)]


def apart(x: Axis) -> Iterator[tuple[float, str]]:
    """The ticks that have room for what they say, the first and the last among them."""
    last, said = x.ticks[-1], -math.inf
    for tick in x.ticks:
        at = x.at(tick[0])
        if tick is last or (at - said > ROOM and x.at(last[0]) - at > ROOM):
            yield tick
            said = at


def chart(
    x: Axis,
    y: Axis,
    points: Sequence[Point],
    joined: Iterable[Sequence[Point]] = (),
    spokes: Iterable[tuple[Point, Point]] = (),
) -> str:
    """The drawing.

    Args:
        x: the axis across.
        y: the axis upward.
        points: the last ones on top.
        joined: points that a line goes along.
        spokes: two points each that belong together.
    """
    parts = [
        *(_line(x, y, (at, y.low), (at, y.high), "grid") for at, _ in x.ticks),
        *(_line(x, y, (x.low, at), (x.high, at), "grid") for at, _ in y.ticks),
        *(_line(x, y, (at, y.low), (at, y.high), "said") for at, _ in x.lines),
        *(_line(x, y, (x.low, at), (x.high, at), "said") for at, _ in y.lines),
        *(_text(f"{x.at(at):.2f}%", "100%", text, 'dy="1.4em"', "middle") for at, text in apart(x)),
        *(_text("0", _up(y, at), text, 'dx="-8" dy=".35em"', "end") for at, text in y.ticks),
    ]
    for dash, along in zip(("", "7 4", "2 4", "9 3 2 3") * len(points), joined, strict=False):
        places = [(point.x.value, point.y.value) for point in along]
        for start, end in pairwise(places):
            parts.append(_line(x, y, start, end, "along", f'stroke-dasharray="{dash}"'))
    for one, other in spokes:
        start, end = ((point.x.value, point.y.value) for point in (one, other))
        parts.append(_line(x, y, start, end, "spoke", f'style="color:{one.style.color}"'))
    for point in points:
        kind = "whisker small" if point.small else "whisker"
        color = f'style="color:{point.style.color}"'
        if point.x.interval:
            low, high = ((end, point.y.value) for end in point.x.interval)
            parts.append(_line(x, y, low, high, kind, color))
        if point.y.interval:
            low, high = ((point.x.value, end) for end in point.y.interval)
            parts.append(_line(x, y, low, high, kind, color))
    for point in points:
        parts.append(
            f'<svg x="{x.at(point.x.value):.2f}%" y="{_up(y, point.y.value)}" overflow="visible">'
            f"{mark(point.style, point.small)}<title>{escape(point.said)}</title></svg>"
        )
    for at, text in x.lines:
        anchor = "start" if x.at(at) < 20 else "end" if x.at(at) > 80 else "middle"
        parts.append(_text(f"{x.at(at):.2f}%", "0", text, 'dy="-.5em"', anchor))
    for at, text in y.lines:
        parts.append(_text("100%", _up(y, at), text, 'dx="-6" dy="-.45em"', "end"))
    parts += _texts(x, y, points)
    return (
        f'<figure class="scatter"><figcaption>{escape(y.title)}</figcaption>'
        f'<div><svg role="img" aria-label="{escape(f"{y.title} over {x.title}")}">'
        f"{''.join(parts)}</svg></div><figcaption>{escape(x.title)}</figcaption></figure>"
    )


def mark(style: Style, small: bool = False) -> str:
    """A mark about the origin, to stand in an SVG."""
    kind = f"mark{' hollow' * style.hollow}{' small' * small}"
    return f'<path class="{kind}" style="color:{style.color}" d="{SHAPES[style.shape]}"/>'


def _up(y: Axis, value: float) -> str:
    return f"{100 - y.at(value):.2f}%"


def _line(
    x: Axis,
    y: Axis,
    start: tuple[float, float],
    end: tuple[float, float],
    kind: str,
    more: str = "",
) -> str:
    return (
        f'<line class="{kind}" {more} x1="{x.at(start[0]):.2f}%" y1="{_up(y, start[1])}" '
        f'x2="{x.at(end[0]):.2f}%" y2="{_up(y, end[1])}"/>'
    )


def _text(left: str, top: str, text: str, moved: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{left}" y="{top}" {moved} text-anchor="{anchor}">{escape(text)}</text>'


def _texts(x: Axis, y: Axis, points: Sequence[Point]) -> Iterator[str]:
    """What stands beside points: where there is room, to the upper right first."""
    marks = [(x.at(point.x.value), y.at(point.y.value)) for point in points if not point.small]
    taken = list[tuple[float, float]]()
    for point in points:
        if not point.text:
            continue
        here = x.at(point.x.value), y.at(point.y.value)
        around = [
            (across, up, (here[0] + 4 * across, here[1] + 5 * up))
            for up, across in product((1, -1), (1, -1))
        ]
        others = [*taken, *(place for place in marks if place != here)]
        across, up, place = min(
            around,
            key=lambda one: (
                not 0 < one[2][0] < 100,
                sum(
                    all(abs(a - b) < c for a, b, c in zip(one[2], o, NEAR, strict=True))
                    for o in others
                ),
            ),
        )
        taken.append(place)
        moved = f'dx="{8 * across}" dy="{-7 if up > 0 else 16}"'
        left, top = f"{here[0]:.2f}%", _up(y, point.y.value)
        yield _text(left, top, point.text, moved, "start" if across > 0 else "end", "beside")
