"""Tables of one kind: the real one, what was held out of it, and the synthetic one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from touchstone.data.tables.encoding import type_of
from touchstone.data.tables.finding import find
from touchstone.data.tables.schema import Category, Column, Constant, Key, Number, Schema
from touchstone.data.tables.stated import Stated
from touchstone.errors import UsageError
from touchstone.privacy.use.features import features, judged

WRITTEN_AS_FLOAT = r"^(-?(?:0|[1-9]\d*))\.0*$"  # a whole number


@dataclass(frozen=True)
class Tables:
    """An audit's records as frames of one schema.

    Attributes:
        schema: of all three, with the values of all three.
        real: the rows that the generator was trained on.
        holdout: real rows that it was not.
        synthetic: those that it made.
        sensitive: the columns that an attacker guesses.
        groups: the category by which fairness is looked at, if any.

    Raises:
        UsageError: a sensitive column, or one of groups, that there is not or that is not judged.
    """

    schema: Schema
    real: pl.DataFrame
    holdout: pl.DataFrame
    synthetic: pl.DataFrame
    sensitive: tuple[str, ...] = ()
    groups: str | None = None

    def __post_init__(self) -> None:
        names = [column.name for column in judged(self.schema)]
        for setting, asked in (("sensitive", self.sensitive), ("groups", (self.groups,))):
            for name in asked:
                if name is not None and name not in names:
                    raise UsageError(
                        f"{setting}={name}: it has to be a column that varies and is no key: "
                        f"{', '.join(names)}"
                    )
        kinds = {column.name for column in self.schema.categories} - {self.schema.target}
        if self.groups is not None and self.groups not in kinds:
            raise UsageError(
                f"groups={self.groups}: it has to be a column of categories beside the target; "
                f"++columns.{self.groups}.kind=category makes one of numbers so"
            )
        if self.groups is not None and self.schema.target is None:
            raise UsageError(f"groups={self.groups}: fairness is of a prediction: name a target=…")

    @classmethod
    def of(
        cls,
        frames: Mapping[str, pl.DataFrame],
        schema: Schema,
        *,
        formats: Mapping[str, str] | None = None,
        sensitive: tuple[str, ...] | None = None,
        groups: str | None = None,
    ) -> "Tables":
        """Brings tables that may differ in types and values to one schema.

        Args:
            frames: `real`, `holdout` and `synthetic`, each with the schema's columns.
            schema: of the real one: a column that it knows to be of numbers, or of categories, is
                so in all three. Keys and constants are left out.
            formats: of columns of dates, by name.
            sensitive: the columns to guess; None: the target, where there is one.
            groups: the category of groups.

        Raises:
            UsageError: a value that is none of its column's kind, and see the class.
        """
        names = schema.names
        kinds: dict[str, dict[str, Any]] = {name: {"kind": _kind(schema[name])} for name in names}
        for name, form in (formats or {}).items():
            kinds[name]["format"] = form
        parts = [frame.select(names) for frame in frames.values()]
        alike = all(part.schema == parts[0].schema for part in parts)
        untyped = not alike or all(isinstance(dtype, pl.String) for dtype in parts[0].dtypes)
        if not alike:
            parts = [part.cast(pl.String) for part in parts]
        together = pl.concat(parts)
        if untyped:
            # Pandas writes 1 as 1.0 where another row's is missing: it is the same value.
            codes = [name for name in names if kinds[name]["kind"] == "category"]
            together = together.with_columns(pl.col(codes).str.replace(WRITTEN_AS_FLOAT, "$1"))
        found, together = find(
            together, kinds, target=schema.target, most=len(together), typed=not untyped
        )
        ends = dict(zip(frames, _cut(together, [len(part) for part in parts]), strict=True))
        if sensitive is None:
            sensitive = () if schema.target is None else (schema.target,)
        return cls(found, **ends, sensitive=sensitive, groups=groups)

    def features(self) -> dict[str, Any]:
        """The rows of each table as features, by its name."""
        names = ("real", "holdout", "synthetic")
        return {name: features(self.schema, getattr(self, name)) for name in names}


def schema_of(real: pl.DataFrame, columns: Stated, target: str | None, *, typed: bool) -> Schema:
    """Finds what the columns of the real table are.

    Raises:
        UsageError: as `touchstone.data.tables.finding.find` does, by the audit's settings.
    """
    try:
        return find(real, columns, target=target, typed=typed)[0]
    except UsageError as error:  # which speaks of the settings of training
        raise UsageError(str(error).replace("data.", "")) from error


def check_names(frames: Mapping[str, pl.DataFrame]) -> None:
    """Refuses tables whose columns are not the same; their order may differ.

    Args:
        frames: by the settings that they come by.

    Raises:
        UsageError: names the columns that one has and another has not.
    """
    (first, own), *others = frames.items()
    for setting, frame in others:
        lacking = [name for name in own.columns if name not in frame.columns]
        beyond = [name for name in frame.columns if name not in own.columns]
        if lacking or beyond:
            said = [f"{setting} has no column {', '.join(lacking)}"] if lacking else []
            said += [f"{first} has no column {', '.join(beyond)}"] if beyond else []
            raise UsageError(f"{'; '.join(said)}: an audit compares tables of the same columns")


def _kind(column: Column) -> str:
    if isinstance(column, Key | Constant):
        return "drop"
    if isinstance(column, Number | Category):
        return "number" if isinstance(column, Number) else "category"
    dtype = type_of(column.dtype)  # one that another determines, of real rows at least
    return "number" if dtype.is_numeric() or dtype.is_temporal() else "category"


def _cut(frame: pl.DataFrame, lengths: list[int]) -> list[pl.DataFrame]:
    starts = [sum(lengths[:place]) for place in range(len(lengths))]
    return [frame[start : start + length] for start, length in zip(starts, lengths, strict=True)]
