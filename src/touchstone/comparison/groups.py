"""Runs of one protocol, grouped by what they differ in, and what can be said of the groups.

The members come from `comparison.runs`; of a run's whole course nothing is read before it is asked.
"""

import difflib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from touchstone.comparison import statistics
from touchstone.errors import UsageError
from touchstone.tracking.figures import Figure, comparable
from touchstone.tracking.run import lines

# What a run was not trained by: where it lies, what watched it, and what its protocol says already.
APART = (
    *("seed", "runs_dir", "data_dir", "cache_dir", "data.load.folder", "debug", "resume"),
    *("rerun", "sweep", "every", "logger", "metrics", "protocol", "callbacks.pruning"),
)
# Keys that stand for all that their part of the configuration brings.
NAMING = (".name", "._target_")
# Beside those, a budget of privacy, which the noise follows from and mostly all else that it takes.
BRINGING = (*NAMING, "privacy.epsilon")
LEVEL = 0.05  # of the corrected test, below which two groups are called distinct


@dataclass(frozen=True)
class Member:
    """A run as a comparison sees it.

    Attributes:
        path: its folder.
        settings: its configuration, flat: `loss.name`, `optimizer.lr`, `seed`, in plain values that
            can be hashed.
        derived: the keys whose value the configuration takes from others.
        figure: the compared figure, at the end of the run.
        summary: how it ended and what it cost, as in `summary.json`.
        started: when, ISO 8601.
        tags: the names that it was given, its sweep's among them.
    """

    path: Path
    settings: Mapping[str, Any]
    figure: Figure
    summary: Mapping[str, Any]
    started: str = ""
    tags: tuple[str, ...] = ()
    derived: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def protocol(self) -> str:
        """What the figure is and all that it was computed by, in one text."""
        return json.dumps([self.figure.name, self.figure.protocol], sort_keys=True)

    def curve(self) -> list[tuple[int, float, float]]:
        """The compared figure over the run: images, seconds of training, value."""
        seconds, clock = 0.0, dict[int, float]()
        values = dict[int, float]()
        for line in lines(self.path / "metrics.jsonl"):
            seconds = clock[line["images"]] = line.get("speed/seconds", seconds)
            if (value := line.get(self.figure.name)) is not None:
                values[line["images"]] = value
        return [(images, clock[images], value) for images, value in sorted(values.items())]

    def samples(self) -> list[tuple[int, Path]]:
        """The grids of samples, from the same latents: images, PNG."""
        grids = sorted((self.path / "samples").glob("*.png"))
        return [(int(grid.stem), grid) for grid in grids if grid.stem.isdecimal()]


@dataclass(frozen=True)
class Group:
    """Runs that are the same but for what they were not grouped by, which is mostly the seed.

    Attributes:
        label: what it differs in from the other groups: `loss=hinge, model=dcgan`.
        factors: the same, by the configuration's keys.
        members: its runs.
        mean: of their figures.
        interval: 95 % of the mean, by Student's t over the members; None of one run alone.
        deviation: of the figures, over n - 1; None of one run alone.
        best: the member with the best figure.
        mixed: other keys than the seed in which the members differ from each other.
    """

    label: str
    factors: Mapping[str, Any]
    members: tuple[Member, ...]
    mean: float
    interval: tuple[float, float] | None
    deviation: float | None
    best: Member
    mixed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """Between the means of two groups.

    Attributes:
        first: the label of the group with the better mean.
        second: the other's.
        difference: the first mean less the second.
        interval: 95 % of the difference, by Welch; None with one run alone.
        p: of Welch's test; None with one run alone.
        corrected: the same after Holm's correction over all pairs of groups that are tested.
        distinct: whether `corrected` is below 0.05.
    """

    first: str
    second: str
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    corrected: float | None
    distinct: bool


@dataclass(frozen=True)
class Effect:
    """Of a factor of a grid, or of two together beyond what each does by itself.

    Attributes:
        factors: one key of the configuration, or two.
        share: of the figures' variance, from 0 to 1 (eta squared).
        p: of the F test; None where no run is left to tell chance by.
    """

    factors: tuple[str, ...]
    share: float
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """Runs of one protocol.

    Attributes:
        figure: its name.
        protocol: what it was computed by.
        higher_is_better: of the figure.
        groups: the best mean first.
        differences: of every two groups that can be tested, and of the best and every other.
        effects: of the factors, the largest first, then of each two of them.
        differing: the keys of the configuration that differ, the seed apart, and their values.
    """

    figure: str
    protocol: Mapping[str, Any]
    higher_is_better: bool
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    effects: tuple[Effect, ...]
    differing: Mapping[str, tuple[Any, ...]]

    @cached_property
    def from_best(self) -> dict[str, Difference]:
        """The difference of the best group from each other, by the other's label."""
        best = self.groups[0].label
        return {each.second: each for each in self.differences if each.first == best}

    def remarks(self, group: Group) -> list[str]:
        """What has to be known of a group beside its figures, in words."""
        said = []
        if len(group.members) == 1:
            said.append("one seed")
        elif (difference := self.from_best.get(group.label)) is not None:
            if difference.p is None:
                said.append("not tested: the best has one seed")
            elif not difference.distinct:
                said.append("not distinct from the best")
        if group.mixed:
            said.append(f"mixes {', '.join(map(key_text, group.mixed))}")
        return said


def compare(members: Iterable[Member], by: Sequence[str] | None = None) -> list[Comparison]:
    """Compares runs, those of each figure and protocol by themselves.

    Args:
        members: the runs.
        by: keys of the configuration to group by; `loss` stands for `loss.name`. By default all in
            which the runs differ, without what follows from the name of a part that differs.

    Returns:
        A comparison a protocol, the one of most runs first.

    Raises:
        UsageError: `by` names no key, or it is not known which figures are the better ones.
    """
    members = list(members)
    known = dict.fromkeys(key for member in members for key in member.settings)
    keys = None if by is None else list(dict.fromkeys(key_of(word, known, "by") for word in by))
    alike = defaultdict[str, list[Member]](list)
    for member in members:
        alike[member.protocol].append(member)
    return [_compared(runs, keys) for runs in sorted(alike.values(), key=len, reverse=True)]


def _compared(members: Sequence[Member], by: Sequence[str] | None) -> Comparison:
    columns = differing(members)
    told = telling(columns)
    keys = told if by is None else by
    comparable(member.figure for member in members)
    figure = members[0].figure
    higher = figure.higher_is_better
    groups = sorted(_groups(members, keys, told, higher), key=lambda group: group.mean)
    groups = groups[::-1] if higher else groups
    levels = {key: [member.settings.get(key) for member in members] for key in keys}
    effects = statistics.effects([member.figure.value for member in members], levels)
    return Comparison(
        figure=figure.name,
        protocol=figure.protocol,
        higher_is_better=higher,
        groups=tuple(groups),
        differences=tuple(_differences(groups)),
        effects=tuple(
            Effect(*effect) for effect in sorted(effects, key=lambda one: (len(one[0]), -one[1]))
        ),
        differing={key: tuple(sorted(set(values), key=order)) for key, values in columns.items()},
    )


def differing(members: Sequence[Member]) -> dict[str, list[Any]]:
    """The keys in which runs were set to differ, the seed apart, each with every run's value."""
    columns = {}
    for key in dict.fromkeys(key for member in members for key in member.settings):
        if apart(key):
            continue
        values = [member.settings.get(key) for member in members]
        stated = any(key in one.settings and key not in one.derived for one in members)
        if stated and len(set(values)) > 1:
            columns[key] = values
    return columns


@cache
def apart(key: str) -> bool:
    """Whether a setting is none that a run was trained by."""
    return any(key == part or key.startswith(f"{part}.") for part in APART)


def telling(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """The keys that tell runs apart, without those that follow from one that names a part.

    `loss.name` brings the loss's own settings and its optimizers', which differ with it. A setting
    of no part, as is the budget, follows from none.
    """
    told: list[str] = []
    for key in sorted(columns, key=_rank):
        names = (columns[other] for other in told if other.endswith(BRINGING))
        if "." not in key or not any(follows(columns[key], name) for name in names):
            told.append(key)
    return told


def follows(values: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether runs with the same one of the others have the same value."""
    return len(set(zip(others, values, strict=True))) == len(set(others))


def _rank(key: str) -> tuple[bool, bool, int]:
    """Names of parts first, then targets and the like, the outer ones before the inner."""
    naming = key.endswith(BRINGING)
    return not key.endswith(NAMING[0]), not naming, key.count(".") if naming else 0


def _groups(
    members: Iterable[Member], keys: Sequence[str], told: Sequence[str], higher: bool
) -> Iterator[Group]:
    cells = defaultdict[tuple[Any, ...], list[Member]](list)
    for member in members:
        cells[tuple(member.settings.get(key) for key in keys)].append(member)
    labels = [", ".join(map(setting_text, keys, cell)) for cell in cells]
    if len(set(labels)) < len(labels):  # values that look alike when they are made short
        labels = [", ".join(map("{}={}".format, keys, cell)) for cell in cells]
    for label, (cell, inside) in zip(labels, cells.items(), strict=True):
        values = [member.figure.value for member in inside]
        mixed = (key for key in told if len({one.settings.get(key) for one in inside}) > 1)
        yield Group(
            label=label or "one configuration",
            factors=dict(zip(keys, cell, strict=True)),
            members=tuple(inside),
            mean=statistics.mean(values),
            interval=statistics.mean_interval(values),
            deviation=statistics.deviation(values),
            best=(max if higher else min)(inside, key=lambda member: member.figure.value),
            mixed=tuple(mixed),
        )


def _differences(groups: Sequence[Group]) -> Iterator[Difference]:
    tested = [group for group in groups if group.deviation is not None]
    pairs = list(combinations(tested, 2))
    found = statistics.welch(
        [[pair[side].mean for pair in pairs] for side in (0, 1)],
        [[pair[side].deviation or 0.0 for pair in pairs] for side in (0, 1)],
        [[len(pair[side].members) for pair in pairs] for side in (0, 1)],
    )
    corrected = statistics.holm(found.p)
    for (first, second), difference, low, high, p, after in zip(
        pairs, *(column.tolist() for column in (*found, corrected)), strict=True
    ):
        yield Difference(
            first.label, second.label, difference, (low, high), p, after, after < LEVEL
        )
    for other in groups[1:]:
        if groups[0].deviation is None or other.deviation is None:
            difference = groups[0].mean - other.mean
            yield Difference(groups[0].label, other.label, difference, None, None, None, False)


def key_of(word: str, known: Iterable[str], setting: str) -> str:
    """The key that a word stands for: itself, or the name of a part of the configuration.

    Raises:
        UsageError: there is none.
    """
    keys = list(known)
    for candidate in (word, *(word + naming for naming in NAMING)):
        if candidate in keys:
            return candidate
    below = [key for key in keys if key.startswith(f"{word}.")]
    near = below[:3] or difflib.get_close_matches(word, [*keys, *map(key_text, keys)], n=1)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(f"{setting}={word}: no run's configuration has such a key.{hint}")


def key_text(key: str) -> str:
    """A key as short as it can be said: `loss` for `loss.name`."""
    for naming in NAMING:
        key = key.removesuffix(naming)
    return key


def value_text(value: Any) -> str:
    """A value of the configuration as a user writes it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case str() if "${" in value:
            return "derived"  # by a function of other settings
        case tuple():
            return f"[{', '.join(map(value_text, value))}]"
        case _:
            return str(value)


def setting_text(key: str, value: Any) -> str:
    """A key and its value; of a class, its name alone."""
    if key.endswith(NAMING[1]) and value is not None:
        value = str(value).rpartition(".")[2]
    return f"{key_text(key)}={value_text(value)}"


def order(value: Any) -> tuple[bool, bool, float, str]:
    """Sorts values of several types: numbers by size, then text, then what is not there."""
    number = isinstance(value, int | float)
    return value is None, not number, float(value) if number else 0.0, str(value)
