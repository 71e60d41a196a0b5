import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

from touchstone.data.tables.schema import Category, Number, Schema
from touchstone.privacy.use.correlations import (
    associations,
    correlation_ratio,
    correlations,
    cramers_v,
    pearson,
)

SCHEMA = Schema(
    (
        Category("c", ("a", "b", "z")),
        Number("n", 0, 99),
        Number("m", 0, 99, missing=True),
        Category("d", ("x", "y"), missing=True),
    )
)


def test_associations_are_scipys() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 80))
    groups, others = generator.integers(3, size=80), generator.integers(4, size=80)
    found = pearson(*map(torch.from_numpy, (x, y)))
    assert found == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-9)
    found = cramers_v(torch.from_numpy(groups), torch.from_numpy(others))
    counts = np.zeros((3, 4), dtype=int)
    np.add.at(counts, (groups, others), 1)
    assert found == pytest.approx(stats.contingency.association(counts, "cramer"), rel=1e-9)
    # F of the analysis of variance is eta² / (1 - eta²) by degrees of freedom 2 and 77.
    found = correlation_ratio(torch.from_numpy(x), torch.from_numpy(groups))
    f = stats.f_oneway(*(x[groups == group] for group in range(3))).statistic
    assert found**2 / (1 - found**2) * 77 / 2 == pytest.approx(f, rel=1e-9)


def test_a_table_has_the_association_of_every_pair() -> None:
    frame = pl.DataFrame(
        {
            "c": ["a", "a", "b", "b"],
            "n": [1, 1, 5, 5],
            "m": [2, 2, 0, None],
            "d": ["x", "y", "x", None],
        }
    )
    found = associations(SCHEMA, frame)
    assert torch.equal(found, found.T)
    # In the order n, m, c, d: n falls as m rises, and c says what n is.
    assert found[0].tolist() == pytest.approx([1, -1, 1, 0.5**0.5])
    assert found[1, 2] == pytest.approx(1)
    # Of 4 rows chi squared of [[1, 1, 0], [1, 0, 1]] is 2.
    assert found[2, 3] == pytest.approx(0.5**0.5)


def test_what_does_not_vary_goes_with_nothing() -> None:
    frame = pl.DataFrame({"c": ["a"] * 3, "n": [4] * 3, "m": [1, 2, None], "d": ["x", "y", "x"]})
    found = associations(SCHEMA, frame)
    assert found[0].tolist() == [1, 0, 0, 0]
    assert found[2].tolist() == [0, 0, 1, 0]
    gone = frame.with_columns(m=pl.lit(None, pl.Int64))
    assert associations(SCHEMA, gone)[1].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("value", [0.1, 1 / 3, 37.0, 1e9 + 0.1])
@pytest.mark.parametrize("number", [10, 37, 1_000, 9_999])
def test_a_constant_whose_mean_is_rounded_goes_with_nothing(value: float, number: int) -> None:
    same = torch.full((number,), value, dtype=torch.float64)
    other = torch.arange(number)
    assert pearson(same, 2.7 * same) == pearson(same, other.double()) == 0
    assert correlation_ratio(same, other % 3) == 0


def test_associations_end_at_one() -> None:
    for seed in range(20):
        x = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        assert -1 <= pearson(x, -3 * x) <= pearson(x, 3 * x) <= 1


def test_the_difference_names_the_pair_that_is_farthest_off() -> None:
    schema = Schema(SCHEMA.columns[1:3])
    one = pl.DataFrame({"n": [1, 2, 3], "m": [1, 2, 3]})
    other = pl.DataFrame({"n": [1, 2, 3], "m": [3, 2, 1]})
    found = correlations(schema, one, other)
    assert found is not None
    assert found.mean == pytest.approx(2)
    assert found.largest == pytest.approx(2)
    assert found.pair == ("n", "m")
    assert correlations(Schema(SCHEMA.columns[:1]), one, other) is None
