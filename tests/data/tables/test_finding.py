from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl
import pytest
import torch

from touchstone.data.tables.encoding import Encoder, Modes
from touchstone.data.tables.finding import conform, find
from touchstone.data.tables.schema import (
    Category,
    Column,
    Constant,
    Determined,
    Key,
    Number,
    Schema,
)
from touchstone.errors import UsageError

N = 60
# Of text, as a CSV file has it.
FRAME = pl.DataFrame(
    {
        "id": [str(n + 1) for n in range(N)],
        "age": [str(20 + n * 7 % 40) for n in range(N)],
        "height": [f"1.{n % 50:02}" if n % 10 else None for n in range(N)],
        "sex": [("f", "m")[n % 2] for n in range(N)],
        "smokes": [("True", "False", None)[n % 3] for n in range(N)],
        "coded": [("0", "1")[n // 2 % 2] for n in range(N)],
        "school": [("low", "middle", "high")[n * n % 7 % 3] for n in range(N)],
        "years": [("9", "12", "16")[n * n % 7 % 3] for n in range(N)],
        "day": [f"{1 + n % 28:02}.{1 + n % 12:02}.2020" for n in range(N)],
        "land": ["D"] * N,
        "empty": pl.Series([None] * N, dtype=pl.String),
        "zip": [f"{n * 37 % 11:05}" for n in range(N)],
    }
)
FOUND: dict[str, Column] = {
    "id": Key("id"),
    "age": Number("age", 20, 59),
    "height": Number("height", 1.01, 1.49, 2, missing=True, dtype="Float64"),
    "sex": Category("sex", ("f", "m")),
    "smokes": Category("smokes", ("false", "true"), missing=True, dtype="Boolean"),
    "coded": Category("coded", ("0", "1"), dtype="Int64"),
    "school": Category("school", ("high", "low", "middle")),
    "years": Determined("years", "school", ("16", "9", "12"), dtype="Int64"),
    "day": Number("day", 18262, 18620, dtype="Date"),
    "land": Constant("land", "D"),
    "empty": Constant("empty", None),
    "zip": Category("zip", tuple(f"{n:05}" for n in range(11))),
}
YEARS = {"low": 9, "middle": 12, "high": 16}


def column(name: str, values: list[str | None], **settings: Any) -> Column:
    """What is found of a column beside another."""
    frame = pl.DataFrame({name: values, "n": [str(n % 9) for n in range(len(values))]})
    schema, _ = find(frame, {name: settings} if settings else {})
    return schema[name]


def test_what_each_column_is() -> None:
    schema, frame = find(FRAME, {}, target="sex")
    assert dict(zip(frame.columns, schema.columns, strict=True)) == FOUND
    assert schema.target == "sex"
    assert frame["day"][0] == date(2020, 1, 1)
    assert frame["zip"].dtype == pl.String


def test_what_was_found_is_encoded_and_comes_back() -> None:
    schema, frame = find(FRAME, {})
    encoder = Encoder(schema, {of.name: Modes.between(of.low, of.high) for of in schema.numbers})
    assert encoder.decode(encoder.encode(frame)).equals(frame)


def test_types_of_the_file_are_kept() -> None:
    _, typed = find(FRAME, {})
    small = typed.with_columns(pl.col("age").cast(pl.UInt8), pl.col("years").cast(pl.String))
    schema, frame = find(small, {}, typed=True)
    assert frame.equals(small)
    assert schema["age"] == Number("age", 20, 59, dtype="UInt8")
    assert schema["years"] == Determined("years", "school", ("16", "9", "12"))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"low": 17, "high": 90}, Number("age", 17, 90)),
        ({"kind": "key"}, Key("age")),
        ({"prefix": "P"}, Key("id", "P", "String")),
        ({"decimals": 1}, Number("height", 1.01, 1.49, 1, True, "Float64")),
        ({"kind": "category", "values": ["m", "f", "x"]}, Category("sex", ("m", "f", "x"))),
        ({"missing": True}, Category("sex", ("f", "m"), True)),
        (
            {"kind": "category", "values": [True, False]},
            Category("smokes", ("true", "false"), True, "Boolean"),
        ),
        (
            {"low": "2020-01-01", "high": "2020-12-31"},
            Number("day", 18262, 18627, dtype="Date"),
        ),
        ({"kind": "number"}, Number("years", 9, 16)),
        ({"kind": "determined", "by": "school", "values": YEARS}, FOUND["years"]),
        ({"kind": "determined", "by": "school"}, FOUND["years"]),
        ({"kind": "category", "values": ["A", "D"]}, Category("land", ("A", "D"))),
        ({"kind": "constant", "value": "E"}, Constant("land", "E")),
    ],
)
def test_what_is_stated_holds(settings: Mapping[str, Any], expected: Column) -> None:
    schema, _ = find(FRAME, {expected.name: settings})
    assert schema[expected.name] == expected


def test_a_column_can_be_left_out() -> None:
    schema, frame = find(FRAME, {"zip": {"kind": "drop"}, "id": {"kind": "drop"}})
    assert frame.columns == [name for name in FRAME.columns if name not in ("id", "zip")]
    assert [of.name for of in schema.columns] == frame.columns


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"agee": {"kind": "drop"}}, r"data\.columns\.agee: the file has no such column"),
        ({"age": {"kind": "numbers"}}, r"data\.columns\.age\.kind=numbers: it has to be one of"),
        ({"age": {"lowest": 3}}, r"data\.columns\.age\.lowest: there is no such setting"),
        ({"age": {"kind": "key", "low": 3}}, r"age\.low: there is no such setting of kind=key"),
        ({"age": {"values": [1]}}, r"age\.values: its values make it a number"),
        ({"age": {"low": 30}}, r"columns\.age: its values go from 20 to 59"),
        ({"age": {"low": 90, "high": 17}}, r"columns\.age: low=90 is above high=17"),
        ({"age": {"low": "old"}}, r"columns\.age\.low=old"),
        ({"sex": {"kind": "number"}}, r"columns\.sex\.kind=number: its values are none"),
        ({"sex": {"values": ["f"]}}, r"columns\.sex\.values: the table has 'm' too"),
        ({"sex": {"values": ["f", "f", "m"]}}, r"columns\.sex\.values: .* each only once"),
        ({"height": {"missing": False}}, r"columns\.height\.missing=false: 6 values are"),
        ({"sex": {"kind": "constant"}}, r"columns\.sex\.kind=constant: it has 2 values"),
        ({"age": {"kind": "determined"}}, r"columns\.age\.by: say which"),
        ({"sex": {"kind": "determined", "by": "age"}}, r"by=age: it has to be a category"),
        ({"sex": {"kind": "determined", "by": "school"}}, r"does not determine it; where school"),
        (
            {"years": {"kind": "determined", "by": "school", "values": {"low": 9}}},
            r"years\.values: there is none for school=high",
        ),
        (
            {"years": {"kind": "determined", "by": "school", "values": YEARS | {"middle": 13}}},
            r"years\.values: where school is middle, the table has 12",
        ),
    ],
)
def test_settings_that_do_not_go_with_the_table_are_refused(
    settings: Mapping[str, Mapping[str, Any]], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        find(FRAME, settings)


def test_a_target_is_a_category_whatever_its_values() -> None:
    schema, _ = find(FRAME, {}, target="age")
    assert isinstance(schema["age"], Category)
    with pytest.raises(UsageError, match=r"data\.target=agee: there is no such column"):
        find(FRAME, {}, target="agee")


def test_bad_an_empty_column_and_one_constant_value_are_made_as_they_are() -> None:
    schema, frame = find(FRAME, {})
    made = Encoder(schema, {of.name: Modes.between(of.low, of.high) for of in schema.numbers})
    width = made.width
    rows = made.decode(torch.randn(20, width, generator=torch.Generator().manual_seed(0)))
    assert rows["land"].to_list() == ["D"] * 20
    assert rows["empty"].to_list() == [None] * 20
    assert rows.schema == frame.schema


def test_bad_a_table_of_nothing_but_missing_values_has_nothing_to_learn() -> None:
    frame = pl.DataFrame(
        {"a": [None] * 20, "b": [None] * 20}, schema={"a": pl.String, "b": pl.String}
    )
    schema, typed = find(frame, {})
    assert schema.columns == (Constant("a", None), Constant("b", None))
    assert Encoder(schema, {}).encode(typed).shape == (20, 0)


def test_bad_ten_thousand_categories_are_refused() -> None:
    values: list[str | None] = [f"c{n % 10_000}" for n in range(20_000)]
    told = "column town: it has 10,000 values, and a category may have 1,000"
    with pytest.raises(UsageError, match=told) as refused:
        column("town", values)
    for remedy in ("++data.columns.town.kind=drop", "columns.town.kind=key", "data.most=10000"):
        assert remedy in str(refused.value)


def test_bad_mixed_types_are_refused_until_it_is_said_what_they_are() -> None:
    words = ("few", "many", "ask", "few", "few")
    values: list[str | None] = [*(str(n) for n in range(95)), *words]
    with pytest.raises(UsageError, match="column n2 is mixed: numbers"):
        column("n2", values)
    assert len(getattr(column("n2", values, kind="category"), "values", ())) == 98


@pytest.mark.parametrize("dtype", [pl.Int8, pl.Int16, pl.UInt8, pl.UInt64])
def test_keys_go_on_beyond_the_type_of_the_file(dtype: type[pl.DataType]) -> None:
    numbers = pl.Series(range(100), dtype=dtype)
    schema, frame = find(pl.DataFrame({"id": numbers, "sex": ["f", "m"] * 50}), {}, typed=True)
    encoder = Encoder(schema, {})
    assert encoder.decode(encoder.encode(frame), first=40_000)["id"][-1] == 40_100
    assert encoder.decode(encoder.encode(frame)).schema == frame.schema


def test_bad_three_rows_are_refused() -> None:
    with pytest.raises(UsageError, match="the table has 3 rows; it has to have 10 at least"):
        find(FRAME[:3], {})


def test_names_and_addresses_are_refused_unless_told_otherwise() -> None:
    mail: list[str | None] = [f"p{n}@example.org" for n in range(N)]
    with pytest.raises(UsageError, match=r"no model should learn:\n  mail"):
        column("mail", mail)
    assert column("mail", mail, kind="key") == Key("mail", "", "String")
    assert isinstance(column("mail", mail, kind="category"), Category)


def test_one_value_beside_missing_ones_is_no_constant() -> None:
    values: list[str | None] = ["x" if n % 3 else None for n in range(30)]
    assert column("a", values) == Category("a", ("x",), missing=True)


def test_whole_seconds_stay_whole() -> None:
    values: list[str | None] = [f"2020-01-{1 + n % 28:02} 10:00:{n % 60:02}" for n in range(60)]
    found = column("seen", values)
    assert isinstance(found, Number)
    assert (found.dtype, found.decimals) == ("Datetime", -6)


def test_a_table_of_the_same_kind_is_brought_to_the_schema() -> None:
    schema, frame = find(FRAME, {})
    assert conform(schema, FRAME.with_columns(more=pl.lit("x")), {}).equals(frame)
    assert conform(schema, frame.with_columns(pl.col("age").cast(pl.Float64)), {}).equals(frame)
    with pytest.raises(UsageError, match="the table has no column age, sex"):
        conform(schema, FRAME.drop("sex", "age"), {})
    odd = FRAME.with_columns(age=pl.lit("old"))
    with pytest.raises(UsageError, match="column age: 'old' is no Int64"):
        conform(schema, odd, {})
    assert conform(schema, odd, {}, lenient=True)["age"].null_count() == N


def test_schema_is_of_the_columns_in_order() -> None:
    schema, _ = find(FRAME, {})
    assert Schema.from_json(schema.to_json()) == schema
