from math import cos, pi

import pytest

from touchstone.schedules import Constant, Cosine, Linear, Schedule


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Constant(), [1, 1, 1, 1]),
        (Linear(), [1, 0.75, 0.5, 0]),
        # from 0.5 to 1 the line falls from 1 to 0.2
        (Linear(start=0.5, end=0.2), [1, 1, 1, 0.2]),
        (Linear(start=0.25, end=0.1), [1, 1, 0.7, 0.1]),
        (Cosine(), [1, (1 + cos(pi / 4)) / 2, 0.5, 0]),
        (Cosine(end=0.1), [1, 0.1 + 0.9 * (1 + cos(pi / 4)) / 2, 0.55, 0.1]),
    ],
)
def test_factors_worked_by_hand(schedule: Schedule, factors: list[float]) -> None:
    assert [schedule(progress) for progress in (0, 0.25, 0.5, 1)] == pytest.approx(
        factors, rel=0, abs=1e-12
    )


@pytest.mark.parametrize("schedule", [Constant(), Linear(0.3, 0.2), Cosine(0.2)])
def test_past_the_budget_the_last_factor_stays(schedule: Schedule) -> None:
    assert schedule(1.2) == schedule(1.0)


@pytest.mark.parametrize("schedule", [Linear(0.3, 0.2), Cosine(0.2)])
def test_factors_never_rise(schedule: Schedule) -> None:
    factors = [schedule(step / 100) for step in range(101)]
    assert factors == sorted(factors, reverse=True)


def test_settings_out_of_range_are_refused() -> None:
    for start in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"schedule\.start"):
            Linear(start=start)
    with pytest.raises(ValueError, match=r"schedule\.end"):
        Linear(end=-0.1)
    with pytest.raises(ValueError, match=r"schedule\.end"):
        Cosine(end=-0.1)
