"""The report of a comparison: one HTML file, which holds its data, its pictures and Plotly.

Python writes all that can be read without a script; `page.js` draws the lines and moves the samples
from one block of JSON.
"""

import base64
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from touchstone import pages
from touchstone.comparison import trade_off as trade_offs
from touchstone.comparison.groups import Comparison, Group, Member, key_text, value_text
from touchstone.comparison.tables import COSTS, cost, decimals, span

DRAWN = 12  # groups, the best of a comparison, with a line, with samples and in the smaller tables
POINTS = 200  # of a line
STEPS = 8  # of the slider over the samples
BYTES = 3_500_000  # of all the samples together, as they stand in the page
SIDE = 320  # pixels that a grid of samples is made smaller to
QUALITIES = (80, 60, 40, 20, 5)  # of WebP: the first that the bytes of a picture allow
# Okabe and Ito's colours, two of them darker so that they stand out from white, in two strokes.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#c88a00", "#3a9bdc")
STROKES = {"solid": "solid", "dash": "dashed"}  # Plotly's and CSS's


def write(
    comparisons: Sequence[Comparison],
    left_out: Sequence[tuple[Path, str]],
    path: Path,
    plots: Mapping[str, str] | None = None,
    trade_off: Sequence[str] | None = None,
) -> None:
    """Writes the report, which opens anywhere with no network.

    Its own data stay below 5 MB, beside Plotly's 4.8: lines and samples are the best groups'.

    Args:
        comparisons: one a protocol, each a section of the page.
        left_out: folders that are not compared, and why.
        path: the HTML file.
        plots: of a study, Plotly's figures as JSON, by their titles.
        trade_off: two figures to be drawn over each other, as in `trade_off.find`.

    Raises:
        UsageError: that cannot be done.
    """
    from plotly.offline import get_plotlyjs

    number = sum(len(group.members) for one in comparisons for group in one.groups)
    parts, data = list[str](), []
    for comparison, traded in zip(
        comparisons, trade_offs.find(comparisons, trade_off), strict=True
    ):
        lines = curves(comparison.groups[:DRAWN])
        shown = Samples.of(comparison.groups[: max(1, DRAWN // len(comparisons))])
        parts += section(comparison, lines, shown, traded)
        values = [value for line in lines for value in line["low"] + line["high"]]
        data.append(
            {
                "figure": comparison.figure,
                # Early figures are often a hundred times the last ones.
                "logarithmic": bool(values) and min(values) > 0 and max(values) > 10 * min(values),
                "lines": lines,
                "steps": shown.steps,
                "grids": shown.embedded(BYTES // len(comparisons)),
            }
        )
    for title, plot in (plots or {}).items():
        parts.append(pages.heading(title))
        parts.append(f'<div class="plot" data-plot="{escape(plot)}"></div>')
    if left_out:
        parts.append(pages.heading(f"Left out: {len(left_out):,}"))
        parts.append(pages.listing(f"{folder}: {reason}" for folder, reason in left_out))
    here = resources.files("touchstone.comparison")
    block = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")  # no </script> in it
    parts += [
        f'<script type="application/json" id="data">{block}</script>',
        f"<script>{here.joinpath('page.js').read_text('utf-8')}</script>",
        f"<script>{get_plotlyjs()}</script>",
    ]
    title = f"Comparison of {number:,} run{'s' * (number != 1)}"
    style = here.joinpath("page.css").read_text("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pages.page(title, parts, style), "utf-8")


def section(
    comparison: Comparison,
    lines: Sequence[Mapping[str, Any]],
    shown: "Samples",
    traded: trade_offs.TradeOff | None,
) -> Iterator[str]:
    """What is said of the runs of one protocol, from the verdict to how it was come to."""
    yield '<section class="comparison">'
    yield pages.heading(comparison.figure)
    yield pages.paragraph(protocol(comparison))
    yield pages.panel(verdict(comparison), [])
    yield f'<div class="board">{leaderboard(comparison)}</div>'
    if comparison.differences:
        yield pages.paragraph(
            "Distinct: by Welch's test of the seeds' figures, corrected for the number of tests. "
            "The interval of a difference is not corrected, and may leave 0 out all the same.",
            soft=True,
        )
    if traded is not None:
        yield from trade_offs.section(traded, COLORS)
    total = len(comparison.groups)
    best = f"the best {DRAWN} of {total:,} groups" if total > DRAWN else "every group"
    if lines:
        yield pages.heading("Over the training", 3)
        yield from chart(lines)
        yield pages.paragraph(
            f"A line is the mean over the seeds of a group, its band from the lowest to the "
            f"highest of them; drawn for {best}. A click on a name hides its line.",
            soft=True,
        )
    if shown.steps:
        yield from shown.section(total)
    if comparison.differing:
        yield pages.heading("What differs between the configurations", 3)
        yield f'<div class="differing">{differing(comparison)}</div>'
        if total > DRAWN:
            yield pages.paragraph(f"By {best}, and the values that occur in all.", soft=True)
    if comparison.effects:
        yield pages.heading("What the factors account for", 3)
        yield effects(comparison)
        yield pages.paragraph(
            "Shares of the figures' variance (eta squared): of a factor by itself, and of two "
            "together beyond that. p is the F test's.",
            soft=True,
        )
    if comparison.differences:
        yield from pairs(comparison)
    yield "</section>"


def protocol(comparison: Comparison) -> str:
    """A protocol in words; hashes by their first eight characters."""
    left = dict(comparison.protocol)
    words = list[str]()
    for key, text in (
        ("extractor", "features of the extractor {}"),
        ("features", "({})"),
        ("generated", "{:,} generated images"),
        ("seed", "from latents of seed {}"),
        ("reference", "against the {} split"),
        ("real", "({})"),
    ):
        if left.get(key) is not None:
            comma = "" if not words or text.startswith("(") or key == "seed" else ","
            value = left[key]
            if text.startswith("(") and isinstance(value, str):
                value = value[:8]
            words.append(f"{comma} {text.format(value)}")
        left.pop(key, None)
    words += [f", {key} {value_text(value)}" for key, value in left.items()]
    better = "higher" if comparison.higher_is_better else "lower"
    said = f"By one protocol:{''.join(words)}. " if words else ""
    return f"{said}{better.capitalize()} is better."


def verdict(comparison: Comparison) -> str:
    """What the leaderboard comes to, in a line."""
    best, *others = comparison.groups
    figure = f"{best.mean:,.{decimals(comparison)}f}"
    if not others:
        return f"One group: {best.label}, {figure}"
    tested = [pair for pair in comparison.from_best.values() if pair.p is not None]
    distinct = sum(pair.distinct for pair in tested)
    if distinct == len(others):
        return f"{best.label} is best, with {figure}: distinct from every other group"
    if distinct:
        what = f"distinct from {distinct:,} of the {len(others):,} other groups"
    else:
        what = "no other group is distinct from it" if tested else "one seed is too few for a test"
    return f"{best.label} has the best mean, {figure}: {what}"


def leaderboard(comparison: Comparison) -> str:
    """The groups, the best first, with what a run of each cost on average."""
    digits = decimals(comparison)
    known = [of for of in COSTS if any(cost(group, of) is not None for group in comparison.groups)]
    header = ["", "group", "seeds", "mean", "95 % interval", "against the best"]
    header += [*(of.name for of in known), "best", "best run"]
    rows = [
        [
            str(rank),
            group.label,
            str(len(group.members)),
            f"{group.mean:,.{digits}f}",
            span(group.interval, digits) if group.interval else "-",
            standing(comparison, group),
            *("-" if (paid := cost(group, of)) is None else of.text.format(paid) for of in known),
            f"{group.best.figure.value:,.{digits}f}",
            group.best.name,
        ]
        for rank, group in enumerate(comparison.groups, 1)
    ]
    return pages.table(header, rows)


def standing(comparison: Comparison, group: Group) -> str:
    """How far a group is from the best one, and whether the seeds bear that out."""
    best, remarks, digits = comparison.groups[0], comparison.remarks(group), decimals(comparison)
    if group is best:
        return "; ".join(["the best", *remarks])
    apart = f"{group.mean - best.mean:+,.{digits}f}"
    pair = comparison.from_best[group.label]
    if pair.interval:
        low, high = pair.interval  # of the best less the group
        apart += f" ({span((-high, -low), digits)})"
    return "; ".join([apart, *(["distinct"] if pair.distinct else []), *remarks])


def differing(comparison: Comparison) -> str:
    """Each key in which the configurations differ, by the groups that are drawn."""
    groups = comparison.groups[:DRAWN]
    more = len(comparison.groups) > DRAWN
    rows = [
        [
            key,
            *(values(member.settings.get(key) for member in group.members) for group in groups),
            *([values(occurring)] if more else []),
        ]
        for key, occurring in comparison.differing.items()
    ]
    return pages.table(["", *(group.label for group in groups), *(["all"] if more else [])], rows)


def effects(comparison: Comparison) -> str:
    """A bar a factor and two together, of all the variance."""
    shares = [
        (
            " x ".join(map(key_text, effect.factors))
            + ("" if effect.p is None else f" (p = {effect.p:.2g})"),
            effect.share,
        )
        for effect in comparison.effects
    ]
    return pages.bars(shares, whole=1, written="{:.1%}".format)


def pairs(comparison: Comparison) -> Iterator[str]:
    """The differences of every two of the groups that are drawn, folded away."""
    digits = decimals(comparison)
    drawn = {group.label for group in comparison.groups[:DRAWN]}
    rows = [
        [
            f"{pair.first} - {pair.second}",
            f"{pair.difference:+,.{digits}f}",
            span(pair.interval, digits) if pair.interval else "-",
            "-" if pair.p is None else f"{pair.p:.3g}",
            "-" if pair.corrected is None else f"{pair.corrected:.3g}",
            "one seed" if pair.p is None else "distinct" if pair.distinct else "not distinct",
        ]
        for pair in comparison.differences
        if {pair.first, pair.second} <= drawn
    ]
    tests = sum(pair.p is not None for pair in comparison.differences)
    header = ["groups", "difference", "95 % interval", "p", f"p of {tests:,} tests", ""]
    some = f", of the best {DRAWN} groups" if len(comparison.groups) > DRAWN else ""
    yield f"<details><summary>Every two groups{some}, and how they were tested</summary>"
    yield pages.paragraph(
        "The interval of a mean is Student's t over the seeds. A difference and its interval are "
        f"Welch's; p is corrected by Holm's method for {tests:,} tests, and two groups are called "
        "distinct where it stays below 0.05."
    )
    yield f'<div class="pairs">{pages.table(header, rows)}</div></details>'


def curves(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The groups' lines, each in its rank's colour and stroke."""
    strokes = [(color, dash) for dash in STROKES for color in COLORS]
    return [
        line | {"color": color, "dash": dash}
        for group, (color, dash) in zip(groups, strokes, strict=False)
        if (line := curve(group))
    ]


def curve(group: Group) -> dict[str, Any] | None:
    """A group's line: its mean over the seeds, and the lowest and highest of them.

    Where the seeds were not evaluated at the same images, their figures are interpolated, as far as
    every seed has come.

    Returns:
        Lists of one length, `images`, `seconds`, `mean`, `low` and `high`, with the group's `label`
        and its `multiply_adds` an image; None where no images are common to all seeds.
    """
    curves = [np.array(points).T for member in group.members if (points := member.curve())]
    if not curves:
        return None
    first = max(images[0] for images, _, _ in curves)
    last = min(images[-1] for images, _, _ in curves)
    every = np.unique(np.concatenate([images for images, _, _ in curves]))
    common = thinned(every[(first <= every) & (every <= last)].tolist(), POINTS)
    if not common:
        return None
    seconds = np.mean([np.interp(common, images, clock) for images, clock, _ in curves], axis=0)
    figures = np.array([np.interp(common, images, figure) for images, _, figure in curves])
    return {
        "label": group.label,
        "multiply_adds": multiply_adds_an_image(group.best),
        "images": [int(images) for images in common],
        "seconds": rounded(seconds),
        "mean": rounded(figures.mean(axis=0)),
        "low": rounded(figures.min(axis=0)),
        "high": rounded(figures.max(axis=0)),
    }


def chart(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The place of a chart, with the switch of its axis above and its legend below."""
    axes = {"images": "images", "seconds": "seconds"}
    if any(line["multiply_adds"] for line in lines):
        axes["multiply_adds"] = "multiply-adds"
    yield "<form><fieldset><legend>over</legend>"
    for value, text in axes.items():
        checked = " checked" if value == "images" else ""
        yield f'<label><input type="radio" name="axis" value="{value}"{checked}> {text}</label>'
    yield '</fieldset></form><div class="chart"></div><div class="legend">'
    for line in lines:
        yield (
            f'<button type="button" aria-pressed="true">{swatch(line)}'
            f"{escape(line['label'])}</button>"
        )
    yield "</div>"


def swatch(line: Mapping[str, Any]) -> str:
    """A piece of a line, beside its name."""
    style = f"border-top-style:{STROKES[line['dash']]};border-color:{line['color']}"
    return f'<i class="swatch" style="{style}"></i>'


@dataclass(frozen=True)
class Samples:
    """The grids of samples of some groups, of a run each, over the images seen.

    Attributes:
        runs: a run of each group that has kept samples, by the group's label.
        seed: theirs, which their latents are drawn from; None where they have none in common.
        steps: the images that the slider stops at.
    """

    runs: Mapping[str, Member]
    seed: int | None
    steps: Sequence[int]

    @classmethod
    def of(cls, groups: Sequence[Group]) -> "Samples":
        """Takes runs of one seed, where there is one that every group has; else each the best."""
        kept = {
            group.label: [run for run in (group.best, *group.members) if run.samples()]
            for group in groups
        }
        kept = {label: runs for label, runs in kept.items() if runs}
        seeds = [{run.settings.get("seed") for run in runs} for runs in kept.values()]
        common: set[int | None] = set.intersection(*seeds) if seeds else set()
        seed = min((seed for seed in common if seed is not None), default=None)
        chosen = {
            label: next((run for run in runs if run.settings.get("seed") == seed), runs[0])
            for label, runs in kept.items()
        }
        union = {images for run in chosen.values() for images, _ in run.samples()}
        return cls(chosen, seed, thinned(sorted(union), STEPS))

    def section(self, total: int) -> Iterator[str]:
        """The slider and the pictures' places, out of this many groups in all."""
        yield pages.heading("Samples", 3)
        latents = (
            f"of seed {self.seed}, from the same latents all through"
            if self.seed is not None
            else "of its best run; the groups have no seed in common, and other latents each"
        )
        some = f" {len(self.runs)} of {total:,} groups are shown." if len(self.runs) < total else ""
        yield pages.paragraph(f"Of each group the run {latents}.{some}", soft=True)
        last = len(self.steps) - 1
        yield (
            '<label class="slider">after <output></output>'
            f'<input type="range" min="0" max="{last}" value="{last}"></label><div class="grids">'
        )
        for label in self.runs:
            name = escape(label)
            yield (
                f'<figure><img alt="samples of {name}"><figcaption>{name}<br><output></output>'
                "</figcaption></figure>"
            )
        yield "</div>"

    def embedded(self, most: int) -> list[list[dict[str, Any]]]:
        """The pictures of each run that the steps show, in at most so many bytes altogether."""
        shown = [
            dict(filter(None, (latest(run, step) for step in self.steps)))
            for run in self.runs.values()
        ]
        share = most // max(1, sum(map(len, shown)))
        return [
            [
                {"images": images, "picture": content}
                for images, path in paths.items()
                if (content := embedded(path, share))
            ]
            for paths in shown
        ]


def latest(run: Member, step: int) -> tuple[int, Path] | None:
    """A run's last samples at a step of the slider."""
    return max((grid for grid in run.samples() if grid[0] <= step), default=None)


def embedded(path: Path, most: int) -> str | None:
    """A picture as a data URI of at most so many characters; None of one that cannot be read."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            small = picture.reduce(-(-max(picture.size) // SIDE))
    except (OSError, SyntaxError):  # what Pillow raises of a file that was cut short
        return None
    for quality in QUALITIES:
        content = io.BytesIO()
        small.save(content, "WEBP", quality=quality, method=2)
        text = f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
        if len(text) <= most:
            break
    return text


def thinned(items: Sequence[int], most: int) -> list[int]:
    """At most so many items, evenly chosen, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]


def multiply_adds_an_image(run: Member) -> float | None:
    """What showing a real image costs in the training, all updates counted."""
    iteration = run.summary.get("multiply_adds", {}).get("iteration")
    batch, updates = run.settings.get("batch_size"), run.settings.get("loss.critic_steps")
    return iteration / (batch * updates) if iteration and batch and updates else None


def values(settings: Iterable[Any]) -> str:
    """The settings that occur, each once."""
    return " | ".join(dict.fromkeys(map(value_text, settings)))


def rounded(numbers: Iterable[float]) -> list[float]:
    """To five digits that count, which a chart cannot show more of."""
    return [float(f"{one:.5g}") for one in numbers]
