import polars as pl
import pytest

from touchstone.data.tables.determined import check, find, stated
from touchstone.data.tables.schema import Category, Determined, Number
from touchstone.errors import UsageError

CITY = Category("city", ("Bonn", "Bern", "Graz"))
COLUMNS = (Category("land", ("A", "CH", "D")), CITY, Number("code", 1, 3), Number("n", 0, 99))
ROWS = [("D", "Bonn", 3), ("D", "Bonn", 3), ("CH", "Bern", 1), ("A", "Graz", 2)]
FRAME = pl.DataFrame(
    [(*ROWS[n % 4], n) for n in range(100)], schema=["land", "city", "code", "n"], orient="row"
)


def test_of_two_that_determine_each_other_the_first_text_stays() -> None:
    assert find(FRAME, COLUMNS, set()) == {
        "city": Determined("city", "land", ("Graz", "Bern", "Bonn")),
        "code": Determined("code", "land", ("2", "1", "3"), dtype="Int64"),
    }


def test_the_one_with_more_values_stays() -> None:
    frame = FRAME.with_columns(city=pl.col("city") + (pl.col("n") // 4 % 2).cast(pl.String))
    values = tuple(sorted(frame["city"].unique()))
    found = find(frame, (COLUMNS[0], Category("city", values)), set())
    assert found == {"land": Determined("land", "city", ("CH", "CH", "D", "D", "A", "A"))}


def test_what_the_user_states_stays() -> None:
    assert set(find(FRAME, COLUMNS, {"city"})) == {"land", "code"}
    assert set(find(FRAME, COLUMNS, {"city", "code", "land"})) == set()


def test_one_contradiction_is_enough() -> None:
    frame = FRAME.with_columns(code=pl.when(pl.col("n") == 97).then(9).otherwise("code"))
    assert set(find(frame, COLUMNS, {"land", "city"})) == set()
    with pytest.raises(UsageError, match="where city is Bonn, code is 3 and 9"):
        stated(frame, CITY, "code")


def test_what_goes_with_a_missing_one_is_kept() -> None:
    frame = FRAME.with_columns(city=pl.when(pl.col("city") != "Graz").then("city"))
    category = Category("city", ("Bonn", "Bern", "Rome"), missing=True)
    assert stated(frame, category, "code") == Determined(
        "code", "city", ("3", "1", None), "2", "Int64"
    )


def test_agreement_that_may_be_chance_is_none() -> None:
    # Ten values of two rows each; and a column that is another in three rows alone.
    frame = pl.DataFrame(
        {
            "few": [f"v{n // 2}" for n in range(20)],
            "other": [f"w{n // 4}" for n in range(20)],
        }
    )
    few = Category("few", tuple(frame["few"].unique()))
    assert find(frame, (few, Category("other", tuple(frame["other"].unique()))), set()) == {}
    rare = pl.DataFrame({"a": ["x"] * 97 + ["y"] * 3, "b": ["u"] * 97 + ["v"] * 3})
    assert find(rare, (Category("a", ("x", "y")), Category("b", ("u", "v"))), set()) == {}


def test_stated_values_that_the_table_contradicts_are_refused() -> None:
    right = Determined("code", "city", ("3", "1", "2"), dtype="Int64")
    check(FRAME, right, CITY)
    wrong = Determined("code", "city", ("3", "1", "1"), dtype="Int64")
    with pytest.raises(UsageError, match="where city is Graz, the table has 2"):
        check(FRAME, wrong, CITY)
