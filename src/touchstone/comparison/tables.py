"""The leaderboards of comparisons as CSV, Markdown and LaTeX."""

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from touchstone.comparison import statistics
from touchstone.comparison.groups import Comparison, Group

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Cost:
    """What a run has cost, as a column.

    Attributes:
        name: of the column, with its unit.
        of: takes it from a run's summary, in that unit; None where it is not there.
        text: writes it.
    """

    name: str
    of: Callable[[Summary], float | None]
    text: str = "{:.3g}"


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


COSTS = (
    Cost("time, s", lambda summary: summary.get("seconds"), "{:,.0f}"),
    Cost(
        "parameters, M",
        lambda summary: _scaled(sum(summary.get("parameters", {}).values()) or None, 1e6),
    ),
    Cost(
        "multiply-adds an iteration, G",
        lambda summary: _scaled(summary.get("multiply_adds", {}).get("iteration"), 1e9),
    ),
    Cost("images/s", lambda summary: summary.get("images_per_second"), "{:,.0f}"),
    Cost("energy, kJ", lambda summary: _scaled(summary.get("energy_joules"), 1e3)),
    Cost("memory, GiB", lambda summary: summary.get("peak_memory_gib"), "{:.2f}"),
)


def cost(group: Group, of: Cost) -> float | None:
    """The mean cost of a group's runs; None where one's is not known."""
    costs = [of.of(member.summary) for member in group.members]
    known = [value for value in costs if value is not None]
    return statistics.mean(known) if len(known) == len(costs) else None


def comma_separated(comparisons: Sequence[Comparison]) -> str:
    """Every group of every comparison as a row, in full precision, to be computed with."""
    head = ["figure", "protocol", "group", "seeds", "mean", "low", "high", "deviation"]
    head += ["best", "best run", *(of.name for of in COSTS), "remarks"]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(head)
    for comparison in comparisons:
        for group in comparison.groups:
            low, high = group.interval or (None, None)
            writer.writerow(
                [comparison.figure, protocol_text(comparison.protocol), group.label]
                + [len(group.members), group.mean, low, high, group.deviation]
                + [group.best.figure.value, group.best.name]
                + [cost(group, of) for of in COSTS]
                + ["; ".join(comparison.remarks(group))]
            )
    return written.getvalue()


def markdown(comparison: Comparison) -> str:
    """A leaderboard that is read as well as it stands as when it is rendered."""
    head, *body = rows(comparison)
    left = (0, len(head) - 2, len(head) - 1)  # text; numbers stand to the right
    rule = ["---" if column in left else "---:" for column in range(len(head))]
    table = [[cell.replace("|", "\\|") for cell in row] for row in (head, rule, *body)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = [f"{comparison.figure}: {protocol_text(comparison.protocol)}", ""]
    for row in table:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def latex(comparison: Comparison) -> str:
    """A leaderboard for a paper, by the package `booktabs`; the best group is set bold."""
    head, *body = ([*row[:-2], row[-1]] for row in rows(comparison))  # the run's name is for us
    columns = "l" + "r" * (len(head) - 2) + "l"
    best, *others = ([_escaped(cell) for cell in row] for row in body)
    best[0], best[2] = (f"\\textbf{{{cell}}}" for cell in (best[0], best[2]))
    lines = [" & ".join(row) + r" \\" for row in (best, *others)]
    return "\n".join(
        [
            f"% {comparison.figure}: {protocol_text(comparison.protocol)}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_escaped, head)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def rows(comparison: Comparison) -> Iterator[list[str]]:
    """The cells of a leaderboard as text, its head first, without costs that no group knows."""
    known = [of for of in COSTS if any(cost(group, of) is not None for group in comparison.groups)]
    yield [
        *("group", "seeds", comparison.figure, "95 % interval", "best"),
        *(of.name for of in known),
        "best run",
        "remarks",
    ]
    digits = decimals(comparison)
    for group in comparison.groups:
        costs = [(of, cost(group, of)) for of in known]
        yield [
            group.label,
            str(len(group.members)),
            f"{group.mean:.{digits}f}",
            "" if group.interval is None else span(group.interval, digits),
            f"{group.best.figure.value:.{digits}f}",
            *("" if value is None else of.text.format(value) for of, value in costs),
            group.best.name,
            "; ".join(comparison.remarks(group)),
        ]


def span(interval: tuple[float, float], digits: int) -> str:
    """An interval: `2.41 to 2.86`."""
    low, high = interval
    return f"{low:.{digits}f} to {high:.{digits}f}"


def decimals(comparison: Comparison) -> int:
    """Digits behind the point that show four of the largest mean."""
    largest = max(abs(group.mean) for group in comparison.groups)
    return max(0, 3 - math.floor(math.log10(largest))) if largest else 3


def protocol_text(protocol: Mapping[str, Any]) -> str:
    """A protocol in words, hashes by their first eight digits."""
    return ", ".join(
        f"{key} {value[:8] if isinstance(value, str) and len(value) == 64 else value}"
        for key, value in protocol.items()
    )


def _escaped(text: str) -> str:
    """Text as LaTeX sets it."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)
