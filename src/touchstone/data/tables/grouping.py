"""Groups of people that can be asked for: columns joined to one, so that no two contradict."""

from dataclasses import replace

import polars as pl

from touchstone.data.tables.encoding import JOINT, as_text
from touchstone.data.tables.schema import Category, Column, Determined, Schema
from touchstone.errors import UsageError


def grouped(schema: Schema, frame: pl.DataFrame, names: tuple[str, ...]) -> Schema:
    """Joins categories: the values of the new one are the combinations that occur.

    Args:
        schema: of the frame.
        frame: in which the combinations are looked for.
        names: of the categories, two or more.

    Raises:
        UsageError: a column that is no category or has missing values.
    """
    if not names:
        return schema
    name = JOINT.join(names)
    for each in names:
        column = schema[each]
        if not isinstance(column, Category) or column.missing:
            raise UsageError(
                f"data.groups: {each} has to be a column of categories with no value missing"
            )
    texts = frame.select(as_text(frame[each]).alias(each) for each in names)
    rows = texts.unique().sort(names).rows()
    joint = Category(name, tuple(JOINT.join(row) for row in rows), joins=names)

    def looked_up(column: Column) -> Column:
        if column.name in names:
            assert isinstance(column, Category)
            values = tuple(row[names.index(column.name)] for row in rows)
            return Determined(column.name, name, values, dtype=column.dtype)
        if isinstance(column, Determined) and column.by in names:
            by = schema[column.by]
            assert isinstance(by, Category)
            known = dict(zip(by.values, column.values, strict=True))
            values = tuple(known[row[names.index(column.by)]] for row in rows)
            return replace(column, by=name, values=values)
        return column

    columns = (joint, *map(looked_up, schema.columns))
    return Schema(columns, schema.target)
