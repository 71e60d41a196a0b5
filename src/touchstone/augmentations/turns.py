"""Turns and mirrorings of a square, for samples that have no up and down."""

import torch
from torch import Tensor

from touchstone.draws import Randomness


class Turns:
    """Shows each sample in one of the eight ways that a square falls on itself.

    Transposed, mirrored left to right and mirrored top to bottom, each with probability one half.
    """

    def __call__(self, samples: Tensor, draws: Randomness, progress: Tensor) -> Tensor:
        """Turns samples `(N, ..., S, S)`, each by itself."""
        coins = draws.uniform(len(samples), 3).to(samples.device) < 0.5
        for coin, turn in zip(coins.T, (transposed, flipped_across, flipped_down), strict=True):
            samples = torch.where(coin.view(-1, *[1] * (samples.ndim - 1)), turn(samples), samples)
        return samples


def transposed(samples: Tensor) -> Tensor:
    """Mirrors samples at their diagonal."""
    return samples.mT


def flipped_across(samples: Tensor) -> Tensor:
    """Mirrors samples left to right."""
    return samples.flip(-1)


def flipped_down(samples: Tensor) -> Tensor:
    """Mirrors samples top to bottom."""
    return samples.flip(-2)
