"""What a table's columns are: enough to encode a row, and to write one as the file had it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from touchstone.errors import UsageError


@dataclass(frozen=True)
class Number:
    """A column of numbers or of points in time.

    Attributes:
        name: the column's.
        low: the least value, in `dtype`'s own unit: days for `Date`, microseconds for `Datetime`.
        high: the largest.
        decimals: digits after the point; below 0, zeros before it, such as -6 of points in time
            in whole seconds.
        missing: whether a value can be missing.
        dtype: a name of `encoding.TYPES`: of whole numbers, numbers or points in time.
    """

    name: str
    low: float
    high: float
    decimals: int = 0
    missing: bool = False
    dtype: str = "Int64"


@dataclass(frozen=True)
class Category:
    """A column of few values.

    Attributes:
        name: the column's.
        values: as text, in a fixed order.
        missing: whether a value can be missing.
        dtype: polars' name of the type that the text stands for: `String`, `Int64`, `Float64` or
            `Boolean`.
        joins: the columns that its values join, each of which it determines; it is then itself no
            column of the file. None of any other.
    """

    name: str
    values: tuple[str, ...]
    missing: bool = False
    dtype: str = "String"
    joins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Constant:
    """A column of one value, or of none: no network learns it, and every row gets it.

    Attributes:
        name: the column's.
        value: as text; None where it is missing in every row.
        dtype: polars' name of the type.
    """

    name: str
    value: str | None
    dtype: str = "String"


@dataclass(frozen=True)
class Key:
    """A column that tells every row from the others: never learned, made anew for each row.

    Attributes:
        name: the column's.
        prefix: of a text that ends in a number; the new keys count on from 1.
        dtype: polars' name of the type, `Int64`, `UInt64` or `String`.
    """

    name: str
    prefix: str = ""
    dtype: str = "Int64"


@dataclass(frozen=True)
class Determined:
    """A column that another one determines: looked up, so that the two never contradict.

    Attributes:
        name: the column's.
        by: the category that determines it.
        values: as text, one for each of the category's values; None for a missing one.
        otherwise: the value where the category is missing.
        dtype: polars' name of the type.
    """

    name: str
    by: str
    values: tuple[str | None, ...]
    otherwise: str | None = None
    dtype: str = "String"


Column: TypeAlias = Number | Category | Constant | Key | Determined
KINDS: dict[str, Callable[..., Column]] = {
    "number": Number,
    "category": Category,
    "constant": Constant,
    "key": Key,
    "determined": Determined,
}


@dataclass(frozen=True)
class Schema:
    """A table's columns, in the order of the file.

    Attributes:
        columns: each of a name of its own.
        target: the name of the category that the table is used to predict, where there is one.

    Raises:
        UsageError: a target that is no category, or a column determined by none.
    """

    columns: tuple[Column, ...]
    target: str | None = None
    _by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {column.name: column for column in self.columns})
        if self.target is not None and not isinstance(self[self.target], Category | Determined):
            raise UsageError(f"data.target={self.target}: it has to be a column of categories")
        for column in self.columns:
            if isinstance(column, Determined) and not isinstance(self[column.by], Category):
                raise UsageError(
                    f"column {column.name}: {column.by}, which is to determine it, is no category"
                )

    def __getitem__(self, name: str) -> Column:
        """The column of a name.

        Raises:
            UsageError: there is none.
        """
        if name not in self._by_name:
            names = ", ".join(self._by_name)
            raise UsageError(f"there is no column {name}; there are {names}")
        return self._by_name[name]

    @property
    def names(self) -> list[str]:
        """Of the file's columns, in order."""
        joint = {column.name for column in self.categories if column.joins}
        return [column.name for column in self.columns if column.name not in joint]

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The columns of numbers, in order."""
        return tuple(column for column in self.columns if isinstance(column, Number))

    @property
    def categories(self) -> tuple[Category, ...]:
        """The columns of categories, in order."""
        return tuple(column for column in self.columns if isinstance(column, Category))

    def to_json(self) -> str:
        """The schema as text that `from_json` reads."""
        kinds: dict[Any, str] = {kind: name for name, kind in KINDS.items()}
        columns = [{"kind": kinds[type(column)], **asdict(column)} for column in self.columns]
        return json.dumps({"target": self.target, "columns": columns})

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        """Reads what `to_json` wrote.

        Raises:
            UsageError: it is something else.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            return cls(tuple(map(_column, content["columns"])), content["target"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"damaged, or no schema of touchstone ({error})") from error


def _column(settings: Mapping[str, Any]) -> Column:
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()
    }
    return KINDS[arguments.pop("kind")](**arguments)
