from datetime import date

import polars as pl
import pytest
import torch

from touchstone.data.tables.schema import Category, Constant, Determined, Key, Number, Schema
from touchstone.errors import UsageError
from touchstone.privacy.use.features import features, judged, numbers

SCHEMA = Schema(
    (
        Key("id"),
        Category("sex", ("f", "m"), missing=True),
        Number("born", 0, 10, missing=True, dtype="Date"),
        Number("rate", -1, 3, decimals=2, dtype="Float64"),
        Determined("title", "sex", ("Ms", "Mr")),
        Constant("land", "A"),
    ),
    target="sex",
)
FRAME = pl.DataFrame(
    {
        "id": [1, 2],
        "sex": ["m", None],
        "born": [date(1970, 1, 6), None],
        "rate": [0.0, float("nan")],
        "title": ["Mr", None],
        "land": ["A", "A"],
    }
)


def test_numbers_lie_in_the_schemas_range_and_categories_are_one_hot() -> None:
    found = features(SCHEMA, FRAME)
    # born, and whether it is missing; rate; sex: f, m, missing.
    assert found.tolist() == [[0.5, 0, 0.25, 0, 1, 0], [0, 1, 0, 0, 0, 1]]
    assert found.dtype == torch.float32
    assert features(SCHEMA, FRAME, without="sex").tolist() == [[0.5, 0, 0.25], [0, 1, 0]]


def test_a_row_has_the_same_features_whatever_the_other_rows_are() -> None:
    assert torch.equal(features(SCHEMA, FRAME)[1:], features(SCHEMA, FRAME[1:]))
    assert features(Schema((Key("id"),)), FRAME).shape == (2, 0)


def test_what_is_missing_is_nan_among_numbers() -> None:
    assert [column.name for column in judged(SCHEMA)] == ["born", "rate", "sex"]
    assert numbers(FRAME["born"])[0] == 5
    assert numbers(FRAME["born"]).isnan().tolist() == [False, True]


def test_columns_that_were_joined_are_themselves_again() -> None:
    joint = Category("b & a", ("q & 1", "q & 2", "p & 2"), joins=("b", "a"))
    schema = Schema(
        (
            joint,
            Determined("a", "b & a", ("1", "2", "2"), dtype="Int64"),
            Determined("b", "b & a", ("q", "q", "p")),
            Determined("c", "b & a", ("x", "x", "y")),  # which says nothing that b does not
        ),
        target="a",
    )
    assert judged(schema) == [Category("a", ("1", "2"), dtype="Int64"), Category("b", ("p", "q"))]
    # A combination that no real row has is one of known values.
    frame = pl.DataFrame({"a": [1, 1], "b": ["q", "p"], "c": ["x", "y"]})
    assert features(schema, frame).tolist() == [[1, 0, 0, 1], [1, 0, 1, 0]]


def test_a_target_that_is_determined_is_a_category() -> None:
    by = Category("by", ("r", "s", "t"), missing=True)
    schema = Schema((by, Determined("y", "by", ("no", "yes", None), "no")), target="y")
    assert judged(schema) == [by, Category("y", ("no", "yes"), missing=True)]
    sure = Schema((by, Determined("y", "by", ("no", "yes", "no"), "no")), target="y")
    assert judged(sure)[1] == Category("y", ("no", "yes"))


def test_a_value_that_the_schema_does_not_have_is_refused_by_its_column() -> None:
    with pytest.raises(UsageError, match="column sex: it has no value 'x'"):
        features(SCHEMA, FRAME.with_columns(sex=pl.lit("x")))
