"""Bounds on epsilon: by hand, against the paper's figures, and never above what is true."""

import math

import pytest
import torch
from scipy.stats import beta, binom
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.privacy.bound import bound_of_guesses, epsilon_bound, one_run_bound, surprise


def responses(number: int, epsilon: float, seed: int) -> tuple[Tensor, Tensor]:
    """Who is in, by coin, and what randomized response says of it, private at epsilon."""
    draws = torch.Generator().manual_seed(seed)
    included = torch.rand(number, generator=draws) < 0.5
    honest = torch.rand(number, generator=draws) < 1 / (1 + math.exp(-epsilon))
    noise = torch.rand(number, generator=draws) / 2  # the order among equal answers
    return included, torch.where(honest, included, ~included) + noise


def test_perfect_scores_give_what_clopper_and_pearson_leave() -> None:
    members, non_members = torch.ones(200), torch.zeros(400)
    # On halves of 100 and 200; the other direction, TNR / FNR, is bounded by the fewer members.
    tpr, fpr = beta.ppf(0.025, 100, 1), beta.ppf(0.975, 1, 200)
    assert epsilon_bound(members, non_members) == pytest.approx(math.log(tpr / fpr))
    assert epsilon_bound(members, non_members, delta=0.1) == pytest.approx(
        math.log((tpr - 0.1) / fpr)
    )
    # Fewer non-members: surely out are those below, of 200 none with 100 members of 200.
    other = epsilon_bound(torch.ones(400), torch.zeros(200))
    assert other == pytest.approx(math.log(beta.ppf(0.025, 100, 1) / beta.ppf(0.975, 1, 200)))


def test_scores_that_say_nothing_give_nothing() -> None:
    draws = torch.Generator().manual_seed(0)
    bounds = [
        epsilon_bound(torch.randn(100, generator=draws), torch.randn(100, generator=draws))
        for _ in range(50)
    ]
    assert sum(bound > 0 for bound in bounds) <= 5
    assert epsilon_bound(torch.zeros(50), torch.zeros(50)) == 0
    assert epsilon_bound(torch.zeros(50), torch.ones(50)) == 0


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_the_bound_is_below_the_true_epsilon_and_near_it(epsilon: float) -> None:
    bounds = []
    for seed in range(40):
        included, scores = responses(2000, epsilon, seed)
        bounds.append(epsilon_bound(scores[included], scores[~included], seed=seed))
    assert sum(bound > epsilon for bound in bounds) <= 3
    assert sorted(bounds)[20] >= 0.65 * epsilon


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_one_run_is_below_the_true_epsilon_and_near_it(epsilon: float) -> None:
    bounds = []
    for seed in range(40):
        included, scores = responses(1000, epsilon, seed)
        bounds.append(one_run_bound(scores, included))
    assert sum(bound > epsilon for bound in bounds) <= 3
    assert sorted(bounds)[20] >= 0.75 * epsilon


@pytest.mark.parametrize(
    ("canaries", "guesses", "right", "delta", "epsilon"),
    [(1000, 100, 75, 1e-4, 0.673), (100_000, 1510, 1439, 1e-5, 2.6755)],
)
def test_the_papers_own_figures(
    canaries: int, guesses: int, right: int, delta: float, epsilon: float
) -> None:
    found = bound_of_guesses(canaries, guesses, right, delta)
    assert found == pytest.approx(epsilon, abs=6e-4)


def test_without_delta_it_is_clopper_and_pearsons_limit() -> None:
    share = beta.ppf(0.05, 80, 21)  # of 80 right of 100
    found = bound_of_guesses(500, 100, 80)
    assert found == pytest.approx(math.log(share / (1 - share)), abs=1e-6)
    assert bound_of_guesses(500, 100, 50) == 0
    assert bound_of_guesses(500, 100, 0) == 0


def test_the_surprise_by_its_formula() -> None:
    correct = binom(20, math.e / (math.e + 1))
    spread = max(sum(correct.pmf(range(17 - i, 17))) / i for i in range(1, 18))
    expected = correct.sf(16) + 2 * 40 * 0.001 * spread
    assert surprise(40, 20, 17, 1.0, 0.001) == pytest.approx(expected, rel=1e-9)
    assert surprise(40, 20, 0, 1.0, 0.001) == 1


def test_guesses_are_the_highest_and_the_lowest() -> None:
    scores = torch.arange(40.0)
    included = scores >= 20
    # Ten of forty, all right, at a level that makes up for no other share.
    assert one_run_bound(scores, included, shares=(0.25,)) == bound_of_guesses(40, 10, 10)
    assert one_run_bound(-scores, included, shares=(0.25,)) == 0
    four = one_run_bound(scores, included, shares=(1.0, 0.5, 0.25, 0.1))
    assert four == bound_of_guesses(40, 40, 40, level=1 - 0.05 / 4)


def test_what_bounds_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="two members"):
        epsilon_bound(torch.zeros(1), torch.zeros(9))
    with pytest.raises(UsageError, match="two canaries"):
        one_run_bound(torch.zeros(1), torch.ones(1).bool())
    for delta in (-0.1, 1.0):
        with pytest.raises(UsageError, match=r"delta=.*has to be in"):
            epsilon_bound(torch.zeros(9), torch.zeros(9), delta)
