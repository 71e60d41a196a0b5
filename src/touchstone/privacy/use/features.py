"""Rows of a table as numbers, for classifiers and distances."""

import polars as pl
import torch
from torch import Tensor

from touchstone.data.tables.encoding import encode_category
from touchstone.data.tables.schema import Category, Determined, Number, Schema


def features(schema: Schema, frame: pl.DataFrame, without: str | None = None) -> Tensor:
    """Numbers over the schema's range, and what says that they are missing; categories one-hot.

    The schema alone says how, so that a row's features do not depend on the other rows. The columns
    are those of `judged`.

    Args:
        schema: of the frame.
        frame: N rows.
        without: a column that is left out, such as the one to predict.

    Returns:
        float32 `(N, F)`, in [0, 1] as far as the numbers are in the schema's range.

    Raises:
        UsageError: a category's value that the schema does not have, with the column's name.
    """
    blocks = [torch.empty(len(frame), 0)]
    for column in judged(schema):
        if column.name == without:
            continue
        if isinstance(column, Number):
            reach = max(column.high - column.low, 1e-300)
            scaled = (numbers(frame[column.name]) - column.low) / reach
            blocks.append(scaled.nan_to_num(nan=0.0)[:, None].float())
            if column.missing:
                blocks.append(scaled.isnan()[:, None].float())
        else:
            blocks.append(encode_category(column, frame[column.name]))
    return torch.cat(blocks, dim=1)


def judged(schema: Schema) -> list[Number | Category]:
    """The columns by which rows are judged, as the file has them: those of numbers come first.

    Categories that were joined to one are themselves again. What follows from another column is
    left out, but for the target; so are constants and keys.
    """
    apart = {name for column in schema.categories for name in column.joins} | {schema.target}
    categories = []
    for column in schema.columns:
        if isinstance(column, Category) and not column.joins:
            categories.append(column)
        elif isinstance(column, Determined) and column.name in apart:
            categories.append(_category(schema, column))
    return [*schema.numbers, *categories]


def numbers(series: pl.Series) -> Tensor:
    """A column of numbers or times in its type's own unit, float64 `(N,)`; NaN: missing."""
    values = series.to_physical().cast(pl.Float64).fill_null(float("nan"))
    return torch.from_numpy(values.to_numpy().copy())


def _category(schema: Schema, column: Determined) -> Category:
    """A column that a category determines, as one that stands for itself."""
    by = schema[column.by]
    assert isinstance(by, Category)
    values = {*column.values, *[column.otherwise] * by.missing}
    known = tuple(sorted(value for value in values if value is not None))
    return Category(column.name, known, missing=None in values, dtype=column.dtype)
