"""`touchstone compare`: runs side by side, in a report and as tables, and whether they differ."""

import sys
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from touchstone.cli.front import enter, plain
from touchstone.errors import UsageError


def main() -> None:
    """Compares as the command line says."""
    # So that where.KEY=VALUE needs no plus sign before it, as a new key does for Hydra.
    sys.argv[1:] = [f"+{word}" if word.startswith("where.") else word for word in sys.argv[1:]]
    enter("compare", compare)


def compare(settings: DictConfig) -> None:
    """Prints the leaderboards of runs and writes the report and the tables.

    Raises:
        UsageError: a setting is wrong, or no run is left to be compared.
    """
    from touchstone.comparison import groups, page, runs, study, tables

    where = dict(runs.flat(plain(settings.where)))
    if settings.sweep is not None:
        where["sweep"] = settings.sweep
    given = {
        key: str(settings[key]) for key in ("since", "until", "tag") if settings[key] is not None
    }
    folder = Path(settings.runs_dir)
    words = several(settings.runs) or [str(folder)]
    members, left_out = runs.read(
        runs.find(words, folder), settings.figure, unfinished=settings.unfinished
    )
    read = len(members)
    members, copies = runs.latest(runs.chosen(members, where, **given))
    left_out += copies
    for path, reason in left_out:
        print(f"left out: {path}: {reason}", file=sys.stderr)
    if not members:
        filtered = f", and none of the {read} others passes the filter" if read else ""
        raise UsageError(
            f"runs=[{','.join(words)}]: nothing to compare; {len(left_out)} left out{filtered}"
        )

    comparisons = groups.compare(members, several(settings.by) or None)
    texts = {
        "leaderboard.csv": tables.comma_separated(comparisons),
        "leaderboard.md": "\n".join(map(tables.markdown, comparisons)),
        "leaderboard.tex": "\n".join(map(tables.latex, comparisons)),
    }
    to = Path(settings.to)
    plots = {} if settings.sweep is None else study.plots(folder / "sweeps" / str(settings.sweep))
    pair = several(settings.trade_off) or None
    page.write(comparisons, left_out, to / "report.html", plots, pair)  # makes the folder
    for name, text in texts.items():
        (to / name).write_text(text, "utf-8")
    print(texts["leaderboard.md"])
    print(*(to / name for name in ("report.html", *texts)), sep="\n")


def several(setting: str | ListConfig | None) -> list[str]:
    """One word or a list of them, as a list."""
    if setting is None:
        return []
    return [str(word) for word in (setting if isinstance(setting, ListConfig) else [setting])]
