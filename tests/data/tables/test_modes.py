import pytest
import torch

from touchstone.data.tables.modes import find


def test_two_heaps_are_modes_of_their_own_and_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(2_000, generator=generator, dtype=torch.float64)
    values = torch.where(torch.arange(2_000) < 500, 10 + draws, 1_000 + 20 * draws)
    modes = find(values, "a")

    near = [weight for mean, weight in zip(modes.means, modes.weights, strict=True) if mean < 500]
    assert sum(near) == pytest.approx(0.25, abs=0.01)
    assert all(abs(mean - 10) < 10 or abs(mean - 1_000) < 100 for mean in modes.means)
    assert sum(modes.weights) == pytest.approx(1)
    assert find(values, "a") == modes


def test_a_few_values_are_a_mode_each() -> None:
    modes = find(torch.tensor([3.0, 7.0, 3.0, 3.0]).double(), "a")
    assert list(modes.means) == [3, 7]
    assert list(modes.weights) == pytest.approx([0.75, 0.25])
    assert min(modes.deviations) > 0
    assert find(torch.tensor([3.0]).double(), "a").means[0] == 3
