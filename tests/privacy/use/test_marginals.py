from collections.abc import Sequence

import polars as pl
import pytest
import torch
from scipy import stats

from touchstone.data.tables.schema import Category, Number, Schema
from touchstone.privacy.use import marginals as module
from touchstone.privacy.use.marginals import (
    cells,
    kolmogorov_smirnov,
    marginals,
    pairs,
    quantiles,
    total_variation,
)

SCHEMA = Schema((Number("n", 0, 99, missing=True), Category("c", ("a", "b"), missing=True)))


def table(numbers: Sequence[int | None], categories: Sequence[str | None]) -> pl.DataFrame:
    types = {"n": pl.Int64, "c": pl.String}
    return pl.DataFrame({"n": numbers, "c": categories}, schema=types)


def test_total_variation_is_half_the_difference_of_shares() -> None:
    # Shares 1/2, 1/2, 0 against 1/4, 1/4, 1/2.
    assert total_variation(torch.tensor([0, 7]), torch.tensor([0, 7, 9, 9])) == 0.5
    assert total_variation(torch.tensor([3, 1]), torch.tensor([1, 3, 1, 3])) == 0
    assert total_variation(torch.tensor([3]), torch.tensor([1])) == 1


def test_the_largest_difference_of_distribution_functions_is_scipys() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(101, generator=generator).mul(3).round()
    second = torch.randn(57, generator=generator).mul(4).round()
    expected = stats.ks_2samp(first, second).statistic
    assert kolmogorov_smirnov(first, second) == pytest.approx(expected, rel=1e-12)


def test_a_missing_value_is_one_more_of_a_category_and_the_least_of_numbers() -> None:
    real, made = (
        table([1, 2, 3, 4], ["a", "a", "b", "b"]),
        table([None, 2, 3, 4], ["a", "a", "b", None]),
    )
    assert marginals(SCHEMA, real, made) == {"n": 0.25, "c": 0.25}
    assert marginals(SCHEMA, real, real) == {"n": 0, "c": 0}


def test_a_pair_is_apart_where_its_columns_alone_are_not() -> None:
    one, other = (
        table([1, 1, 9, 9], ["a", "a", "b", "b"]),
        table([1, 9, 1, 9], ["a", "a", "b", "b"]),
    )
    assert marginals(SCHEMA, one, other) == {"n": 0, "c": 0}
    # Of the four cells two hold halves, against quarters in all four.
    assert pairs(SCHEMA, one, one, other) == {("n", "c"): 0.5}
    assert pairs(SCHEMA, one, one, one[[3, 2, 1, 0, 0, 1, 2, 3]]) == {("n", "c"): 0}


def test_numbers_are_put_into_the_reals_deciles_with_the_value_that_most_have_alone() -> None:
    real = table([0] * 80 + list(range(1, 21)), ["a"] * 100)
    asked = table([-5, 0, 1, 10, 11, 500, None], ["a", "b", None, "a", "a", "a", "a"])
    found = cells(SCHEMA, real, asked)
    # The deciles are 0, of eight tenths, and 10.
    assert found[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 10]
    assert found[:, 1].tolist() == [0, 1, 2, 0, 0, 0, 0]
    inner = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    assert quantiles(torch.tensor([4.0, 1, 3, 2]), inner).tolist() == [1, 2, 3]


def test_all_missing_columns_and_tables_of_one_column_have_their_figures() -> None:
    gone = table([None, None], ["a", "b"])
    assert marginals(SCHEMA, gone, gone) == {"n": 0, "c": 0}
    assert pairs(SCHEMA, gone, gone, gone) == {("n", "c"): 0}
    assert pairs(Schema(SCHEMA.columns[:1]), gone, gone, gone) == {}


def test_of_many_pairs_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS", 4)
    names = "pqrst"
    schema = Schema(tuple(Category(name, ("a", "b")) for name in names))
    frame = pl.DataFrame({name: ["a", "b"] for name in names})
    first, again, other = (pairs(schema, frame, frame, frame, seed) for seed in (0, 0, 1))
    assert len(first) == 4
    assert first == again
    assert set(first) != set(other)
