"""What the audit's page draws: intervals, ROC curves, shares of values. In light and dark."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import torch
from torch import Tensor

from touchstone.privacy.intervals import Estimate
from touchstone.privacy.shares import Shares

STYLE = """
:root { --a: light-dark(#2a62b8, #7fb0f5); --b: light-dark(#c25a00, #f2a65a);
  --c: light-dark(#2a7d46, #74cf93); --d: light-dark(#8a3ba8, #d29be8);
  --real: light-dark(#9a9a96, #8b8b88); --bad: light-dark(#b3261e, #ff8a80) }
table { white-space: normal } td, th { vertical-align: top; overflow-wrap: normal }
.panel.bad { border-color: var(--bad); border-left: 6px solid var(--bad) }
.intervals { max-width: 46rem; margin: .6rem 0 1rem }
.interval { margin: .55rem 0 }
.said { display: flex; flex-wrap: wrap; justify-content: space-between; column-gap: 1rem;
  font-variant-numeric: tabular-nums }
.said b { font-weight: 600 } .interval small { color: var(--soft) }
.track { position: relative; height: 1.15rem; border-bottom: 1px solid var(--line) }
.track i { position: absolute; display: block; border-radius: 3px }
.track .guess { width: 1px; top: 0; bottom: 0; background: var(--soft); border-radius: 0 }
.track .other { height: .28rem; bottom: .12rem; background: var(--real); min-width: 3px }
.track .own { height: .42rem; top: .1rem; background: var(--a); opacity: .45; min-width: 3px }
.track .dot { width: .62rem; height: .62rem; top: 0; margin-left: -.31rem; border-radius: 50%;
  background: var(--a) }
.ends { display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem;
  position: relative }
.ends span[style] { position: absolute; padding-left: .3rem; white-space: nowrap }
svg.roc { width: 100%; max-width: 32rem; height: auto; display: block }
svg.roc text { font-size: 13px; fill: var(--soft) }
svg.roc .grid { stroke: var(--line) } svg.roc path { fill: none; stroke-width: 2.2 }
svg.roc .guess { stroke: var(--soft); stroke-dasharray: 2 4; stroke-width: 1.5 }
.cards { display: flex; flex-wrap: wrap; gap: 1.4rem 2rem; margin: .8rem 0 }
.card { flex: 1 1 17rem; max-width: 28rem; min-width: 0 } .card h3 { margin: 0 0 .3rem }
.share { display: grid; grid-template-columns: 40% 1fr; gap: .1rem .6rem; font-size: .85rem;
  margin: .25rem 0; line-height: 1.25 }
.share span { display: block; height: .45rem; border-radius: 2px; margin: .1rem 0; min-width: 1px }
.real { background: var(--real) } .made { background: var(--a) }
.key span { display: inline-block; width: 1.1rem; height: .55rem; border-radius: 2px;
  margin: 0 .35rem 0 .8rem } .key span:first-child { margin-left: 0 }
"""
COLOURS = ("a", "b", "c", "d")
DASHES = ("none", "7 3", "2 2.5", "9 3 2 3")
LEAST = 1e-3  # of both axes of the ROC curve


def written(estimate: Estimate, percent: bool = False) -> str:
    """A figure and its interval, in words: `0.512 (0.503 to 0.521)`."""
    if percent:
        value, low, high = (_percent(100 * each) for each in estimate)
        return f"{value} % ({low} to {high})"
    return "{:.3f} ({:.3f} to {:.3f})".format(*estimate)


@dataclass(frozen=True)
class Row:
    """A figure among others on one axis.

    Attributes:
        name: what it is of.
        own: the figure.
        compared: what it is compared with, drawn below it.
        said: what else is said of it.
    """

    name: str
    own: Estimate
    compared: Estimate | None = None
    said: str = ""


def intervals(
    rows: Sequence[Row],
    ends: tuple[float, float],
    *,
    other: str = "",
    guess: float | None = None,
    percent: bool = False,
) -> str:
    """Figures on an axis, each with its interval, and that of what it is compared with below it.

    Args:
        rows: the figures.
        ends: of the axis.
        other: what they are compared with.
        guess: where a line is drawn: what says nothing.
        percent: whether they are written as such.
    """
    low, high = ends

    def at(value: float) -> float:
        return 100 * (min(max(value, low), high) - low) / (high - low)

    def bar(kind: str, one: Estimate) -> str:
        left, right = at(one.low), at(one.high)
        return f'<i class="{kind}" style="left:{left:.2f}%;width:{right - left:.2f}%"></i>'

    def label(value: float) -> str:
        return f"{100 * value:.3g} %" if percent else f"{value:g}"

    parts = []
    for row in rows:
        line = "" if guess is None else f'<i class="guess" style="left:{at(guess):.2f}%"></i>'
        below = row.said
        if row.compared is not None:
            line += bar("other", row.compared)
            said = f"{other}: {written(row.compared, percent)}"
            below = f"{said}. {row.said}" if row.said else said
        line += f'{bar("own", row.own)}<i class="dot" style="left:{at(row.own.value):.2f}%"></i>'
        parts.append(
            f'<div class="interval"><div class="said"><span>{escape(row.name)}</span>'
            f'<b>{written(row.own, percent)}</b></div><div class="track">{line}</div>'
            f"<small>{escape(below)}</small></div>"
        )
    middle = ""
    if guess is not None:
        middle = f'<span style="left:{at(guess):.2f}%">{label(guess)}: a guess</span>'
    # Where the guess is near the axis's end, its label takes the place of the end's.
    first = label(low) if guess is None or at(guess) > 12 else ""
    axis = f'<div class="ends"><span>{first}</span>{middle}<span>{label(high)}</span></div>'
    return f'<div class="intervals">{"".join(parts)}{axis}</div>'


def ends_of(estimates: Iterable[Estimate]) -> tuple[float, float]:
    """The ends of an axis for areas under curves: from 0.4 to 1, or from as low as they go."""
    return min([0.4, *(math.floor(10 * one.low) / 10 for one in estimates)]), 1.0


def roc(scores: Mapping[str, tuple[Tensor, Tensor]]) -> str:
    """ROC curves on two axes of logarithms, by name of members' scores and of others'.

    As Carlini et al. 2022 (arXiv 2112.03570, section 4) draw them: what an attacker can do who must
    be sure is at the left.
    """
    left, top, side = 56, 12, 300

    def x(share: float) -> float:
        return left + side * (1 - math.log10(max(share, LEAST)) / math.log10(LEAST))

    def y(share: float) -> float:
        return top + side * math.log10(max(share, LEAST)) / math.log10(LEAST)

    parts = []
    for share in (1e-3, 1e-2, 1e-1, 1.0):
        label = f"{100 * share:g} %"
        parts.append(
            f'<line class="grid" x1="{x(share):.0f}" x2="{x(share):.0f}" y1="{top}" '
            f'y2="{top + side}"/><line class="grid" x1="{left}" x2="{left + side}" '
            f'y1="{y(share):.0f}" y2="{y(share):.0f}"/>'
            f'<text x="{x(share):.0f}" y="{top + side + 18}" text-anchor="middle">{label}</text>'
            f'<text x="{left - 6}" y="{y(share) + 4:.0f}" text-anchor="end">{label}</text>'
        )
    parts.append(f'<path class="guess" d="M{left} {top + side}L{left + side} {top}"/>')
    for number, (name, sides) in enumerate(scores.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        points = " ".join(f"{x(fpr):.1f},{y(tpr):.1f}" for fpr, tpr in curve(*sides))
        stroke = f'style="stroke:var(--{colour})" stroke-dasharray="{dash}"'
        height = top + side + 62 + 20 * (number // 2)
        start = left + 165 * (number % 2) - 40
        parts.append(
            f'<path d="M{points}" {stroke}/><path d="M{start} {height - 4}h26" {stroke}/>'
            f'<text x="{start + 32}" y="{height}">{escape(name)}</text>'
        )
    below = top + side + 36
    height = top + side + 74 + 20 * ((len(scores) - 1) // 2)
    return (
        f'<svg class="roc" viewBox="0 0 {left + side + 24} {height}" role="img" '
        'aria-label="ROC curves: members found by non-members accused">'
        f'{"".join(parts)}<text x="{left + side / 2}" y="{below}" text-anchor="middle">'
        "others wrongly taken for members</text>"
        f'<text transform="translate(12 {top + side / 2}) rotate(-90)" text-anchor="middle">'
        "members found</text></svg>"
    )


def curve(members: Tensor, others: Tensor, points: int = 160) -> list[tuple[float, float]]:
    """False and true positive rates at false positive rates from one other's on."""
    ordered = others.sort(descending=True).values
    ranked = members.sort().values
    accused = torch.unique(torch.logspace(0, math.log10(len(others)), points).round().long())
    found = []
    for number in accused.tolist():
        if number < len(others):
            above = len(ranked) - int(torch.searchsorted(ranked, ordered[number], right=True))
            wrong = int((ordered > ordered[number]).sum())
            found.append((wrong / len(others), above / len(members)))
    return [*(pair for pair in dict.fromkeys(found) if pair[0] > 0), (1.0, 1.0)]


def key() -> str:
    """Which bar is which."""
    return '<p class="key"><span class="real"></span>real <span class="made"></span>synthetic</p>'


def cards(charts: Sequence[tuple[Shares, str]]) -> str:
    """Columns' shares of values, real above synthetic, each with a line of what is to be said."""
    return f'<div class="cards">{"".join(_card(*chart) for chart in charts)}</div>'


def _card(shown: Shares, said: str) -> str:
    most = max([*shown.real, *shown.synthetic, 1e-9])
    rows = "".join(
        f'<div class="share"><div>{escape(value)}</div><div>'
        f'<span class="real" style="width:{100 * real / most:.1f}%"></span>'
        f'<span class="made" style="width:{100 * made / most:.1f}%"></span></div></div>'
        for value, real, made in zip(shown.values, shown.real, shown.synthetic, strict=True)
    )
    return (
        f'<div class="card"><h3>{escape(shown.column)}</h3><small class="soft">{escape(said)}'
        f"</small>{rows}</div>"
    )


def _percent(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.1f}"
