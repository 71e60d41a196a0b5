from collections.abc import Callable
from math import log
from typing import Any

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from touchstone.terms.mutual_information import MutualInformation


class Coded(nn.Module):
    """Its codes are a latent's first number, as a category, and the others as they are."""

    def codes(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        return latents[:, 0].long(), latents[:, 1:]


def test_by_hand(hands: Callable[..., Any]) -> None:
    latents = torch.tensor([[0.0, 0.5, -1.0], [1.0, 0.0, 0.0]])
    fake = {
        "categories": torch.tensor([[0.0, log(3.0)], [0.0, log(3.0)]]),
        "continuous": torch.tensor([[1.5, -1.0], [0.0, 2.0]]),
    }
    critique, creation = hands({}, fake, latents=latents, networks=(Coded(), nn.Identity()))
    categories = -(log(1 / 4) + log(3 / 4)) / 2
    # A Gaussian of variance 1 for each code: half the squares, summed over codes: (1 + 4) / 2 / 2
    continuous = ((1.0**2 + 0) / 2 + (0 + 2.0**2) / 2) / 2
    term = MutualInformation(1, continuous=0.1)
    expected = torch.tensor(categories + 0.1 * continuous)
    assert_close(term.discriminator(critique), expected)
    assert_close(term.generator(creation), expected)


def test_categories_alone(hands: Callable[..., Any]) -> None:
    fake = {"categories": torch.zeros(2, 4), "continuous": torch.zeros(2, 0)}
    latents = torch.tensor([[3.0], [1.0]])
    critique, _ = hands({}, fake, latents=latents, networks=(Coded(), nn.Identity()))
    assert_close(MutualInformation(1).discriminator(critique), torch.tensor(log(4.0)))
