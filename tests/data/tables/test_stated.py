from typing import Any

import polars as pl
import pytest

from touchstone.data.tables.finding import find
from touchstone.data.tables.schema import Category, Constant, Determined, Key, Number
from touchstone.data.tables.stated import check, schema, within
from touchstone.errors import UsageError

STATED: dict[str, dict[str, Any]] = {
    "code": {"kind": "determined", "by": "sex", "values": {"f": 1, "m": 2}},
    "age": {"kind": "number", "low": 17, "high": 90},
    "height": {"kind": "number", "low": 1, "high": 2, "decimals": 2, "missing": True},
    "born": {"kind": "number", "low": "1970-01-02", "high": "1970-01-11"},
    "seen": {"kind": "number", "low": "1970-01-01 00:00:01", "high": "1970-01-02 00:00"},
    "sex": {"kind": "category", "values": ["f", "m"]},
    "vote": {"kind": "category", "values": [1, 2], "missing": True},
    "land": {"kind": "constant", "value": "D"},
    "id": {"kind": "key", "prefix": "P"},
    "note": {"kind": "drop"},
}
TEXT = {name: pl.String() for name in STATED}


def test_a_schema_is_made_of_what_is_stated_alone() -> None:
    made = schema(STATED, TEXT, "sex")
    assert made.target == "sex"
    assert made.columns == (
        Determined("code", "sex", ("1", "2"), dtype="Int64"),
        Number("age", 17, 90),
        Number("height", 1, 2, 2, missing=True, dtype="Float64"),
        Number("born", 1, 10, dtype="Date"),
        Number("seen", 1e6, 86_400e6, dtype="Datetime"),
        Category("sex", ("f", "m")),
        Category("vote", ("1", "2"), missing=True, dtype="Int64"),
        Constant("land", "D"),
        Key("id", "P", "String"),
    )


def test_a_value_that_goes_with_none_is_missing() -> None:
    stated = {name: STATED[name] for name in ("code", "sex")}
    stated["code"] = stated["code"] | {"values": {"f": 1, "m": None}}
    expected = Determined("code", "sex", ("1", None), dtype="Int64")
    assert schema(stated, {name: pl.String() for name in stated}, None)["code"] == expected
    sexes = ["f", "m"] * 5
    frame = pl.DataFrame({"code": ["1", None] * 5, "sex": sexes})
    assert find(frame, stated)[0]["code"] == expected
    with pytest.raises(UsageError, match=r"code\.values: where sex is m, the table has 2"):
        find(frame.with_columns(code=pl.Series(["1", "2"] * 5)), stated)


def test_types_that_a_file_states_are_taken() -> None:
    made = schema({"a": STATED["age"]}, {"a": pl.UInt8()}, None)
    assert made.columns == (Number("a", 17, 90, dtype="UInt8"),)


def test_a_key_without_a_prefix_counts() -> None:
    stated = {"id": {"kind": "key"}}
    assert schema(stated, {"id": pl.String()}, None)["id"] == Key("id", "", "Int64")
    assert schema(stated, {"id": pl.Int32()}, None)["id"] == Key("id", "", "Int64")
    typed = schema(stated, {"id": pl.Float64()}, None)["id"]
    assert typed == Key("id", "", "String")


def test_what_was_stated_of_a_column_that_is_left_out_may_stay() -> None:
    left_out = STATED["age"] | {"kind": "drop"}
    check(STATED | {"age": left_out}, list(STATED))
    made = schema(STATED | {"age": left_out}, TEXT, None)
    assert "age" not in made.names
    with pytest.raises(UsageError, match=r"age\.lwo: there is no such setting of kind=drop"):
        check({"age": left_out | {"lwo": 1}}, ["age"])


def test_what_is_not_stated_is_asked_for_by_name() -> None:
    stated = STATED | {"age": {"kind": "number", "low": 17}, "sex": {"kind": "category"}}
    del stated["land"]
    with pytest.raises(UsageError, match="has to be public") as refused:
        schema(stated, TEXT, None)
    assert "\n  age: high\n  sex: values\n  land: kind\n" in str(refused.value)


def test_words_that_yaml_takes_for_others_are_refused() -> None:
    # As YAML reads [no, yes]. A column that a file says to be of booleans has them.
    stated = {"smokes": {"kind": "category", "values": [False, True]}}
    with pytest.raises(UsageError, match=r"data\.columns\.smokes\.values: to YAML yes, no, true"):
        schema(stated, {"smokes": pl.String()}, None)
    made = schema(stated, {"smokes": pl.Boolean()}, None)["smokes"]
    assert made == Category("smokes", ("false", "true"), dtype="Boolean")


def test_every_value_is_brought_into_the_schema_by_itself() -> None:
    made = schema({name: STATED[name] for name in ("age", "height", "sex", "vote", "born")}, {
        name: TEXT[name] for name in ("age", "height", "sex", "vote", "born")
    }, None)  # fmt: skip
    frame = pl.DataFrame(
        {
            "age": [3, 30, None, 300],
            "height": [0.5, 1.5, None, 2.5],
            "sex": ["x", "m", None, "f"],
            "vote": [3, 2, None, 1],
            "born": pl.Series([0, 5, None, 50]).cast(pl.Date),
        }
    )
    inside = within(made, frame)
    assert inside.schema == frame.schema
    assert inside.with_columns(pl.col("born").to_physical()).to_dict(as_series=False) == {
        "age": [17, 30, 17, 90],
        "height": [1.0, 1.5, None, 2.0],
        "sex": ["f", "m", "f", "f"],
        "vote": [None, 2, None, 1],
        "born": [1, 5, 1, 10],
    }
    # A row's own: it does not depend on the others.
    assert within(made, frame[2:]).equals(inside[2:])
