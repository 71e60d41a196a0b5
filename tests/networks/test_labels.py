import pytest
import torch

from touchstone.networks.labels import joined


def test_a_label_is_one_number_a_class() -> None:
    latents = torch.tensor([[0.5], [0.25]])
    expected = torch.tensor([[0.5, 0.0, 0.0, 1.0], [0.25, 1.0, 0.0, 0.0]])
    assert joined(latents, torch.tensor([2, 0]), 3).equal(expected)


def test_without_classes_labels_are_ignored() -> None:
    latents = torch.randn(2, 3)
    assert joined(latents, torch.tensor([2, 0]), 0) is latents
    assert joined(latents, None, 0) is latents


def test_needs_labels() -> None:
    with pytest.raises(ValueError, match="3 classes: it needs labels"):
        joined(torch.randn(2, 3), None, 3)
