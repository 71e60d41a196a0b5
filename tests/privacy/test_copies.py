"""The check for copies: rates by hand, beside the holdout's own."""

import pytest
import torch

from touchstone.errors import UsageError
from touchstone.privacy.copies import copies
from touchstone.privacy.intervals import rate


def test_rates_by_hand() -> None:
    members = torch.zeros(3, 2)
    holdout = torch.stack([torch.arange(1.0, 401), torch.zeros(400)], 1)
    holdout[0] = 0  # a person like a member
    synthetic = torch.tensor([[0.0, 0], [0, 0], [0.5, 0], [999, 0]])
    found = copies(synthetic, members, holdout)
    assert found.exact == rate(2, 4)
    assert found.exact_control == rate(1, 400)
    # The radius is the second smallest of 200 of the distances 0, 2, 3, ..., 400.
    assert 2 <= found.radius < 25
    assert found.near == rate(3, 4)
    assert found.near_control.value < 0.06


def test_others_are_as_near_as_the_control() -> None:
    draws = torch.Generator().manual_seed(0)
    members, holdout, synthetic = (torch.randn(n, 4, generator=draws) for n in (500, 2000, 2000))
    found = copies(synthetic, members, holdout)
    assert found.exact.value == found.exact_control.value == 0
    for near in (found.near, found.near_control):
        assert 0.002 < near.value < 0.02
    assert found.near.covers(found.near_control.value)


def test_near_copies_are_found_and_counted_apart_from_exact_ones() -> None:
    draws = torch.Generator().manual_seed(1)
    members, holdout = (torch.randn(n, 4, generator=draws) for n in (500, 1000))
    synthetic = torch.cat([members[:100], members[100:300] + 1e-4, holdout[:100] + 3])
    found = copies(synthetic, members, holdout)
    assert found.exact.value == 0.25
    assert found.near.value == pytest.approx(0.75, abs=0.02)


def test_what_has_no_copies_to_look_for_is_refused() -> None:
    rows = torch.zeros(300, 2)
    with pytest.raises(UsageError, match="there are none"):
        copies(rows[:0], rows, rows)
    with pytest.raises(UsageError, match=r"199 records; .* needs 200"):
        copies(rows, rows, rows[:199])
