from copy import deepcopy
from math import sqrt

import pytest
import torch
from torch import nn

from touchstone.networks.equalized import PixelNorm, equalized, equalized_throughout
from touchstone.networks.heads import Projection


@pytest.mark.parametrize("rate", [1.0, 0.01])
@pytest.mark.parametrize("gain", [1.0, sqrt(2)])
def test_outputs_have_the_gain_as_their_deviation_whatever_the_rate(
    gain: float, rate: float
) -> None:
    torch.manual_seed(0)
    layer = equalized(nn.Linear(400, 300), gain, rate)
    outputs = layer(torch.randn(500, 400))
    assert outputs.std().item() == pytest.approx(gain, rel=0.02)
    assert outputs.mean().item() == pytest.approx(0, abs=0.02)


def test_a_convolution_is_divided_by_the_root_of_its_window_and_inputs() -> None:
    layer = equalized(nn.Conv2d(2, 1, 3), gain=sqrt(2))
    original = layer.parametrizations.weight.original  # type: ignore[union-attr]
    nn.init.ones_(original)  # type: ignore[arg-type]
    # sqrt(2) / sqrt(2 * 3 * 3) = 1/3, 18 times
    torch.testing.assert_close(layer(torch.ones(1, 2, 3, 3)), torch.full((1, 1, 1, 1), 6.0))


def test_a_step_of_one_size_moves_weights_and_biases_by_the_rate() -> None:
    layer = equalized(nn.Linear(16, 1), rate=0.01)
    before = deepcopy(layer)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = (before.weight - layer.weight).detach()
    torch.testing.assert_close(moved, torch.full((1, 16), 0.01 / 4), rtol=1e-4, atol=0)
    moved = (before.bias - layer.bias).detach()
    torch.testing.assert_close(moved, torch.full((1,), 0.01), rtol=1e-6, atol=0)


def test_what_is_trained_and_stored_is_the_weight_before_it_is_scaled() -> None:
    torch.manual_seed(0)
    layer = equalized(nn.Linear(64, 64))
    state = layer.state_dict()
    assert list(state) == ["bias", "parametrizations.weight.original"]
    assert state["parametrizations.weight.original"].std().item() == pytest.approx(1, rel=0.05)
    other = equalized(nn.Linear(64, 64))
    other.load_state_dict(state)
    assert torch.equal(other.weight, layer.weight)


def test_a_head_s_layers_are_equalized_and_an_embedding_by_its_row() -> None:
    torch.manual_seed(0)
    head = equalized_throughout(Projection(100, classes=50))
    assert head.embedding.weight.std().item() == pytest.approx(1 / sqrt(100), rel=0.05)
    assert head.logit.weight.std().item() == pytest.approx(1 / sqrt(100), rel=0.2)
    verdict = head(torch.randn(4000, 100), torch.arange(4000) % 50)
    # Two terms of variance 1.
    assert verdict["logits"].std().item() == pytest.approx(sqrt(2), rel=0.1)


def test_pixels_are_normalized_each_by_itself() -> None:
    features = torch.tensor([[3.0, 0.0], [4.0, 0.0]]).reshape(1, 2, 1, 2)
    # (3, 4) has the mean square 12.5; (0, 0) stays.
    expected = torch.tensor([[3 / sqrt(12.5), 0.0], [4 / sqrt(12.5), 0.0]]).reshape(1, 2, 1, 2)
    torch.testing.assert_close(PixelNorm()(features), expected)
