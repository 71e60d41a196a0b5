"""The figures of a detector, by hand, against scikit-learn, and their intervals against theory."""

import time

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torch import Tensor

from touchstone.authenticity.figures import (
    apcer,
    auroc,
    average_precision,
    bootstrap,
    bpcer,
    difference,
    equal_error_rate,
    figures,
    fpr_at_tpr,
    refused,
    roc,
)
from touchstone.errors import UsageError


def normal(*shape: int, seed: int, mean: float = 0.0) -> Tensor:
    return mean + torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tied(seed: int) -> tuple[Tensor, Tensor]:
    """Scores of which many are equal, within the classes and across them."""
    return normal(70, seed=seed).round(decimals=0), normal(50, seed=-seed, mean=1).round(decimals=0)


def test_auroc_and_average_precision_by_hand() -> None:
    genuine, counterfeit = torch.tensor([1.0, 2, 3]), torch.tensor([2.0, 4])
    # Of the six pairs 2 > 1, 4 > 1, 4 > 2, 4 > 3 are right, and 2 = 2 is half right.
    assert auroc(genuine, counterfeit) == 4.5 / 6
    # From 4 on one of one is a counterfeit; from 2 on two of four.
    assert average_precision(genuine, counterfeit) == (1 + 2 / 4) / 2


def test_the_curve_by_hand() -> None:
    fpr, tpr = roc(torch.tensor([1.0, 2, 3]), torch.tensor([2.0, 4]))
    assert torch.stack([fpr * 3, tpr * 2]).T.tolist() == [
        [0, 0],
        [0, 1],  # from 4 on
        [1, 1],  # from 3 on
        [2, 2],  # from 2 on, a genuine and a counterfeit item together
        [2, 2],
        [3, 2],
    ]


def test_false_positives_by_hand() -> None:
    counterfeit = torch.arange(1.0, 21)
    genuine = torch.tensor([0.0, 1, 2, 2, 3])
    # 95 % of twenty are nineteen: all but the lowest, from 2 on, as three genuine items are.
    assert fpr_at_tpr(genuine, counterfeit) == 3 / 5
    # 96 % of them are all twenty.
    assert fpr_at_tpr(genuine, counterfeit, 0.96) == 4 / 5
    assert fpr_at_tpr(genuine, counterfeit, 0.9) == 1 / 5


@pytest.mark.parametrize(
    ("genuine", "counterfeit", "error"),
    [
        ([1.0, 2, 3, 4], [4.5, 5, 6, 7], 0),
        ([4.5, 5, 6, 7], [1.0, 2, 3, 4], 1),
        ([1.0, 2, 3, 6], [4.0, 5, 7, 8], 1 / 4),  # from 5 on one of four is wrong on either side
        ([1.0, 1], [1.0], 1 / 2),  # the curve is one straight line
        # Refused are from 3 on 0 of 3 and 1 of 2, from 2 on 2 of 3 and 2 of 2: on the line between
        # them x = 1 - y where x = 2/3 a and y = 1/2 + a/2, which is a = 3/7.
        ([1.0, 2, 2], [2.0, 3], 2 / 7),
    ],
)
def test_equal_error_rate_by_hand(
    genuine: list[float], counterfeit: list[float], error: float
) -> None:
    found = equal_error_rate(torch.tensor(genuine), torch.tensor(counterfeit))
    assert float(found) == pytest.approx(error, abs=1e-12)


def test_errors_at_a_threshold_by_hand() -> None:
    # An item at the threshold is refused.
    assert apcer(torch.tensor([1.0, 2, 3, 4]), 2) == 1 / 4
    assert bpcer(torch.tensor([1.0, 2, 3, 4]), 2) == 3 / 4


@pytest.mark.parametrize("seed", range(1, 6))
def test_they_are_scikit_learns(seed: int) -> None:
    genuine, counterfeit = tied(seed)
    truth = np.repeat([0, 1], [len(genuine), len(counterfeit)])
    scores = torch.cat([genuine, counterfeit]).numpy()
    found = figures(genuine, counterfeit, 1.0)

    assert found["auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    precision = average_precision_score(truth, scores)
    assert found["average_precision"] == pytest.approx(precision, abs=1e-12)
    fpr, tpr, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    assert found["fpr95"] == pytest.approx(fpr[tpr >= 0.95].min(), abs=1e-12)
    assert found["bpcer"] == pytest.approx(fpr[thresholds == 1.0].item(), abs=1e-12)
    assert found["apcer"] == pytest.approx(1 - tpr[thresholds == 1.0].item(), abs=1e-12)
    # The point of the curve, at the equal error rate, has as much on either side.
    error = found["equal_error_rate"]
    assert np.interp(error, fpr, tpr) == pytest.approx(1 - error, abs=1e-12)
    assert np.unique(np.stack(roc(genuine, counterfeit)), axis=1) == pytest.approx(
        np.unique([fpr, tpr], axis=1), abs=1e-12
    )


def test_only_the_order_counts_and_reversing_it_mirrors_it() -> None:
    genuine, counterfeit = tied(7)
    for figure in (auroc, average_precision, fpr_at_tpr, equal_error_rate):
        assert figure(genuine.exp(), counterfeit.exp()) == figure(genuine, counterfeit)
    mirrored = auroc(-genuine, -counterfeit)
    assert float(mirrored) == pytest.approx(1 - float(auroc(genuine, counterfeit)), abs=1e-12)
    assert float(equal_error_rate(-genuine, -counterfeit)) == pytest.approx(
        1 - float(equal_error_rate(genuine, counterfeit)), abs=1e-12
    )


def test_rows_are_figures_of_their_own() -> None:
    genuine, counterfeit = normal(4, 30, seed=1), normal(4, 20, seed=2, mean=1)
    for figure in (auroc, average_precision, fpr_at_tpr, equal_error_rate):
        rows = [
            float(figure(own, others)) for own, others in zip(genuine, counterfeit, strict=True)
        ]
        assert figure(genuine, counterfeit).tolist() == rows


def test_shares_refused_of_several_thresholds() -> None:
    shares = refused(torch.tensor([3.0, 1, 2, 2]), torch.tensor([0.0, 2, 2.5, 9]))
    assert shares.tolist() == [1, 0.75, 0.25, 0]


@pytest.mark.parametrize(
    ("genuine", "counterfeit", "message"),
    [
        ([], [1.0], "need genuine items: there are none"),
        ([1.0], [], "need counterfeit items: there are none"),
        ([1.0], [float("nan")], "scores of counterfeit items are not all numbers"),
    ],
)
def test_what_has_no_figures(genuine: list[float], counterfeit: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        figures(torch.tensor(genuine), torch.tensor(counterfeit), 0.0)


def hanley_mcneil(area: float, genuine: int, counterfeit: int) -> float:
    """The standard error of AUROC where scores are exponential: Hanley, McNeil 1982, equation 1."""
    two_above, one_above = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area)
    variance += (counterfeit - 1) * (two_above - area**2) + (genuine - 1) * (one_above - area**2)
    return float((variance / genuine / counterfeit) ** 0.5)


def test_the_interval_is_as_wide_and_as_often_right_as_theory_says() -> None:
    area, n, m = 0.8, 150, 100  # of means 1 and 4: 4 / (1 + 4)
    generator = torch.Generator().manual_seed(0)
    widths, right = [], 0
    for seed in range(200):
        genuine = torch.empty(n).exponential_(1, generator=generator)
        counterfeit = torch.empty(m).exponential_(1 / 4, generator=generator)
        low, high = bootstrap(genuine, counterfeit, auroc, draws=400, seed=seed)
        widths.append(high - low)
        right += low <= area <= high
    # The middle 95 % of 400 draws are a little narrower than those of all draws.
    expected = 2 * 1.96 * hanley_mcneil(area, n, m)
    assert np.mean(widths) == pytest.approx(expected, rel=0.03)
    assert 182 <= right <= 198  # 190 are expected, with a standard deviation of 3.1


def test_the_interval_is_the_same_for_a_seed_and_narrows_at_a_lower_level() -> None:
    genuine, counterfeit = normal(100, seed=1), normal(80, seed=2, mean=1)
    low, high = bootstrap(genuine, counterfeit, auroc)
    assert bootstrap(genuine, counterfeit, auroc) == (low, high)
    assert bootstrap(genuine, counterfeit, auroc, seed=1) != (low, high)
    inner = bootstrap(genuine, counterfeit, auroc, level=0.5)
    assert low < inner[0] < float(auroc(genuine, counterfeit)) < inner[1] < high
    # A share of one group: two standard errors of a binomial share on either side.
    low, high = bootstrap(genuine, counterfeit, lambda own, _: bpcer(own, 0.0))
    share = float(bpcer(genuine, 0.0))
    assert (high - low) / 2 == pytest.approx(1.96 * (share * (1 - share) / 100) ** 0.5, rel=0.1)
    # The draws that are not in a whole block count, too.
    assert bootstrap(genuine, counterfeit, auroc, draws=30) != bootstrap(
        genuine, counterfeit, auroc, draws=31
    )


def test_a_thousand_draws_of_two_thousand_items_take_well_under_a_second() -> None:
    genuine, counterfeit = normal(1000, seed=1), normal(1000, seed=2, mean=1)
    start = time.process_time()
    bootstrap(genuine, counterfeit, auroc)
    assert time.process_time() - start < 1.5  # 0.3 s on a quiet core


def test_a_difference_on_the_same_items_is_surer_than_two_intervals() -> None:
    genuine, counterfeit = normal(200, seed=1), normal(200, seed=2, mean=1)
    better = genuine + 0.1 * normal(200, seed=3), counterfeit + 0.2 + 0.1 * normal(200, seed=4)
    low, high = difference(better, (genuine, counterfeit))
    assert 0 < low < float(auroc(*better) - auroc(genuine, counterfeit)) < high
    apart = [bootstrap(*scores, auroc) for scores in (better, (genuine, counterfeit))]
    assert high - low < 0.5 * min(above - below for below, above in apart)
    assert difference(better, better) == (0, 0)
    reversed_ = difference((genuine, counterfeit), better)
    assert reversed_ == pytest.approx((-high, -low), abs=1e-12)
    with pytest.raises(ValueError, match="not of the same items"):
        difference(better, (genuine[1:], counterfeit))
