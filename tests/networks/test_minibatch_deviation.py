import pytest
import torch

from touchstone.networks.minibatch_deviation import MinibatchDeviation


def test_worked_out_by_hand() -> None:
    # One feature is 0, 0, 2, 2 over the four samples of a group, of deviation 1; the other three,
    # and all four of the second group, are the same: sqrt(1e-8) = 1e-4.
    features = torch.zeros(8, 2, 1, 2)
    features[2:4, 0, 0, 0] = 2
    features[4:] = 7
    mapped = MinibatchDeviation()(features)
    assert mapped.shape == (8, 3, 1, 2)
    assert torch.equal(mapped[:, :2], features)
    first, second = (1 + 3e-4) / 4, 1e-4
    expected = torch.tensor([first] * 4 + [second] * 4)[:, None, None].expand(8, 1, 2)
    torch.testing.assert_close(mapped[:, 2], expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_of_a_multiple_of_four_is_the_same(parts: int) -> None:
    torch.manual_seed(0)
    features, layer = torch.randn(16, 3, 4, 4), MinibatchDeviation()
    split = torch.cat([layer(part) for part in features.chunk(parts)])
    torch.testing.assert_close(layer(features), split)


@pytest.mark.parametrize("number", [1, 3, 4, 5, 6, 11])
def test_the_last_group_holds_what_is_left(number: int) -> None:
    torch.manual_seed(0)
    features, layer = torch.randn(number, 3, 4, 4), MinibatchDeviation()
    groups = torch.cat([layer(group) for group in torch.split(features, 4)])
    torch.testing.assert_close(layer(features), groups)


def test_gradients_stay_finite_where_samples_are_alike() -> None:
    features = torch.ones(4, 2, 3, 3, requires_grad=True)
    MinibatchDeviation()(features).square().sum().backward()
    torch.testing.assert_close(features.grad, torch.full((4, 2, 3, 3), 2.0))
    assert MinibatchDeviation.mixes_samples


def test_keeps_the_type_and_the_memory_format() -> None:
    features = torch.randn(4, 8, 4, 4, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    mapped = MinibatchDeviation()(features)
    assert mapped.dtype == torch.bfloat16
    assert mapped.is_contiguous(memory_format=torch.channels_last)
