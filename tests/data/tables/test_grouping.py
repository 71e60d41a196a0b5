import polars as pl
import pytest
import torch

from touchstone.data.tables.encoding import Encoder, Modes
from touchstone.data.tables.grouping import grouped
from touchstone.data.tables.schema import Category, Determined, Number, Schema
from touchstone.errors import UsageError

FRAME = pl.DataFrame(
    {
        "sex": ["Female", "Male", "Female", "Male"],
        "age": [30, 40, 50, 60],
        "code": [1, 2, 1, 2],
        "rich": [True, False, False, False],
    }
)
SCHEMA = Schema(
    (
        Category("sex", ("Female", "Male")),
        Number("age", 30, 60),
        Determined("code", "sex", ("1", "2"), dtype="Int64"),
        Category("rich", ("false", "true"), dtype="Boolean"),
    ),
    target="rich",
)


def test_groups_are_the_combinations_that_occur() -> None:
    schema = grouped(SCHEMA, FRAME, ("sex", "rich"))
    joint = schema.columns[0]
    assert isinstance(joint, Category)
    assert joint.values == ("Female & false", "Female & true", "Male & false")
    assert schema.names == ["sex", "age", "code", "rich"]


def test_rows_come_back_as_they_were() -> None:
    schema = grouped(SCHEMA, FRAME, ("sex", "rich"))
    encoder = Encoder(schema, {"age": Modes.between(30, 60)})
    rows = encoder.encode(FRAME)
    # The joint category's 3 numbers, then age's scalar and its one mode.
    assert rows.shape == (4, 5)
    assert encoder.decode(rows).equals(FRAME)
    assert Encoder.from_json(encoder.to_json()).decode(rows).equals(FRAME)


def test_a_generator_that_is_asked_for_a_group_cannot_contradict_it() -> None:
    schema = grouped(SCHEMA, FRAME, ("sex", "rich"))
    encoder = Encoder(schema, {"age": Modes.between(30, 60)})
    found = encoder.decode(torch.tensor([[0.1, 0.8, 0.1, 0.0, 1.0]]))
    assert found.rows() == [("Female", 45, 1, True)]


def test_no_groups_are_the_schema_as_it_is() -> None:
    assert grouped(SCHEMA, FRAME, ()) is SCHEMA


@pytest.mark.parametrize("names", [("sex", "age"), ("sex", "code")])
def test_only_categories_make_groups(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=rf"data.groups: {names[1]} has to be"):
        grouped(SCHEMA, FRAME, names)
