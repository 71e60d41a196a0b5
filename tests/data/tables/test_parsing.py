from datetime import date, datetime

import polars as pl
import pytest

from touchstone.data.tables.parsing import MANY, decimals, dtype_of, parse
from touchstone.errors import UsageError


def text(*values: str | None) -> pl.Series:
    return pl.Series("a", values, dtype=pl.String)


@pytest.mark.parametrize(
    ("values", "dtype", "parsed"),
    [
        (("1", "-20", None), "Int64", [1, -20, None]),
        (("1", "2.50", ".5", "1e3"), "Float64", [1.0, 2.5, 0.5, 1000.0]),
        (("True", "false", None), "Boolean", [True, False, None]),
        (("01234", "99999"), "String", ["01234", "99999"]),
        (("1234567890123456789", "1"), "String", ["1234567890123456789", "1"]),
        (("2020-01-31", "1999-12-01"), "Date", [date(2020, 1, 31), date(1999, 12, 1)]),
        (("31.12.2020", "01.02.2020"), "Date", [date(2020, 12, 31), date(2020, 2, 1)]),
        (("12/31/2020", "1/2/2020"), "Date", [date(2020, 12, 31), date(2020, 1, 2)]),
        (("31/12/2020", "1/2/2020"), "Date", [date(2020, 12, 31), date(2020, 2, 1)]),
        (("2020-01-31 17:05", None), "Datetime", [datetime(2020, 1, 31, 17, 5), None]),
        (("2020-01-31T17:05:09.5",), "Datetime", [datetime(2020, 1, 31, 17, 5, 9, 500_000)]),
        (("31.12.20", "1.2.20"), "String", ["31.12.20", "1.2.20"]),
        (("2020-13-31",), "String", ["2020-13-31"]),
        (("1-2", "3-4", "5+"), "String", ["1-2", "3-4", "5+"]),
        ((None, None), "String", [None, None]),
    ],
)
def test_what_text_stands_for(
    values: tuple[str | None, ...], dtype: str, parsed: list[object]
) -> None:
    column = text(*values)
    assert dtype_of("a", column) == dtype
    assert parse("a", column, dtype).to_list() == parsed


def test_dates_that_can_be_read_in_two_ways_are_refused_until_it_is_said_how() -> None:
    column = text("01/02/2020", "03/04/2020")
    with pytest.raises(
        UsageError, match=r"column a: .*%d/%m/%Y and as %m/%d/%Y.*columns\.a\.format"
    ):
        dtype_of("a", column)

    assert dtype_of("a", column, "%m/%d/%Y") == "Date"
    assert parse("a", column, "Date", "%m/%d/%Y").to_list() == [date(2020, 1, 2), date(2020, 3, 4)]


def test_dates_that_are_the_same_in_two_ways_are_dates() -> None:
    assert dtype_of("a", text("05/05/2020", "12/12/2020")) == "Date"


def test_numbers_and_words_are_mixed() -> None:
    numbers = [str(number) for number in range(95)]
    column = text(*numbers, "many", "few", "many", "ask", "tbd")
    with pytest.raises(
        UsageError,
        match=r"column a is mixed: numbers, and 5 times .*'ask', 'few', 'many'.*kind=category",
    ):
        dtype_of("a", column)


def test_dates_and_words_are_mixed() -> None:
    column = text(
        *(f"2020-{month:02}-{day:02}" for month in range(1, 4) for day in range(1, 29)), "soon"
    )
    with pytest.raises(
        UsageError, match="column a is mixed: dates, and 1 times something else, such as 'soon'"
    ):
        dtype_of("a", column)


def test_a_few_numbers_among_words_are_codes() -> None:
    codes = [str(number) for number in range(MANY)]
    assert dtype_of("a", text(*codes, f"{MANY} or more")) == "String"
    with pytest.raises(UsageError, match="mixed"):
        dtype_of("a", text(*codes, str(MANY), "or more"))


def test_whole_numbers_as_pandas_writes_them_beside_missing_ones() -> None:
    assert parse("a", text("3.0", "4", "4.5", None), "Int64").to_list() == [3, 4, None, None]


@pytest.mark.parametrize(
    ("numbers", "digits"),
    [
        ([1.0, 20.0], 0),
        ([1.5, 2.25], 2),
        ([1e-7, 1.0], 7),
        ([1e20, 0.5], 1),
        ([1 / 3], 15),
        ([None, 0.1], 1),
    ],
)
def test_decimals_are_counted(numbers: list[float | None], digits: int) -> None:
    assert decimals(pl.Series(numbers)) == digits


def test_decimals_of_single_precision_are_those_that_are_shown() -> None:
    assert decimals(pl.Series([0.1, 2.25], dtype=pl.Float32)) == 2
