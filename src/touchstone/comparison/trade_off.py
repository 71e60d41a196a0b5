"""What is gained over what it costs: one figure over another, a point a run, and over a setting.

Which figures, and which setting, is said by their names; what privacy is, nothing here knows.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Any, NamedTuple

from touchstone import pages
from touchstone.comparison import runs, scatter, statistics
from touchstone.comparison.groups import Comparison, Group, Member, order, setting_text
from touchstone.comparison.scatter import Axis, Point, Span, Style
from touchstone.errors import UsageError
from touchstone.tracking.figures import Figure

# What is drawn unless asked otherwise, the figure upward first: the first two that runs have.
USUAL = (("tstr", "membership"), ("use/tstr/gradient_boosting/auc", "leakage/auc"))
GREY = "var(--soft)"
SETTING = "privacy.epsilon"  # unless asked otherwise; runs without it had no bound


class Meaning(NamedTuple):
    """What is known of figures of some names: in words, and where a line is drawn for what."""

    names: str
    words: str
    lines: Sequence[tuple[float, str]] = ()


MEANINGS = (
    Meaning(r"tstr\d.*|use/tstr/.*/auc", "AUC on real rows after training on synthetic ones"),
    Meaning(
        r"membership\d.*|leakage/(.*/)?auc",
        "AUC of membership inference",
        ((0.5, "0.5: no more than a guess"),),
    ),
)


@dataclass(frozen=True)
class Measured:
    """A run's figure at its end.

    Attributes:
        figure: itself.
        span: its value, with the interval that was recorded beside it.
        real: the same of real data, where that was recorded.
    """

    figure: Figure
    span: Span
    real: float | None

    @classmethod
    def of(cls, record: Sequence[Mapping[str, Any]], asked: str) -> "Measured | None":
        """Finds a figure among the lines of a run's record; None where it is not, or no number.

        The interval is `NAME/low` and `NAME/high`; of a headline that is one of its parts, as is
        the strongest attack's, that of the part. Real data's figure is called `NAME/real`, or has
        `real` in place of a word of the name.
        """
        wanted = [line for line in record if runs.is_asked(line["name"], asked)]
        if not wanted:
            return None
        name, protocol = wanted[0]["name"], wanted[0]["protocol"]
        own = {line["name"]: line for line in record if line["protocol"] == protocol}
        values = {key: line["value"] for key, line in own.items() if math.isfinite(line["value"])}
        if name not in values:
            return None
        value, words = values[name], name.split("/")
        parts = [key for key in values if key.startswith(f"{name}/") and values[key] == value]
        ended = (key for key in (name, *parts) if {f"{key}/low", f"{key}/high"} <= values.keys())
        interval = next(((values[f"{key}/low"], values[f"{key}/high"]) for key in ended), None)
        places = range(len(words))
        reals = (f"{name}/real", *("/".join([*words[:i], "real", *words[i + 1 :]]) for i in places))
        real = next((values[key] for key in reals if key in values and key != name), None)
        return cls(Figure(**own[name]), Span(value, interval), real)


@dataclass(frozen=True)
class TradeOff:
    """Two figures of the runs of a comparison.

    Attributes:
        comparison: of the runs.
        measured: the figures of each run that has both, upward and across, by the run's folder; all
            of one protocol.
        others: how many more have both by another protocol.
    """

    comparison: Comparison
    measured: Mapping[Any, tuple[Measured, Measured]]
    others: int

    @classmethod
    def of(cls, comparison: Comparison, pair: Sequence[str]) -> "TradeOff | None":
        """Reads two figures, the one upward first; None where fewer than two runs have both."""
        found = dict[Any, tuple[Measured, Measured]]()
        for member in (member for group in comparison.groups for member in group.members):
            _, record = runs.record(member.path, member.summary)
            upward, across = (Measured.of(record, asked) for asked in pair)
            if upward and across:
                found[member.path] = upward, across
        protocols = {path: _protocol(*both) for path, both in found.items()}
        [(common, number)] = Counter(protocols.values()).most_common(1) or [("", 0)]
        kept = {path: both for path, both in found.items() if protocols[path] == common}
        return cls(comparison, kept, len(found) - number) if number > 1 else None

    @cached_property
    def names(self) -> tuple[str, str]:
        """Of the figures, upward and across."""
        upward, across = next(iter(self.measured.values()))
        return upward.figure.name, across.figure.name

    def axis(self, side: int, cells: Sequence[Sequence[Point]]) -> Axis:
        """The axis of a figure, 0 upward and 1 across, with lines of what it is held against."""
        name, all_of_it = self.names[side], [both[side] for both in self.measured.values()]
        reals = [one.real for one in all_of_it if one.real is not None]
        meant = meaning(name)
        lines = list(meant.lines) if meant else []
        if reals:
            real = statistics.mean(reals)
            lines.append((real, f"real data: {real:.3f}"))
        better = "higher" if all_of_it[0].figure.higher_is_better else "lower"
        words = f"{name}: {meant.words}" if meant else name
        of_runs = (point for cell in cells for point in (cell[:-1] or cell))
        means = (cell[-1] for cell in cells if len(cell) > 1)
        spans, cut = ([(one.y, one.x)[side] for one in each] for each in (of_runs, means))
        return Axis.over(f"{words}; {better} is better", spans, lines, cut)

    @property
    def corner(self) -> str:
        """Where the best would lie."""
        upward, across = next(iter(self.measured.values()))
        up = "upper" if upward.figure.higher_is_better else "lower"
        return f"{up} {'right' if across.figure.higher_is_better else 'left'}"

    @cached_property
    def groups(self) -> list[tuple[int, Group, list[Member]]]:
        """The groups with runs that have both figures: rank, group and these runs."""
        ranked = enumerate(self.comparison.groups, 1)
        there = ((rank, group, self.there(group)) for rank, group in ranked)
        return [(rank, group, runs) for rank, group, runs in there if runs]

    def there(self, group: Group) -> list[Member]:
        """The runs of a group that have both figures."""
        return [member for member in group.members if member.path in self.measured]

    def cell(self, members: Sequence[Member], style: Style, text: str, said: str) -> list[Point]:
        """Runs that are seeds of each other as points, the last of which is their mean.

        Args:
            members: the runs; of one alone there is one point.
            style: of the marks.
            text: beside the last one.
            said: what they are.
        """
        small = len(members) > 1
        points = []
        for member in members:
            y, x = (one.span for one in self.measured[member.path])
            words = "\n".join([f"{member.name}: {said}", *self.words(y, x)])
            points.append(Point(x, y, style, words, "" if small else text, small))
        if small:
            y, x = (mean([getattr(point, axis) for point in points]) for axis in "yx")
            words = "\n".join([f"mean of {len(points)}: {said}", *self.words(y, x)])
            points.append(Point(x, y, style, words, text))
        return points

    def words(self, *spans: Span) -> list[str]:
        """Both figures, upward and across, in words."""
        return [f"{name} {written(span)}" for name, span in zip(self.names, spans, strict=True)]


def find(comparisons: Sequence[Comparison], pair: Sequence[str] | None) -> list[TradeOff | None]:
    """What can be drawn of each comparison.

    Args:
        comparisons: of runs.
        pair: the names of two figures, or of their metrics (`tstr`), the one upward first; by
            default the usual ones, where there are any.

    Raises:
        UsageError: not two figures; or they are asked for, and no two runs have both.
    """
    if pair is not None and len(set(pair)) != 2:
        raise UsageError(f"trade_off=[{','.join(pair)}]: name two figures, as [tstr,membership]")
    found = [
        next(filter(None, (TradeOff.of(one, each) for each in ([pair] if pair else USUAL))), None)
        for one in comparisons
    ]
    if pair is not None and not any(found):
        raise UsageError(
            f"trade_off=[{','.join(pair)}]: no two runs of one protocol have both figures at their "
            "end; touchstone evaluate run=RUN metrics=[…] and touchstone audit run=RUN record them"
        )
    return found


def section(found: TradeOff, colors: Sequence[str], setting: str = SETTING) -> Iterator[str]:
    """The charts of two figures, and of the first over a setting where the runs differ in it.

    Args:
        found: the figures.
        colors: of the first groups, each once filled and once hollow; the others are grey.
        setting: a key of the configuration whose values are numbers above 0.
    """
    upward, across = found.names
    cells = {
        rank: found.cell(seeds, style(rank, colors), number(rank, colors), group.label)
        for rank, group, seeds in found.groups
    }
    yield pages.heading(f"{upward} over {across}", 3)
    yield pages.paragraph(f"A point is a run, and the {found.corner} corner is best.")
    yield over_figure(found, list(cells.values()))
    yield from key(found, cells, 2 * len(colors))
    yield pages.paragraph(remarks(found, cells), soft=True)
    values = {run.settings.get(setting) for _, _, seeds in found.groups for run in seeds}
    if len(values) > 1 and len(values - {None}) and all(map(is_positive, values - {None})):
        yield pages.heading(f"{upward} over {setting}", 3)
        yield over_setting(found, setting, colors)
        without = f"; at ∞ are runs without {setting}" if None in values else ""
        yield pages.paragraph(
            f"The marks are as above{without}. A line goes along the means of runs that are "
            "grouped alike otherwise.",
            soft=True,
        )


def over_figure(found: TradeOff, cells: Sequence[Sequence[Point]]) -> str:
    """The one figure over the other, each group's runs joined to their mean."""
    cells = [cell if cell[-1].text else [faint(run) for run in cell[:-1] or cell] for cell in cells]
    spokes = [(one, cell[-1]) for cell in cells for one in cell[:-1] if cell[-1].text]
    x, y = found.axis(1, cells), found.axis(0, cells)
    return scatter.chart(x, y, in_order(cells), spokes=spokes)


def over_setting(found: TradeOff, setting: str, colors: Sequence[str]) -> str:
    """The figure upward over a setting."""
    alike = defaultdict[tuple[Any, ...], dict[Any, tuple[int, list[Member]]]](dict)
    for rank, group, seeds in found.groups:
        others = tuple(value for name, value in group.factors.items() if name != setting)
        for run in seeds:
            alike[others].setdefault(run.settings.get(setting), (rank, []))[1].append(run)
    x = setting_axis(setting, {value for values in alike.values() for value in values})
    places = {text: at for at, text in x.ticks}
    cells, joined = list[list[Point]](), list[list[Point]]()
    for line, values in enumerate(alike.values()):
        ordered = [(value, *values[value]) for value in sorted(values, key=order)]
        for value, rank, seeds in ordered:
            label = setting_text(setting, value)
            cell = found.cell(seeds, style(rank, colors), number(rank, colors), label)
            cell = cell if cell[-1].text else [faint(cell[-1])]
            aside = beside(len(cell), line, len(alike))
            at = [places[tick(value)] + (x.high - x.low) * part for part in aside]
            cells.append([replace(one, x=Span(to)) for one, to in zip(cell, at, strict=True)])
        joined.append([cell[-1] for cell in cells[-len(ordered) :]])
    return scatter.chart(x, found.axis(0, cells), in_order(cells), joined)


def beside(points: int, line: int, lines: int) -> Iterator[float]:
    """Where the points of a cell stand, in parts of the axis: the seeds a little left of the mean.

    Those of several lines stand beside each other, of many the more closely.
    """
    middle = min(0.03, 0.12 / lines) * (line - (lines - 1) / 2)
    yield from (middle - 0.012 * (points - 1 - place) for place in range(points))


def setting_axis(setting: str, values: Collection[Any]) -> Axis:
    """A logarithmic axis of a setting, with a tick a value; None, no bound, at its end."""
    finite = sorted(value for value in values if value is not None)
    ticks = [(math.log10(value), tick(value)) for value in finite]
    low, high = ticks[0][0], ticks[-1][0]
    gap = (high - low) / max(1, len(ticks) - 1) or 0.5
    if None in values:
        ticks.append((high + gap, tick(None)))
    return Axis(f"{setting}, logarithmic", low - gap / 3, ticks[-1][0] + gap / 3, ticks)


def tick(value: float | None) -> str:
    """A value at an axis."""
    return "∞" if value is None else f"{value:g}"


def key(found: TradeOff, cells: Mapping[int, Sequence[Point]], most: int) -> Iterator[str]:
    """What each mark stands for, with its figures."""
    yield '<ul class="key">'
    for rank, group, seeds in found.groups:
        if rank <= most:
            point = cells[rank][-1]
            words = "<br>".join(map(escape, found.words(point.y, point.x)))
            number = f"{len(seeds)}&nbsp;seeds" if len(seeds) > 1 else "one&nbsp;seed"
            yield (
                f'<li><svg width="16" height="16" viewBox="-8 -8 16 16" aria-hidden="true">'
                f"{scatter.mark(point.style)}</svg><span>{rank} <b>{escape(group.label)}</b>, "
                f"{number}<br>{words}</span></li>"
            )
    yield "</ul>"


def remarks(found: TradeOff, cells: Mapping[int, Sequence[Point]]) -> str:
    """What the marks and the whiskers are, and which runs are not drawn."""
    said = ["Numbers are the ranks above. A whisker is a 95 % interval as it was recorded of a run"]
    if any(len(cell) > 1 for cell in cells.values()):
        said[0] += (
            "; of a mean, the larger mark that its seeds' small ones are joined to, it is "
            "Student's t over the seeds, and is cut where it leaves the chart"
        )
    if any(not cell[-1].text for cell in cells.values()):
        said.append("Grey are the runs of the groups that follow those")
    total = sum(len(group.members) for group in found.comparison.groups)
    without = total - len(found.measured) - found.others
    if found.others or without:
        said.append(
            f"Runs that are not drawn: by another protocol {found.others:,}, "
            f"without both figures {without:,}"
        )
    return f"{'. '.join(said)}."


def faint(point: Point) -> Point:
    """A point of a group that is not named: small, with no interval."""
    return replace(point, x=Span(point.x.value), y=Span(point.y.value), small=True)


def in_order(cells: Iterable[Sequence[Point]]) -> list[Point]:
    """The points of cells: those in grey, then runs with others of their group, then the rest."""
    points = (point for cell in cells for point in cell)
    return sorted(points, key=lambda point: (point.style.color != GREY, not point.small))


def mean(spans: Sequence[Span]) -> Span:
    """Of two spans' values or more, with Student's interval."""
    values = [span.value for span in spans]
    return Span(statistics.mean(values), statistics.mean_interval(values))


def style(rank: int, colors: Sequence[str]) -> Style:
    """How the group of a rank is marked: each colour once filled and once hollow, then in grey."""
    turn, place = divmod(rank - 1, len(colors))
    return Style(place, colors[place], hollow=turn == 1) if turn < 2 else Style(0, GREY)


def number(rank: int, colors: Sequence[str]) -> str:
    """What stands beside the mark of a rank: nothing where marks are grey."""
    return str(rank) if rank <= 2 * len(colors) else ""


def meaning(name: str) -> Meaning | None:
    """What is known of a figure."""
    return next((one for one in MEANINGS if re.fullmatch(one.names, name)), None)


def written(span: Span) -> str:
    """A figure with its interval: `0.812 (0.790 to 0.834)`."""
    value, *ends = (f"{each:#.4g}".rstrip(".") for each in (span.value, *(span.interval or ())))
    return f"{value} ({' to '.join(ends)})" if ends else value


def is_positive(value: Any) -> bool:
    """Whether a setting is a number above 0."""
    return isinstance(value, int | float) and value > 0


def _protocol(*measured: Measured) -> str:
    return json.dumps([[one.figure.name, one.figure.protocol] for one in measured], sort_keys=True)
