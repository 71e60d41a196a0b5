import copy
from math import log

import torch
from torch import Tensor, nn

from touchstone.networks.attention import SelfAttention


def attention(channels: int) -> SelfAttention:
    """A layer whose gamma is no longer 0, in double precision."""
    torch.manual_seed(0)
    layer = SelfAttention(channels).double()
    nn.init.constant_(layer.gamma, 0.7)
    return layer


def test_parameters() -> None:
    # f and g 2 * 192*24, h 192*96, v 96*192, gamma: 9,216 + 18,432 + 18,432 + 1
    assert sum(parameter.numel() for parameter in SelfAttention(192).parameters()) == 46_081


def test_it_starts_as_the_identity() -> None:
    features = torch.randn(2, 8, 4, 4)
    assert torch.equal(SelfAttention(8)(features), features)


def test_places_worked_out_by_hand() -> None:
    # One channel for f, g and h each, which take the first of two; v gives it to the second. 2x4
    # places of which two answer: the largest of the left half, ln 2, and that of the right, ln 4.
    layer = SelfAttention(2)
    first = torch.tensor([[1.0], [0.0]]).view(1, 2, 1, 1)
    with torch.no_grad():
        for convolution in (layer.query, layer.key, layer.value):
            convolution.weight.copy_(first)
        layer.output.weight.copy_(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1))
        layer.gamma.fill_(3.0)
    two, four = log(2), log(4)
    features = torch.zeros(1, 2, 2, 4)
    features[0, 0] = torch.tensor([[1.0, -5.0, 0.0, -1.0], [-5.0, -5.0, 0.0, 0.0]])
    features[0, 0, 0, 0], features[0, 0, 1, 3] = two, four
    asked = layer(features)
    assert torch.equal(asked[:, 0], features[:, 0])
    # A place of 0 asks both alike. One of ln 2 weighs 2^(ln 2) against 2^(ln 4) = 2^(2 ln 2).
    share = 2**two / (2**two + 2**four)
    even = 3 * (two + four) / 2
    torch.testing.assert_close(asked[0, 1, 0, 2].item(), even)
    torch.testing.assert_close(
        asked[0, 1, 0, 0].item(), 3 * (share * two + (1 - share) * four), rtol=1e-5, atol=0
    )


def test_it_equals_equations_1_to_3_place_by_place() -> None:
    layer = attention(16)
    features = torch.randn(1, 16, 4, 4).double()

    def pooled(maps: Tensor) -> Tensor:
        return maps[0].reshape(-1, 2, 2, 2, 2).amax((2, 4)).flatten(1)

    keys, values = pooled(layer.key(features)), pooled(layer.value(features))
    expected = features.clone()
    for row in range(4):
        for column in range(4):
            place = features[0, :, row, column]
            weights = torch.exp(keys.T @ (layer.query.weight[:, :, 0, 0] @ place))
            answer = values @ (weights / weights.sum())
            expected[0, :, row, column] += 0.7 * (layer.output.weight[:, :, 0, 0] @ answer)
    torch.testing.assert_close(layer(features), expected)


def test_it_can_be_differentiated_twice() -> None:
    layer = attention(8)
    features = torch.randn(2, 8, 4, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (features,), fast_mode=True)
    assert torch.autograd.gradgradcheck(layer, (features,), fast_mode=True)


def test_the_memory_format_changes_nothing_and_stays() -> None:
    layer = attention(8)
    twin = copy.deepcopy(layer).to(memory_format=torch.channels_last)
    features = torch.randn(2, 8, 6, 6).double()
    attended = twin(features.to(memory_format=torch.channels_last))
    torch.testing.assert_close(attended, layer(features))
    assert attended.is_contiguous(memory_format=torch.channels_last)
