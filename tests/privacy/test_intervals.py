"""Intervals, against scipy and scikit-learn, and how often they cover."""

import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from touchstone.privacy.intervals import auroc, limits, placements, rate


@pytest.mark.parametrize(("hits", "number"), [(0, 7), (7, 7), (3, 10), (1, 1000), (1, 1), (0, 1)])
def test_a_rate_has_scipys_exact_interval(hits: int, number: int) -> None:
    expected = binomtest(hits, number).proportion_ci(0.95, method="exact")
    assert rate(hits, number) == pytest.approx((hits / number, expected.low, expected.high))


def test_limits_are_those_of_one_rate_each() -> None:
    low, high = limits(torch.tensor([0, 4, 9]), 9, 0.025)
    for number, hits in enumerate((0, 4, 9)):
        assert (float(low[number]), float(high[number])) == pytest.approx(rate(hits, 9)[1:])


def test_auroc_is_scikit_learns_with_ties() -> None:
    draws = torch.Generator().manual_seed(0)
    positive, negative = (torch.randn(n, generator=draws).round(decimals=0) for n in (70, 50))
    labels = [1] * 70 + [0] * 50
    expected = roc_auc_score(labels, torch.cat([positive + 1, negative]).numpy())
    assert auroc(positive + 1, negative).value == pytest.approx(expected, abs=1e-12)


def test_the_variance_of_delong_by_hand() -> None:
    positive, negative = torch.tensor([1.0, 3, 4]), torch.tensor([0.0, 2])
    # 1 is above one of two, 3 and 4 are above both; 0 is below all three, 2 below two of three.
    assert placements(positive, negative).tolist() == [0.5, 1, 1]
    variance = (1 / 12) / 3 + (1 / 18) / 2
    value, low, _ = auroc(positive, negative, level=0.5)
    assert value == pytest.approx(5 / 6)
    assert value - low == pytest.approx(0.67448975 * variance**0.5)


def test_perfect_scores_have_the_interval_of_pairs() -> None:
    low, high = torch.arange(20.0), torch.arange(20.0, 50)
    assert auroc(high, low) == rate(20, 20)
    assert auroc(low, high) == rate(0, 20)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_interval_covers_as_often_as_it_says(shift: float) -> None:
    draws = torch.Generator().manual_seed(1)
    truth = float(torch.special.ndtr(torch.tensor(shift / 2**0.5)))
    covered = sum(
        auroc(torch.randn(60, generator=draws) + shift, torch.randn(90, generator=draws)).covers(
            truth
        )
        for _ in range(1000)
    )
    assert 925 <= covered <= 965  # 95 %, and a little less in small samples
