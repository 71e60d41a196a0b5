"""Batch normalization that a condition scales and shifts (de Vries et al. 2017, arXiv 1707.00683).

The condition, a label or a vector, moves the scale from 1 and the shift from 0.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class ConditionalBatchNorm2d(nn.Module):
    """Normalizes each channel over the batch, then scales and shifts it by sample.

    `(1 + scale(condition)) * normalized + shift(condition)`.

    Args:
        channels: of the features.
        linear: makes, for a number of channels, the layer that maps conditions to `(N, channels)`.
    """

    def __init__(self, channels: int, linear: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = linear(channels)
        self.shift = linear(channels)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Maps features `(N, channels, H, W)`, by conditions `(N, ...)`, to the same shape."""
        normalized: Tensor = self.norm(features)
        # Rounded to the features' precision: a product of two would be as wide as the wider.
        scale = (1 + self.scale(condition)).to(normalized)[..., None, None]
        shift = self.shift(condition).to(normalized)[..., None, None]
        return torch.addcmul(shift, scale, normalized)


def by_class(classes: int) -> Callable[[int], ConditionalBatchNorm2d]:
    """Gives the normalization by labels `(N,)` of so many classes, to be made for some channels.

    A scale and a shift for each class (Miyato & Koyama 2018, arXiv 1802.05637, section 5), at first
    1 and 0.
    """

    def table(channels: int) -> nn.Embedding:
        embedding = nn.Embedding(classes, channels)
        nn.init.zeros_(embedding.weight)
        return embedding

    return lambda channels: ConditionalBatchNorm2d(channels, table)


def by_vector(size: int) -> Callable[[int], ConditionalBatchNorm2d]:
    """Gives the normalization by vectors `(N, size)`, to be made for some channels.

    Linear maps, without a bias, to scale and shift (Brock et al. 2019, arXiv 1809.11096, appendix
    B).
    """
    return lambda channels: ConditionalBatchNorm2d(
        channels, lambda channels: nn.Linear(size, channels, bias=False)
    )


def required(labels: Tensor | None) -> Tensor:
    """Gives the labels that a conditional generator was called with.

    Raises:
        ValueError: where there are none.
    """
    if labels is None:
        raise ValueError("the generator makes samples of given classes: it needs labels")
    return labels
