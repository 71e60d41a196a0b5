import pytest
import torch
from torch import nn

from touchstone.networks.conditional_norm import (
    ConditionalBatchNorm2d,
    by_class,
    by_vector,
    required,
)


def set_maps(
    layer: ConditionalBatchNorm2d, scale: list[list[float]], shift: list[list[float]]
) -> None:
    layer.load_state_dict(
        {"scale.weight": torch.tensor(scale), "shift.weight": torch.tensor(shift)}, strict=False
    )


def test_each_class_has_its_scale_and_shift() -> None:
    # The channel's values are 1 and 3 in two samples: of mean 2 and variance 1, -1 and 1. The first
    # is of class 2, scaled by 1 + 4 and shifted by 7, the second of class 0: 1 + 0.5, -3.
    layer = by_class(3)(1)
    set_maps(layer, [[0.5], [9.0], [4.0]], [[-3.0], [9.0], [7.0]])
    features = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    normalized = layer(features, torch.tensor([2, 0])).flatten()
    torch.testing.assert_close(normalized, torch.tensor([2.0, -1.5]), rtol=2e-5, atol=0)


def test_vectors_are_mapped_linearly() -> None:
    layer = by_vector(2)(1)
    set_maps(layer, [[1.0, 10.0]], [[2.0, -1.0]])
    vectors = torch.tensor([[3.0, 0.5], [1.0, -1.0]])
    features = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    # -1 * (1 + 3 + 5) + 6 - 0.5 = -3.5; 1 * (1 + 1 - 10) + 2 + 1 = -5
    normalized = layer(features, vectors).flatten()
    torch.testing.assert_close(normalized, torch.tensor([-3.5, -5.0]), rtol=2e-5, atol=0)


def test_by_class_it_starts_as_batch_normalization() -> None:
    torch.manual_seed(0)
    layer, plain = by_class(5)(6), nn.BatchNorm2d(6)
    features, labels = 3 + 2 * torch.randn(4, 6, 3, 3), torch.arange(4)
    torch.testing.assert_close(layer(features, labels), plain(features))
    torch.testing.assert_close(layer.eval()(features, labels), plain.eval()(features))
    # Two tables of a row for each class, and nothing else to learn.
    assert [parameter.shape for parameter in layer.parameters()] == [(5, 6), (5, 6)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_and_memory_format_are_the_features(dtype: torch.dtype) -> None:
    features = torch.randn(4, 6, 3, 3).to(dtype, memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        normalized = by_class(4)(6)(features, torch.arange(4))
    assert normalized.dtype == dtype
    assert normalized.is_contiguous(memory_format=torch.channels_last)


def test_labels_are_required() -> None:
    labels = torch.arange(3)
    assert required(labels) is labels
    with pytest.raises(ValueError, match="needs labels"):
        required(None)
