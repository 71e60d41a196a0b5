import polars as pl
import pytest

from touchstone.data.tables.schema import Category, Number, Schema
from touchstone.privacy.use.coverage import Coverage, coverage

SCHEMA = Schema((Category("c", ("a", "b", "z")), Category("d", ("x", "y"), missing=True)))


def test_values_and_pairs_that_real_rows_have_are_looked_for() -> None:
    real = pl.DataFrame({"c": ["a"] * 12 + ["b"] * 11, "d": ["x"] * 12 + ["y"] * 10 + [None]})
    made = pl.DataFrame({"c": ["a", "b", "z"], "d": ["x", "x", "x"]})
    found = coverage(SCHEMA, real, made)
    # a, b and x of a, b, x, y and missing; z is not asked for. (a, x) of (a, x) and (b, y): (b,
    # missing) has one real row only.
    assert (found.categories, found.pairs) == (3 / 5, 1 / 2)
    assert found.lost == ("d=y", "d=None")
    assert coverage(SCHEMA, real, made, least=1).pairs == 1 / 3
    assert found.rare is None


def test_rare_values_are_as_frequent_as_they_should_be() -> None:
    real = pl.DataFrame({"c": ["a"] * 990 + ["b"] * 4 + ["z"] * 6, "d": ["x"] * 1000})
    made = pl.DataFrame({"c": ["a"] * 398 + ["b"] * 2, "d": ["x"] * 400})
    found = coverage(SCHEMA, real, made)
    # 2 of 400 where it should be 10 of 1,000; z is lost.
    assert found.rare == pytest.approx(0.5)
    assert found.lost == ("c=z",)
    assert coverage(SCHEMA, real, real) == Coverage(1, 1, 1, ())


def test_a_value_of_just_1_percent_is_not_rare() -> None:
    real = pl.DataFrame({"c": ["a"] * 99 + ["b"], "d": ["x"] * 100})
    assert coverage(SCHEMA, real, real).rare is None


def test_tables_without_categories_have_none_of_the_figures() -> None:
    frame = pl.DataFrame({"n": [1, 2]})
    assert coverage(Schema((Number("n", 0, 9),)), frame, frame) == Coverage(None, None, None, ())
