import pytest

from touchstone.data.tables.schema import Category, Constant, Determined, Key, Number, Schema
from touchstone.errors import UsageError

SCHEMA = Schema(
    (
        Number("age", 17.0, 90.0, missing=True),
        Category("sex", ("Female", "Male")),
        Constant("year", None),
        Key("id", "A"),
        Determined("code", "sex", ("1", None), "2", "Int64"),
    ),
    target="sex",
)


def test_a_schema_is_read_as_it_was_written() -> None:
    assert Schema.from_json(SCHEMA.to_json()) == SCHEMA


def test_columns_are_had_by_name_and_kind() -> None:
    assert SCHEMA["id"] == Key("id", "A")
    assert [column.name for column in SCHEMA.numbers] == ["age"]
    assert [column.name for column in SCHEMA.categories] == ["sex"]
    with pytest.raises(UsageError, match="there is no column name; there are age, sex"):
        SCHEMA["name"]


@pytest.mark.parametrize("text", ["", "[]", '{"columns": [{"kind": "x"}]}', '{"columns": 3}'])
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no schema of touchstone"):
        Schema.from_json(text)


def test_a_target_or_a_cause_that_is_no_category_is_refused() -> None:
    with pytest.raises(UsageError, match=r"data\.target=age: it has to be a column of categories"):
        Schema(SCHEMA.columns, target="age")
    with pytest.raises(UsageError, match="column b: age, which is to determine it, is no category"):
        Schema((Number("age", 0, 1), Determined("b", "age", ())))
