"""Prints a Markdown table of finished runs, grouped by model, loss and data.

    python scripts/table.py runs/*

For each group: the seeds, mean and standard deviation (over n - 1) of the last figure, and the mean
seconds of training without evaluations. Runs of different budgets or protocols are refused.
"""

import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from touchstone.errors import UsageError
from touchstone.tracking.figures import Figure, comparable
from touchstone.tracking.run import Run

NAME = re.compile(r"^[\d-]+_[\d-]+_(?P<group>.+)_s(?P<seed>\d+)(_\d+)?$")


def table(runs: list[Run]) -> str:
    """The table, with one row a group.

    Raises:
        UsageError: where a run is not finished, or runs are not comparable.
    """
    groups: dict[str, list[tuple[int, dict[str, Any], Figure]]] = defaultdict(list)
    for run in runs:
        named, summary = NAME.match(run.name), run.summary
        figures = [figure for figure in run.figures() if figure.images == summary.get("images")]
        if named is None or summary.get("status") != "finished" or not figures:
            raise UsageError(f"{run.path}: not finished, or without a figure")
        groups[named["group"]].append((int(named["seed"]), summary, figures[0]))
    members = [member for group in groups.values() for member in group]
    budgets = {summary["images"] for _, summary, _ in members}
    if len(budgets) > 1:
        raise UsageError(f"not comparable: budgets of {budgets} images")
    comparable(figure for _, _, figure in members)
    metric = members[0][2].name

    lines = [f"| run | seeds | {metric} | deviation | seconds |", "| --- | --- | --- | --- | --- |"]
    for name, members in groups.items():
        values = [figure.value for _, _, figure in members]
        deviation = f"{statistics.stdev(values):.2f}" if len(values) > 1 else "one seed"
        seeds = ", ".join(str(seed) for seed in sorted(seed for seed, _, _ in members))
        seconds = statistics.mean(summary["seconds"] for _, summary, _ in members)
        lines.append(
            f"| {name} | {seeds} | {statistics.mean(values):.2f} | {deviation} | {seconds:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        print(table([Run.open(Path(path)) for path in sys.argv[1:]]))
    except UsageError as error:
        sys.exit(f"table: {error}")
