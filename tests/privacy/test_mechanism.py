"""Clipping and noise."""

import pytest
import torch
from scipy import stats
from torch import Tensor

from touchstone.privacy.mechanism import Mechanism
from touchstone.privacy.secret import Secret

SECRET = Secret(bytes(range(32)))


def mechanism(clip: float = 1.0, noise: float = 0.0, expected: int = 1) -> Mechanism:
    return Mechanism(clip, noise, expected, SECRET)


def test_a_record_is_shortened_by_all_its_gradients_together() -> None:
    # Norms 5 and 0.5: the first is divided by 5, the second stays.
    weight, bias = torch.tensor([[[3.0]], [[0.3]]]), torch.tensor([4.0, 0.4])
    sums = mechanism(clip=1.0).clipped([weight, bias])
    torch.testing.assert_close(sums[0], torch.tensor([[0.6 + 0.3]]))
    torch.testing.assert_close(sums[1], torch.tensor(0.8 + 0.4))


def test_the_order_of_the_numbers_in_memory_does_not_matter() -> None:
    torch.manual_seed(0)
    plain = 3 * torch.randn(6, 2, 3, 4)
    lying = plain.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert lying.stride() != plain.stride()
    expected = torch.stack([one / max(1.0, float(one.norm()) / 2) for one in plain]).sum(0)
    for each in (plain, lying):
        torch.testing.assert_close(mechanism(clip=2.0).clipped([each])[0], expected)


def test_neighbours_differ_by_no_more_than_the_norm() -> None:
    """One record left out, whichever: the sums differ by C at most, and by C where it is long."""
    torch.manual_seed(0)
    sizes = torch.logspace(-3, 3, 40)
    gradients = [sizes[:, None, None] * torch.randn(40, 5, 3), sizes[:, None] * torch.randn(40, 5)]
    norms = torch.cat([each.flatten(1) for each in gradients], 1).norm(dim=1)
    whole = mechanism(0.7).clipped(gradients)
    for i in range(40):
        rest = mechanism(0.7).clipped([torch.cat([each[:i], each[i + 1 :]]) for each in gradients])
        moved = torch.cat([(a - b).flatten() for a, b in zip(whole, rest, strict=True)]).norm()
        torch.testing.assert_close(moved, norms[i].clamp(max=0.7), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_what_is_not_finite_counts_as_nothing(bad: float) -> None:
    good = torch.tensor([[0.1, 0.2], [0.3, 0.1]])
    worst = torch.cat([good, torch.tensor([[bad, 3e38]])])
    (found,) = mechanism().clipped([worst])
    torch.testing.assert_close(found, good.sum(0))


def test_the_noise_has_the_scale_that_is_accounted_for() -> None:
    """Of 400,000 numbers: the deviation to 0.45 %, four standard errors, and the shape."""
    zeros = [torch.zeros(300_000), torch.zeros(100, 1000)]
    released = mechanism(clip=2.0, noise=1.5, expected=8).released(zeros, update=3)
    numbers = torch.cat([each.flatten() for each in released]).double()
    deviation = 1.5 * 2.0 / 8
    assert abs(float(numbers.std()) / deviation - 1) < 4 / (2 * 400_000) ** 0.5
    assert abs(float(numbers.mean())) < 4 * deviation / 400_000**0.5
    assert stats.kstest((numbers / deviation).numpy(), "norm").pvalue > 1e-3
    assert abs(float(torch.corrcoef(torch.stack(numbers.chunk(2)))[0, 1])) < 4 / 200_000**0.5


def test_noise_is_of_its_update_alone() -> None:
    def released(update: int) -> Tensor:
        return mechanism(noise=1.0).released([torch.zeros(100_000)], update)[0]

    assert torch.equal(released(0), released(0))
    assert abs(float(torch.corrcoef(torch.stack([released(0), released(1)]))[0, 1])) < 0.0127


def test_the_sum_is_divided_by_the_expected_number_and_keeps_its_place() -> None:
    noise = mechanism(noise=1.0, expected=4).released([torch.zeros(3, 2)], 0)[0]
    found = mechanism(noise=1.0, expected=4).released([torch.full((3, 2), 8.0)], 0)[0]
    torch.testing.assert_close(found - noise, torch.full((3, 2), 2.0))
