"""A lower bound on epsilon from how well attacks do: what a promised epsilon must not be under."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.privacy.intervals import LEVEL, limits
from touchstone.privacy.membership import halves

SHARES = (1.0, 0.5, 0.25, 0.1)  # of the canaries that are guessed at


def epsilon_bound(
    members: Tensor, non_members: Tensor, delta: float = 0.0, level: float = LEVEL, seed: int = 0
) -> float:
    """The least epsilon that explains how well scores tell members from non-members.

    Under (epsilon, delta)-differential privacy every test of membership has TPR <= e^epsilon FPR +
    delta, and TNR <= e^epsilon FNR + delta (Kairouz, Oh and Viswanath 2015, theorem 2.1). With the
    limits of Clopper and Pearson, each missed with (1 - level) / 2 at most, they hold together at
    `level` (Jagielski, Ullman and Oprea 2020, arXiv 2006.07709, section 3; Nasr et al. 2021, arXiv
    2101.04535). The threshold and the one of the two that bounds more are chosen on one half of the
    scores and the bound is taken on the other, so that choosing makes it no higher.

    It is exact for scores that are independent: each of a run of its own, with its record or
    without. The records of one run share what happened in it, so of them it is an estimate;
    `one_run_bound` on canaries is exact.

    Args:
        members: scores `(n,)`, 2 or more.
        non_members: scores `(m,)`, 2 or more.
        delta: of the promise.
        level: the probability that epsilon is not below the bound.
        seed: of the halves.

    Returns:
        Epsilon, 0 where the scores say nothing.

    Raises:
        UsageError: fewer scores, or a delta that is not in [0, 1).
    """
    _check(delta)
    if min(len(members), len(non_members)) < 2:
        raise UsageError("a bound on epsilon needs scores of two members and of two non-members")
    (chosen, taken), (chosen_out, taken_out) = (halves(s, seed) for s in (members, non_members))
    # Members' scores lie at a threshold or above it; the other way round both are mirrored.
    tests = [(chosen, chosen_out, taken, taken_out), (-chosen_out, -chosen, -taken_out, -taken)]
    candidates = []
    for own, others, own_taken, others_taken in tests:
        thresholds = torch.unique(torch.cat([own, others]))
        bounds = _bounds(own, others, thresholds, delta, level)
        best = bounds.argmax()
        bound = _bounds(own_taken, others_taken, thresholds[best : best + 1], delta, level)
        candidates.append((float(bounds[best]), float(bound)))
    return max(max(candidates)[1], 0.0)


def _bounds(own: Tensor, others: Tensor, thresholds: Tensor, delta: float, level: float) -> Tensor:
    """log((TPR - delta) / FPR) at each threshold, the TPR at its least, the FPR at its most."""
    hits, alarms = (
        len(scores) - torch.searchsorted(scores.sort().values, thresholds)
        for scores in (own, others)
    )
    tpr, _ = limits(hits, len(own), (1 - level) / 2)
    _, fpr = limits(alarms, len(others), (1 - level) / 2)
    return torch.log((tpr - delta).clamp(min=0) / fpr)


def one_run_bound(
    scores: Tensor,
    included: Tensor,
    delta: float = 0.0,
    shares: Sequence[float] = SHARES,
    level: float = LEVEL,
) -> float:
    """The least epsilon that explains how well a single run's canaries are told in or out.

    Steinke, Nasr and Jagielski 2023 (arXiv 2305.08846), algorithm 1: the highest scores are guessed
    in, as many of the lowest out, and of the others nothing is said. How many to guess at is not
    known in advance, so each of `shares` is tried, at a level that makes up for their number
    (Bonferroni).

    Args:
        scores: of the canaries, `(m,)`: the higher, the likelier in.
        included: whether each is in, by a fair coin of its own, bool `(m,)`.
        delta: of the promise.
        shares: of the canaries that are guessed at, each in (0, 1].
        level: the probability that epsilon is not below the bound.

    Returns:
        Epsilon, 0 where the guesses are no better than coins.

    Raises:
        UsageError: fewer than two canaries, or a delta that is not in [0, 1).
    """
    _check(delta)
    if len(scores) < 2:
        raise UsageError("a bound on epsilon needs two canaries or more")
    ordered = included[scores.argsort(descending=True, stable=True)]
    bounds = []
    for share in shares:
        each = max(int(share * len(scores)) // 2, 1)
        right = int(ordered[:each].sum() + (~ordered[-each:]).sum())
        bounds.append(
            bound_of_guesses(len(scores), 2 * each, right, delta, 1 - (1 - level) / len(shares))
        )
    return max(bounds)


def bound_of_guesses(
    canaries: int, guesses: int, right: int, delta: float = 0.0, level: float = LEVEL
) -> float:
    """The least epsilon under which so many right guesses are no surprise.

    Steinke, Nasr and Jagielski 2023, theorem 5.2: the epsilon up to which `surprise` is below
    1 - level.
    """
    low, high = 0.0, 1.0
    while surprise(canaries, guesses, right, high, delta) < 1 - level:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        if surprise(canaries, guesses, right, middle, delta) < 1 - level:
            low = middle
        else:
            high = middle
    return low


def surprise(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """What the probability of `right` right guesses or more is at most, under (epsilon, delta).

    Steinke, Nasr and Jagielski 2023, theorem 5.2. With W ~ Binomial(r, e^epsilon / (e^epsilon + 1))
    for r guesses at m canaries, of which v are right:
    P[W >= v] + 2 m delta max_i P[v > W >= v - i] / i.
    """
    from scipy.special import bdtr, bdtrc

    correct = 1 / (1 + math.exp(-epsilon))
    reached = float(bdtrc(right - 1, guesses, correct)) if right else 1.0
    missed = torch.arange(1, right + 1).numpy()  # i
    lower = bdtr((right - 1 - missed).clip(min=0), guesses, correct) * (missed < right)
    spread = ((1 - reached - lower) / missed).max(initial=0)
    return min(reached + 2 * canaries * delta * float(spread), 1.0)


def _check(delta: float) -> None:
    if not 0 <= delta < 1:
        raise UsageError(f"delta={delta}: it has to be in [0, 1)")
