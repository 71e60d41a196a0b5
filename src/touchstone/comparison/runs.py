"""Runs read from their folders for a comparison: of each its settings, its summary and one figure.

A thousand runs are read in about a second: no record of a run's whole course is opened, and what
configurations have in common is parsed once.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from touchstone.comparison.groups import Member, apart, key_of
from touchstone.errors import UsageError
from touchstone.tracking.figures import Figure
from touchstone.tracking.run import lines

NO_RUNS = ("sweeps", "trackio")  # lie among the runs: records of sweeps, the local dashboard's data
LeftOut = tuple[Path, str]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_REFERENCE = re.compile(r"\$\{(?:oc\.select:)?(\.*)([\w.]+)(?:,([^${}]*))?\}")
_TIME = re.compile(r"\d{4}(-\d\d){0,2}([T ]\d\d(:\d\d){0,2})?")


def find(words: Iterable[str], folder: Path) -> Iterator[Path]:
    """Finds what is to be read as runs, each once.

    Args:
        words: paths of runs or of folders of runs, patterns such as `runs/*`, or names in `folder`.
        folder: where runs lie.
    """
    found = (path for word in words for path in _matching(word, folder))
    yield from {path.resolve(): path for one in found for path in _inside(one)}.values()


def _matching(word: str, folder: Path) -> list[Path]:
    """The paths that a word stands for; itself where there are none, to be named as missing."""
    for path in (Path(word), folder / word):
        if path.exists():
            return [path]
        root = Path(path.anchor or ".")
        matches = sorted(root.glob(str(path.relative_to(root))))
        if seen := [match for match in matches if not match.name.startswith(".")]:
            return seen
    return [Path(word)]


def _inside(path: Path) -> list[Path]:
    """The folders in a folder of runs; otherwise the path itself."""
    if path.name in NO_RUNS:
        return []
    if not path.is_dir() or (path / "config.yaml").exists():
        return [path]
    inside = sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and child.name not in NO_RUNS and not child.name.startswith(".")
    )
    return inside if any((child / "config.yaml").exists() for child in inside) else [path]


def read(
    paths: Iterable[Path], figure: str | None = None, *, unfinished: bool = False
) -> tuple[list[Member], list[LeftOut]]:
    """Reads runs, each with one figure.

    Args:
        paths: their folders.
        figure: its name, or its metric's (`kid`); by default the run's first.
        unfinished: whether runs that have not finished count, with their latest figure.

    Returns:
        The runs; and the folders that cannot be compared, with the reasons.
    """
    members, left_out = list[Member](), list[LeftOut]()
    for path in paths:
        member = _member(path, figure, unfinished)
        if isinstance(member, Member):
            members.append(member)
        else:
            left_out.append((path, member))
    return members, left_out


def _member(path: Path, asked: str | None, unfinished: bool) -> Member | str:
    """A run; or the reason why it is none to be compared."""
    if not (path / "config.yaml").is_file():
        return "no run: it has no config.yaml" if path.exists() else "there is no such run"
    version = "an unknown version"
    try:
        environment = _content(path / "environment.json")
        version = f"touchstone {environment['versions']['touchstone']}"
        ending = path / "summary.json"
        summary = {} if unfinished and not ending.exists() else _content(ending)
        if summary.get("status") != "finished" and not unfinished:
            return f"not finished ({summary['status']})"
        found = _figure(path, asked, summary)
        if isinstance(found, str):
            return found
        settings, derived = settings_of((path / "config.yaml").read_text())
        tags = settings.get("sweep"), *(settings.get("logger.wandb.tags") or ())
        return Member(
            path=path,
            settings=settings,
            derived=derived,
            figure=found,
            summary=summary,
            started=str(environment["started"]),
            tags=tuple(str(tag) for tag in tags if tag is not None),
        )
    except FileNotFoundError as error:
        return f"not finished, or half written: it has no {Path(error.filename).name}"
    except (OSError, _DamagedError, UnicodeDecodeError, yaml.YAMLError) as error:
        return f"cannot be read: {' '.join(str(error).split())}"
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return f"its record, of {version}, is not as this version's ({error!r})"


class _DamagedError(Exception):
    """A file that was cut short."""


def _content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise _DamagedError(f"{path.name} is damaged") from error
    return content


def _figure(path: Path, asked: str | None, summary: Mapping[str, Any]) -> Figure | str:
    """The figure asked for, at the end of the run, as it was computed last by its protocol."""
    end, at_end = record(path, summary)
    if end is None:
        return "no figures were computed"
    wanted = [line for line in at_end if asked is None or is_asked(line["name"], asked)]
    if not wanted:
        return f"no figure{f' {asked}' if asked else ''} at its end, {end:,} images"
    first = wanted[0]
    same = [line for line in wanted if _protocol(line) == _protocol(first)]
    figure = Figure(**same[-1])
    return figure if math.isfinite(figure.value) else f"its {figure.name} is {figure.value}"


def record(path: Path, summary: Mapping[str, Any]) -> tuple[int | None, list[dict[str, Any]]]:
    """The end of a run in images, and the lines of its figures there, in the order of computing.

    Without an end, and without lines, where none were computed.
    """
    computed = [line for line in lines(path / "figures.jsonl") if line["images"] is not None]
    if not computed:
        return None, []
    end: int = max(line["images"] for line in computed)
    if summary.get("status") == "finished":
        end = summary["images"]
    return end, [line for line in computed if line["images"] == end]


def _protocol(line: Mapping[str, Any]) -> tuple[str, Any]:
    return line["name"], line["protocol"]


def is_asked(name: str, asked: str) -> bool:
    """Whether a figure goes by a name, in whole or by its metric alone."""
    return name == asked or re.fullmatch(rf"{re.escape(asked)}\d[^/]*", name) is not None


def settings_of(text: str) -> tuple[dict[str, Any], frozenset[str]]:
    """A configuration as flat settings, and the keys whose values it takes from others.

    `${a.b}`, `${..b}` and `${oc.select:a.b,DEFAULT}` are resolved where they name a plain value; of
    other interpolations the text stands.
    """
    written = dict[str, Any]()
    for part in re.split(r"^(?=[^\s#-])", text, flags=re.MULTILINE):
        written |= _parsed(part)
    derived = [key for key, value in written.items() if isinstance(value, str) and "${" in value]
    settings = written | {key: _resolved(key, written) for key in derived}
    return settings, frozenset(derived)


@cache
def _parsed(part: str) -> dict[str, Any]:
    """One part of a configuration, `model:` and all that stands below, flat."""
    return dict(flat(yaml.load(part, _LOADER) or {}))


def flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as pairs of a key such as `loss.name` and a value that can be hashed."""
    for name, value in content.items():
        key = f"{above}{name}"
        if isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            yield from flat(value, f"{key}.")
        else:
            yield key, tuple(value) if isinstance(value, list) else value


def _resolved(key: str, written: Mapping[str, Any], depth: int = 10) -> Any:
    """The value that a key takes from others; the text as it is written where that is none."""
    reference = _REFERENCE.fullmatch(written[key])
    if reference is None:
        return written[key]
    dots, name, default = reference.groups()
    other = ".".join([*key.split(".")[: -len(dots)], name]) if dots else name
    if other not in written:
        return written[key] if default is None else yaml.load(default, _LOADER)
    value = written[other]
    if isinstance(value, str) and "${" in value and depth:
        return _resolved(other, written, depth - 1)
    return value


def chosen(
    members: Sequence[Member],
    where: Mapping[str, Any],
    *,
    since: str | None = None,
    until: str | None = None,
    tag: str | None = None,
) -> list[Member]:
    """The runs that a filter lets pass.

    Args:
        members: the runs.
        where: values by the configuration's keys, each one or a tuple of several that pass.
        since: the first day or time at which a run was started, `2026-11-01`.
        until: the last, all of it.
        tag: a name that a run was given, or its sweep's.

    Raises:
        UsageError: a key that no run has, or what is no date.
    """
    for setting, time in (("since", since), ("until", until)):
        if time is not None and not _TIME.fullmatch(time):
            raise UsageError(f"{setting}={time}: it has to be a date, such as 2026-11-01")
    since, until = ((time or "").replace(" ", "T") for time in (since, until))
    known = dict.fromkeys(key for member in members for key in member.settings)
    wanted = {key_of(word, known, "where"): value for word, value in where.items() if members}

    def passes(member: Member) -> bool:
        return (
            all(_is(member.settings.get(key), value) for key, value in wanted.items())
            and member.started[: len(since)] >= since
            and member.started[: len(until)] <= until
            and (tag is None or tag in member.tags)
        )

    return [member for member in members if passes(member)]


def _is(value: Any, wanted: Any) -> bool:
    return value == wanted or (isinstance(wanted, tuple) and value in wanted)


def latest(members: Iterable[Member]) -> tuple[list[Member], list[LeftOut]]:
    """Of runs of one configuration and seed the last to be started: the others are no new seeds."""
    kept = dict[Any, Member]()
    left_out = list[LeftOut]()
    for member in sorted(members, key=lambda member: (member.started, member.name), reverse=True):
        settings = frozenset(
            (key, value)
            for key, value in member.settings.items()
            if not apart(key) and key not in member.derived
        )
        same = kept.setdefault((member.protocol, member.settings.get("seed"), settings), member)
        if same is not member:
            left_out.append((member.path, f"the configuration and the seed are {same.name}'s"))
    return list(kept.values())[::-1], left_out
