"""A table of the user's own, in a file of text or of Parquet."""

import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch

from touchstone.data.files import alone, say, scratch
from touchstone.data.images import check_split
from touchstone.data.tables import finding, modes, stated
from touchstone.data.tables.encoding import Encoder, Modes
from touchstone.data.tables.grouping import grouped
from touchstone.data.tables.reading import is_text, read
from touchstone.data.tables.rows import Rows
from touchstone.data.tables.schema import Number, Schema
from touchstone.data.tables.stated import Stated
from touchstone.data.tables.summary import describe
from touchstone.draws import derive
from touchstone.errors import UsageError


def load(
    path: str | Path | None,
    split: str = "train",
    *,
    cache: str | Path,
    columns: Stated | None = None,
    target: str | None = None,
    most: int = finding.MOST,
    test: float = 0.2,
    seed: int = 0,
    conditional: bool = False,
    groups: Sequence[str] = (),
    public: bool = False,
    encoder: str | Path | None = None,
) -> Rows:
    """Loads the rows of a split, and encodes them by what the training split's are like.

    Args:
        path: the file.
        split: `train` or `test`.
        cache: the folder where what was fitted is kept.
        columns: what is stated of single ones, see `touchstone.data.tables.stated.SETTINGS`.
        target: the category that the table is used to predict; None for none.
        most: values that a category may have.
        test: the share of the rows that fall to the test split.
        seed: of the permutation by which they do.
        conditional: whether rows are shown by their categories.
        groups: categories that are made one, whose combinations can be asked for.
        public: whether the schema and the encoder are made of `columns` alone, as private training
            needs it; values beyond them are brought into them.
        encoder: one that was saved, in place of finding and fitting one.

    Raises:
        UsageError: a file that is no table, settings that do not go with it, columns that no
            encoder can be made for.
    """
    if path is None:
        raise UsageError("data.path is not set: write data.path=FILE, your .csv or .parquet file")
    if not 0 < test < 1:
        raise UsageError(f"data.test={test}: it has to be between 0 and 1, such as 0.2")
    place = Path(path).expanduser()
    frame = read(place)
    generator = torch.Generator().manual_seed(derive(seed, "split"))
    order = torch.randperm(len(frame), generator=generator)
    held = torch.zeros(len(frame), dtype=torch.bool)
    held[order[: min(max(round(test * len(frame)), 1), len(frame) - 1)]] = True
    return split_of(
        frame,
        pl.Series(held.numpy()),
        split,
        cache=cache,
        columns=columns,
        target=target,
        most=most,
        typed=not is_text(place),
        conditional=conditional,
        groups=groups,
        public=public,
        encoder=encoder,
    )


def split_of(
    frame: pl.DataFrame,
    held: pl.Series,
    split: str,
    *,
    cache: str | Path,
    columns: Stated | None = None,
    target: str | None = None,
    most: int = finding.MOST,
    typed: bool = False,
    conditional: bool = False,
    groups: Sequence[str] = (),
    public: bool = False,
    encoder: str | Path | None = None,
) -> Rows:
    """Encodes a split of a table that was read; see `load`.

    Args:
        frame: both splits' rows, N.
        held: `(N,)`, whether a row is of the test split.
        split: as for `load`, and so the others.
        cache: the folder where what was fitted is kept.
        columns: what is stated of single ones.
        target: the category that is to be predicted.
        most: values that a category may have.
        typed: whether text is text, as it is in a Parquet file.
        conditional: whether rows are shown by their categories.
        groups: categories that are made one.
        public: whether schema and encoder are made of `columns` alone.
        encoder: one that was saved.

    Raises:
        UsageError: as `load` does.
    """
    check_split(split)
    columns = columns or {}
    if public and groups:
        raise UsageError("data.groups: which of them occur is for nobody to know; leave it out")
    if encoder is not None:
        known = _saved(Path(encoder))
        frame = finding.conform(known.schema, frame, columns, lenient=public)
    elif public:
        schema = stated.schema(columns, dict(frame.schema), target)
        frame = finding.conform(schema, frame, columns, lenient=True)
        known = Encoder(schema, {of.name: Modes.between(of.low, of.high) for of in schema.numbers})
    else:
        schema, frame = finding.find(frame, columns, target=target, most=most, typed=typed)
        schema = grouped(schema, frame, tuple(groups))
        known = _fitted(schema, frame.filter(~held), Path(cache))
    if encoder is None and split == "train":
        say(describe(known.schema, frame))
    rows = frame.filter(held if split == "test" else ~held)
    rows = stated.within(known.schema, rows) if public else rows
    return Rows.of(rows, known, conditional=conditional)


def _saved(path: Path) -> Encoder:
    try:
        return Encoder.from_json(path.read_text())
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{path}: it cannot be read ({error})") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _fitted(schema: Schema, frame: pl.DataFrame, cache: Path) -> Encoder:
    """The encoder of a split, fitted once: kept in the cache by what it follows from."""
    digest = hashlib.sha256(schema.to_json().encode())
    digest.update(inspect.getsource(modes).encode())  # those fitted in another way are others
    for column in schema.numbers:
        digest.update(_numbers(column, frame).numpy().data)
    path = cache / "tables" / f"{digest.hexdigest()[:32]}.json"
    with alone(path):
        if path.exists():
            return _saved(path)
        encoder = Encoder(schema, {of.name: _modes(of, frame) for of in schema.numbers})
        with scratch(path.parent) as place:
            (place / path.name).write_text(encoder.to_json())
            (place / path.name).replace(path)
    return encoder


def _modes(column: Number, frame: pl.DataFrame) -> Modes:
    values = _numbers(column, frame)
    if not len(values):  # none in this split
        return Modes.between(column.low, column.high)
    return modes.find(values, column.name)


def _numbers(column: Number, frame: pl.DataFrame) -> torch.Tensor:
    numbers = frame[column.name].drop_nulls().to_physical().cast(pl.Float64)
    return torch.from_numpy(numbers.to_numpy().copy())
