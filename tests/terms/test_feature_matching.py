from collections.abc import Callable
from typing import Any

import torch
from torch.testing import assert_close

from touchstone.terms.feature_matching import FeatureMatching


def test_the_squared_distance_of_the_means(hands: Callable[..., Any]) -> None:
    real = {"features": torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)}
    fake = {"features": torch.tensor([[0.0, 0.0], [2.0, 0.0]], requires_grad=True)}
    critique, creation = hands(real, fake)
    term = FeatureMatching(1)
    # means (2, 3) and (1, 0): 1 + 9
    value = term.generator(creation)
    assert_close(value, torch.tensor(10.0))
    assert term.discriminator(critique) is None
    torch.autograd.backward(value)
    # d/d fake_ij = 2 (fake mean - real mean) / 2
    assert_close(fake["features"].grad, torch.tensor([[-1.0, -3.0], [-1.0, -3.0]]))
    assert real["features"].grad is None
    assert term.whole_batch
    assert term.compares
