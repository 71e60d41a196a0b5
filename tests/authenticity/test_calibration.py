"""What a score means: by hand, exactly over all exchanges, and on items that are new."""

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from torch import Tensor

from touchstone.authenticity.calibration import Calibration, Verdict, probability, verdict
from touchstone.data import digits
from touchstone.draws import derive
from touchstone.errors import UsageError


def calibration(*scores: float) -> Calibration:
    return Calibration(torch.tensor(scores, dtype=torch.float32))


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_p_values_by_hand() -> None:
    held = calibration(3, 1, 2, 2)
    p = held.p_values(torch.tensor([0.0, 1, 1.5, 2, 2.5, 3, 4]))
    assert (5 * p).tolist() == [5, 5, 4, 4, 2, 2, 1]
    assert p.dtype == torch.float64
    assert held.p_values(torch.empty(0)).tolist() == []


def test_thresholds_by_hand() -> None:
    held = calibration(3, 1, 2, 2)
    # Of five items, the new one among them, one, two, three or four may be refused.
    above = torch.tensor([3.0, 2, 2, 1]).nextafter(torch.tensor(torch.inf)).tolist()
    assert [held.threshold(rate) for rate in (0.2, 0.4, 0.6, 0.8)] == above
    assert held.threshold(0.39) == held.threshold(0.2)
    assert held.threshold(0.99) == held.threshold(0.8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_refused_are_those_whose_p_value_is_no_more_than_the_rate(dtype: torch.dtype) -> None:
    held = Calibration((drawn(99, seed=1) * 30).round().to(dtype) / 7)  # many are tied
    near = torch.cat([held.scores, (drawn(500, seed=2) * 30).round().to(dtype) / 7])
    scores = torch.cat([near, near.nextafter(torch.full_like(near, torch.inf)), near - 1e-3])
    for percent in range(1, 100):
        refused = scores >= held.threshold(percent / 100)
        assert refused.equal(held.p_values(scores) <= percent / 100), percent


@pytest.mark.parametrize("values", [4, 20, 10**9])
def test_p_values_of_genuine_items_are_never_too_small(values: int) -> None:
    # Each of n + 1 items is as likely as the others to be the new one: over all of them, exactly.
    scores = (drawn(60, seed=values) * values).floor()
    p = torch.cat(
        [
            Calibration(torch.cat([scores[:new], scores[new + 1 :]])).p_values(scores[new, None])
            for new in range(60)
        ]
    )
    for number in range(1, 61):
        no_more = int((p <= number / 60 + 1e-12).sum())
        assert no_more == number if values == 10**9 else no_more <= number


def test_the_realised_rate_is_distributed_as_is_said() -> None:
    # Of uniform scores the false-alarm rate at a threshold is 1 less the threshold.
    n, rate = 199, 0.05
    held = [Calibration(scores) for scores in drawn(1000, n, seed=0)]
    realised = np.array([1 - one.threshold(rate) for one in held])
    assert stats.kstest(realised, stats.beta(10, 190).cdf).pvalue > 0.01
    assert realised.mean() == pytest.approx(rate, abs=3 * realised.std() / 1000**0.5)

    bound = held[0].guarantee(rate)
    assert bound == pytest.approx(stats.beta(10, 190).ppf(0.95), rel=1e-9)
    assert (realised <= bound).mean() == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 1000) ** 0.5)
    # The probability by which a binomial distribution has k or more: Vovk's form of the same.
    assert stats.binom(n, bound).cdf(9) == pytest.approx(0.05, rel=1e-9)
    assert rate < held[0].guarantee(rate, 0.5 + 0.1) < bound < held[0].guarantee(rate, 0.99)


def test_a_guarantee_by_hand() -> None:
    # One item held out: at a rate of a half the share beyond it is uniform.
    assert calibration(1).guarantee(0.5, 0.9) == pytest.approx(0.9)
    # Two: the share beyond the farther one is Beta(1, 2), whose distribution is 1 - (1 - x)^2.
    assert calibration(1, 2).guarantee(1 / 3, 0.75) == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_the_false_alarm_rate_is_kept_on_new_items(rate: float) -> None:
    pixels = torch.cat(
        [digits.load(split=split, resolution=8).pixels for split in ("train", "test")]
    )
    samples = pixels.flatten(1).double()
    fit, held, new, repetitions = 500, 999, 298, 20
    alarms = []
    for repetition in range(repetitions):
        generator = torch.Generator().manual_seed(derive(0, "repetition", repetition))
        order = samples[torch.randperm(len(samples), generator=generator)]
        learned, calibrated, seen = torch.split(order, [fit, held, new])
        distances = [(part - learned.mean(0)).norm(dim=1) for part in (calibrated, seen)]
        alarms.append(int((distances[1] >= Calibration(distances[0]).threshold(rate)).sum()))
    low, high = stats.binom(repetitions * new, rate).interval(0.95)
    assert low <= sum(alarms) <= high
    # Nor are they all in a few repetitions: each is within what its own held-out items allow.
    own = stats.betabinom(new, rate * (held + 1), (1 - rate) * (held + 1))
    assert max(alarms) <= own.ppf(1 - 0.001)


@pytest.mark.parametrize(
    ("rate", "number", "message"),
    [
        (0.01, 98, "false_alarms=0.01: it takes 99 genuine items .* and there are 98: .* 0.01 or"),
        (0.001, 500, "it takes 999 genuine items .* and there are 500: .* 0.002 or more"),
        (0.0, 500, "false_alarms=0.0: it has to lie between 0 and 1"),
        (1.0, 500, "false_alarms=1.0: it has to lie between 0 and 1"),
    ],
)
def test_a_rate_that_cannot_be_promised(rate: float, number: int, message: str) -> None:
    held = Calibration(torch.arange(float(number)))
    with pytest.raises(UsageError, match=message):
        held.threshold(rate)
    with pytest.raises(UsageError, match=message):
        held.guarantee(rate)
    if 0 < rate < 1:  # one item more, or as many more as are asked for, and it can
        Calibration(torch.arange(round(1 / rate) - 1.0)).threshold(rate)


@pytest.mark.parametrize("scores", [torch.empty(0), torch.tensor([1.0, torch.nan])])
def test_what_is_no_calibration(scores: Tensor) -> None:
    with pytest.raises(UsageError, match="genuine items held out are no calibration"):
        Calibration(scores)


def test_probabilities_are_those_of_the_paper() -> None:
    # Sellke, Bayarri, Berger 2001, table 1.
    p = torch.tensor([0.1, 0.05, 0.01, 0.005, 0.001], dtype=torch.float64)
    table = [0.385, 0.289, 0.111, 0.067, 0.0184]
    assert probability(p).tolist() == pytest.approx(table, abs=5e-4)
    above = probability(torch.tensor([np.exp(-1), 0.5, 1.0], dtype=torch.float64))
    assert above.tolist() == pytest.approx([0.5] * 3, abs=1e-12)
    assert (probability(torch.linspace(0.001, 1, 1000)).diff() >= 0).all()


@pytest.mark.parametrize("p", [0.3, 0.05, 0.002])
def test_no_counterfeits_of_the_family_leave_less(p: float) -> None:
    def left(x: float) -> float:
        """The posterior probability where counterfeits' p-values are distributed as Beta(x, 1)."""
        return float(1 / (1 + stats.beta(x, 1).pdf(p)))

    least = optimize.minimize_scalar(left, bounds=(1e-6, 1), method="bounded")
    found = float(probability(torch.tensor([p], dtype=torch.float64)))
    assert found == pytest.approx(least.fun, abs=1e-6)


def test_verdicts() -> None:
    scores = torch.tensor([1.0, 2, 3, 9, torch.nan])
    unlike = torch.tensor([True, False, False, True, False])
    assert verdict(scores, 2.0) == [
        Verdict.GENUINE,
        Verdict.COUNTERFEIT,
        Verdict.COUNTERFEIT,
        Verdict.COUNTERFEIT,
        Verdict.CANNOT_TELL,
    ]
    assert [str(one) for one in verdict(scores, 2.5, unlike)] == [
        "cannot tell",
        "genuine",
        "counterfeit",
        "cannot tell",
        "cannot tell",
    ]
    assert verdict(torch.empty(0), 1.0) == []
