import numpy as np
import pytest
from scipy import stats

from touchstone.comparison import statistics


def samples(seed: int, *sizes: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.normal(number, 1 + 2 * number, size) for number, size in enumerate(sizes)]


def welch(first: np.ndarray, second: np.ndarray) -> statistics.Welch:
    """The test of two samples."""
    pair = (first, second)
    return statistics.welch(
        [one.mean() for one in pair], [one.std(ddof=1) for one in pair], [len(one) for one in pair]
    )


def test_mean_deviation_and_interval() -> None:
    values = [2.0, 4.0, 9.0]
    # Deviations -3, -1, 4: 26 / 2. Student's t with two degrees of freedom is 4.30265.
    assert statistics.mean(values) == 5
    assert statistics.deviation(values) == pytest.approx(13**0.5, abs=1e-12)
    half = 4.302652729911275 * (13 / 3) ** 0.5
    assert statistics.mean_interval(values) == pytest.approx((5 - half, 5 + half), abs=1e-9)
    expected = stats.t.interval(0.9, 2, loc=5, scale=stats.sem(values))
    assert statistics.mean_interval(values, 0.9) == pytest.approx(expected, abs=1e-12)


def test_one_value_has_neither_deviation_nor_interval() -> None:
    assert statistics.deviation([3.0]) is None
    assert statistics.mean_interval([3.0]) is None


@pytest.mark.parametrize("sizes", [(5, 5), (2, 7), (3, 2), (40, 4)])
def test_welch_is_scipys(sizes: tuple[int, int]) -> None:
    first, second = samples(sum(sizes), *sizes)
    expected = stats.ttest_ind(first, second, equal_var=False)
    low, high = expected.confidence_interval(0.95)

    found = welch(first, second)

    assert found.difference == pytest.approx(first.mean() - second.mean(), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-10)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)


def test_many_pairs_are_tested_as_each_alone() -> None:
    pairs = [samples(seed, 3, 4) for seed in range(6)]
    rows = [[pair[side] for pair in pairs] for side in (0, 1)]

    together = statistics.welch(
        [[one.mean() for one in row] for row in rows],
        [[one.std(ddof=1) for one in row] for row in rows],
        [[len(one) for one in row] for row in rows],
    )

    for index, pair in enumerate(pairs):
        alone = welch(*pair)
        for name in statistics.Welch._fields:
            assert getattr(together, name)[index] == pytest.approx(getattr(alone, name), rel=1e-12)


def test_samples_without_any_spread() -> None:
    found = statistics.welch([[1.0, 1.0], [2.0, 1.0]], np.zeros((2, 2)), np.full((2, 2), 3))

    assert found.p.tolist() == [0, 1]
    assert found.low.tolist() == found.high.tolist() == found.difference.tolist() == [-1, 0]


@pytest.mark.parametrize(("value", "sizes"), [(0.3, (10, 3)), (0.3, (20, 7)), (0.9, (20, 7))])
def test_equal_figures_are_never_distinct(value: float, sizes: tuple[int, int]) -> None:
    first, second = (np.full(size, value) for size in sizes)
    assert first.mean() != second.mean()  # by rounding

    found = welch(first, second)

    assert [float(value) for value in found] == [0, 0, 0, 1]


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5 by 4, 3, 2, 1: 0.04, 0.06, 0.06 and 0.5.
    assert statistics.holm([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert statistics.holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert statistics.holm([0.2]) == pytest.approx([0.2])
    assert statistics.holm([]).tolist() == []


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_planted_null_is_seldom_called_a_difference(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(10, 2, (2, 1000, seeds))
    sizes = np.full((2, 1000), seeds)

    found = statistics.welch(values.mean(axis=2), values.std(axis=2, ddof=1), sizes)

    most = stats.binom.ppf(0.975, 1000, 0.05)
    assert (found.p < 0.05).sum() <= most
    outside = (found.low > 0) | (found.high < 0)
    np.testing.assert_array_equal(outside, found.p < 0.05)


def test_a_planted_difference_of_two_deviations_is_mostly_found_with_five_seeds() -> None:
    values = np.random.default_rng(0).normal(10, 2, (2, 1000, 5)) + np.array([0, 4])[:, None, None]

    found = statistics.welch(values.mean(axis=2), values.std(axis=2, ddof=1), np.full((2, 1000), 5))

    # The noncentral t distribution with eight degrees of freedom gives 0.79; Welch's has fewer.
    assert 0.72 < (found.p < 0.05).mean() < 0.80


def test_effects_of_a_balanced_grid_by_hand() -> None:
    # Cells of two: means 1, 3 / 5, 11 and 0.5 of squares in each. Rows 2 and 8, columns 3 and 7.
    values = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 10.5, 11.5]
    factors = {"loss": [0, 0, 0, 0, 1, 1, 1, 1], "lr": [0, 0, 1, 1] * 2}
    # Sums: 8 * 3^2 = 72, 8 * 2^2 = 32, interaction 8 * 1^2 = 8, residual 4 * 0.5 = 2; together 114.

    found = {term: (share, p) for term, share, p in statistics.effects(values, factors)}

    for term, squares in ((("loss",), 72), (("lr",), 32), (("loss", "lr"), 8)):
        share, p = found[term]
        assert share == pytest.approx(squares / 114, abs=1e-12)
        assert p == pytest.approx(stats.f.sf(squares / (2 / 4), 1, 4), rel=1e-9)


def test_the_effect_of_one_factor_is_scipys_analysis_of_variance() -> None:
    groups = samples(1, 4, 2, 6)
    levels = ["a"] * 4 + ["b"] * 2 + ["c"] * 6

    [(term, share, p)] = statistics.effects(np.concatenate(groups).tolist(), {"loss": levels})

    assert term == ("loss",)
    assert p == pytest.approx(stats.f_oneway(*groups).pvalue, rel=1e-10)
    assert 0 < share < 1


def test_effects_of_an_unbalanced_grid_are_of_the_second_type() -> None:
    generator = np.random.default_rng(3)
    a, b = generator.integers(0, 3, 40), generator.integers(0, 2, 40)
    y = generator.normal(a + 2 * b, 1)

    def residual(*columns: np.ndarray) -> float:
        design = np.column_stack([np.ones(40), *columns])
        return float(((y - design @ np.linalg.pinv(design) @ y) ** 2).sum())

    one_a = [a == level for level in range(3)]
    one_b = [b == level for level in range(2)]
    cells = [x & z for x in one_a for z in one_b]
    total = residual()

    found = {
        term: share
        for term, share, _ in statistics.effects(y.tolist(), {"a": a.tolist(), "b": b.tolist()})
    }

    assert found["a",] == pytest.approx((residual(*one_b) - residual(*one_a, *one_b)) / total)
    assert found["b",] == pytest.approx((residual(*one_a) - residual(*one_a, *one_b)) / total)
    assert found["a", "b"] == pytest.approx((residual(*one_a, *one_b) - residual(*cells)) / total)


def test_one_run_a_cell_leaves_nothing_to_test_by() -> None:
    found = statistics.effects([1.0, 2.0, 4.0, 9.0], {"a": [0, 0, 1, 1], "b": [0, 1, 0, 1]})

    # Around the mean of 4: rows 1.5 and 6.5, columns 2.5 and 5.5; 25, 9 and 4 of 38.
    assert [term for term, _, _ in found] == [("a",), ("b",), ("a", "b")]
    assert [share for _, share, _ in found] == pytest.approx([25 / 38, 9 / 38, 4 / 38])
    assert {p for _, _, p in found} == {None}


def test_without_room_for_interactions_there_are_factors_alone() -> None:
    factors = {"a": [0, 0, 1, 1, 2, 2], "b": [0, 1, 2, 0, 1, 2]}

    found = statistics.effects([1.0, 2.0, 3.0, 5.0, 8.0, 13.0], factors)

    assert [term for term, _, _ in found] == [("a",), ("b",)]


def test_cells_that_are_missing_leave_no_interaction() -> None:
    factors = {"a": [0, 0, 0, 1, 1, 1, 0, 0], "b": [0, 0, 0, 0, 0, 0, 1, 1]}

    found = statistics.effects([1.0, 2, 3, 4, 5, 6, 9, 8], factors)

    assert [term for term, _, _ in found] == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("values", "factors"),
    [
        ([1.0, 2.0, 3.0], {}),
        ([1.0, 2.0, 3.0], {"a": [0, 0, 0]}),
        ([1.0, 2.0, 3.0], {"lr": [0.1, 0.2, 0.3]}),
        ([2.0, 2.0, 2.0], {"a": [0, 0, 1]}),
        ([], {}),
    ],
)
def test_where_there_is_nothing_to_account_for(
    values: list[float], factors: dict[str, list[float]]
) -> None:
    assert statistics.effects(values, factors) == []
