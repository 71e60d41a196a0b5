import polars as pl
import pytest

from touchstone.data.tables.schema import Category, Number
from touchstone.privacy.shares import shares


def test_a_category_has_its_most_frequent_values_and_the_others() -> None:
    names = tuple("abcdefghij")
    real = pl.DataFrame({"c": [*names, *"aabb"]})
    synthetic = pl.DataFrame({"c": ["j"] * 5})
    found = shares(Category("c", names), real, synthetic)
    assert found.values == ("j", "a", "b", "c", "d", "e", "f", "all others")
    assert found.real == pytest.approx([1 / 14, 3 / 14, 3 / 14, *[1 / 14] * 4, 3 / 14])
    assert found.synthetic == (1.0, *[0.0] * 7)
    assert sum(found.real) == pytest.approx(1)


def test_a_number_has_ranges_of_as_many_real_values_and_what_is_missing() -> None:
    real = pl.DataFrame({"n": [*range(1, 17), *[None] * 4]})
    synthetic = pl.DataFrame({"n": [1, 2, 16, 40]})
    found = shares(Number("n", 1, 40, missing=True), real, synthetic)
    assert found.values[0] == "up to 2"
    assert found.values[-2:] == ("over 16", "missing")
    assert found.real[0] == pytest.approx(2 / 20)
    assert found.real[-2:] == pytest.approx([0, 0.2])
    assert found.synthetic[0] == 0.5
    assert found.synthetic[-2:] == (0.25, 0)
    assert sum(found.real) == pytest.approx(1)


def test_dates_are_written_as_dates() -> None:
    days = pl.DataFrame({"d": pl.Series([0, 1, 2], dtype=pl.Int32).cast(pl.Date)})
    found = shares(Number("d", 0, 2, dtype="Date"), days, days)
    assert found.values[-1] == "up to 1970-01-03"
