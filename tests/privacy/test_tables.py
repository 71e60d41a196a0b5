import polars as pl
import pytest

from touchstone.data.tables.schema import Category, Number
from touchstone.errors import UsageError
from touchstone.privacy.tables import Tables, check_names, schema_of

REAL = pl.DataFrame(
    {
        "id": [str(number) for number in range(12)],
        "age": ["20", "30", "40"] * 4,
        "grade": ["A", "B"] * 6,
        "points": ["1", "2"] * 6,
        "same": ["x"] * 12,
    }
)


def made(synthetic: pl.DataFrame, **settings: object) -> Tables:
    frames = {"real": REAL, "holdout": REAL.reverse(), "synthetic": synthetic}
    schema = schema_of(REAL, {}, "grade", typed=False)
    return Tables.of(frames, schema, **settings)  # type: ignore[arg-type]


def test_types_are_found_of_all_three_and_kinds_of_the_real_one() -> None:
    # As pandas writes whole numbers of which one is missing, and a category that real has not.
    synthetic = REAL.head(4).with_columns(
        age=pl.Series(["20.0", "95.0", None, "30.0"]),
        grade=pl.Series(["A", "C", "A", "B"]),
        id=pl.Series(["0", "0", "0", "0"]),
    )
    tables = made(synthetic)
    assert tables.schema.names == ["age", "grade", "points"]  # no key, and what varies
    age, grade = tables.schema["age"], tables.schema["grade"]
    assert isinstance(age, Number)
    assert (age.low, age.high, age.missing) == (20, 95, True)
    assert isinstance(grade, Category)
    assert grade.values == ("A", "B", "C")
    assert tables.synthetic["age"].to_list() == [20, 95, None, 30]
    assert tables.real["age"].to_list() == [20, 30, 40] * 4
    assert tables.holdout["grade"].to_list() == ["B", "A"] * 6
    assert tables.sensitive == ("grade",)
    features = tables.features()
    assert {len(rows) for rows in features.values()} == {12, 4}
    # The age and whether it is missing, three grades, the points, though grades determine them.
    assert {rows.shape[1] for rows in features.values()} == {2 + 3 + 1}


def test_a_parquet_file_of_other_types_is_the_same_table() -> None:
    typed = REAL.with_columns(age=pl.col("age").cast(pl.Int64))
    assert made(typed).synthetic["age"].to_list() == [20, 30, 40] * 4


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("gaps", ["real", "synthetic"])
def test_a_code_is_the_same_value_where_gaps_made_it_a_float(gaps: str, typed: bool) -> None:
    whole = REAL.select("age", ill=pl.Series(["0", "1"] * 6), kids=pl.Series(["1", "0", "0"] * 4))
    floats = whole.with_columns(pl.col("ill", "kids") + ".0")
    if typed:
        whole = whole.cast({"ill": pl.Int64, "kids": pl.Int64})
        floats = floats.cast({"ill": pl.Float64, "kids": pl.Float64})
    frames = {"real": whole, "holdout": whole, "synthetic": whole, gaps: floats}
    schema = schema_of(frames["real"], {}, "ill", typed=typed)
    found = Tables.of(frames, schema).schema
    for name in ("ill", "kids"):
        assert found[name] == Category(name, ("0", "1"), dtype="Int64")


def test_a_number_that_is_none() -> None:
    with pytest.raises(UsageError, match="age"):
        made(REAL.with_columns(age=pl.lit("old")))


def test_columns_that_differ_are_named() -> None:
    frames = {"real=r.csv": REAL, "holdout=h.csv": REAL, "synthetic=s.csv": REAL.drop("age")}
    with pytest.raises(UsageError, match=r"synthetic=s\.csv has no column age: an audit"):
        check_names(frames)
    frames["synthetic=s.csv"] = REAL.rename({"age": "alter"})
    with pytest.raises(UsageError, match=r"has no column age; real=r\.csv has no column alter"):
        check_names(frames)
    check_names({"real=r.csv": REAL, "holdout=h.csv": REAL.select(reversed(REAL.columns))})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sensitive": ("wage",)}, "sensitive=wage: it has to be a column that varies"),
        ({"sensitive": ("id",)}, "sensitive=id: it has to be"),
        ({"groups": "same"}, "groups=same: it has to be a column that varies"),
        ({"groups": "age"}, "groups=age: it has to be a column of categories"),
        ({"groups": "grade"}, "groups=grade: it has to be a column of categories beside the t"),
    ],
)
def test_columns_that_there_are_not(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(REAL, **settings)


def test_what_is_found_is_refused_by_the_settings_of_the_audit() -> None:
    frame = REAL.with_columns(mail=pl.format("a{}@b.de", "id"))
    with pytest.raises(UsageError, match=r" \+\+columns\.mail\.kind=drop"):
        schema_of(frame, {}, None, typed=False)
    found = schema_of(frame, {"mail": {"kind": "drop"}}, None, typed=False)
    assert "mail" not in found.names
