"""Epsilon, against Opacus's own."""

import pytest
from opacus.accountants import PRVAccountant, RDPAccountant

from touchstone.errors import UsageError
from touchstone.privacy.accountant import TOLERANCE, Account, calibrated


@pytest.mark.parametrize(
    ("noise", "rate", "updates"), [(1.0, 0.01, 500), (0.8, 0.05, 100), (3.0, 0.1, 1000)]
)
def test_epsilon_is_opacuss(noise: float, rate: float, updates: int) -> None:
    opacus, moments = PRVAccountant(), RDPAccountant()
    for _ in range(updates):
        opacus.step(noise_multiplier=noise, sample_rate=rate)
        moments.step(noise_multiplier=noise, sample_rate=rate)
    found = Account(noise, rate, 1e-5).epsilon(updates)
    assert found == pytest.approx(opacus.get_epsilon(1e-5), rel=1e-12)
    assert 0.5 * moments.get_epsilon(1e-5) < found < moments.get_epsilon(1e-5)


def test_nothing_is_spent_at_the_start() -> None:
    assert Account(1.0, 0.01, 1e-5).epsilon(0) == 0


@pytest.mark.parametrize(("epsilon", "rate"), [(1.0, 0.02), (8.0, 0.05), (0.1, 0.001)])
def test_the_noise_has_the_budget_spent_at_the_end(epsilon: float, rate: float) -> None:
    noise = calibrated(epsilon, 1e-5, rate, 300)
    assert epsilon - TOLERANCE <= Account(noise, rate, 1e-5).epsilon(300) <= epsilon


def test_less_than_any_noise_can_promise() -> None:
    with pytest.raises(UsageError, match=r"privacy\.epsilon=0\.005: .* any noise"):
        calibrated(0.005, 1e-5, 0.01, 10)


def test_the_last_update_within_the_budget() -> None:
    account = Account(1.0, 0.05, 1e-5)
    last = account.affordable(2.0, most=1000)
    assert account.epsilon(last) <= 2.0 < account.epsilon(last + 1)
    assert account.affordable(2.0, most=last - 3) == last - 3
    assert account.affordable(0.01, most=10) == 0
