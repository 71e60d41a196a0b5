"""What keeps signals in proportion without batch statistics (Karras et al. 2018, section 4).

Equalized learning rates are for every layer of either network, the normalization of pixels is for
the generator.
"""

from math import sqrt
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

Layer = TypeVar("Layer", bound=nn.Module)


def equalized(layer: Layer, gain: float = 1.0, rate: float = 1.0) -> Layer:
    """Scales a layer's weight where it is used, not where it is drawn (section 4.1).

    arXiv 1710.10196: the weight is drawn from N(0, 1) and divided by He's constant at each use, so
    that an optimizer whose steps do not depend on a gradient's size (Adam) moves all layers alike.
    What is trained is `parametrizations.weight.original`.

    Args:
        layer: one with a `weight`, of one row for each output; changed in place. A `bias` is 0.
        gain: deviation of the outputs for inputs of deviation 1; sqrt(2) goes with ReLU.
        rate: factor of the learning rate of both (Karras et al. 2019, arXiv 1812.04948, appendix
            C); the outputs at the start do not depend on it.

    Returns:
        The layer itself.
    """
    weight, bias = cast(Tensor, layer.weight), cast(Tensor | None, getattr(layer, "bias", None))
    nn.init.normal_(weight, std=1 / rate)
    register_parametrization(layer, "weight", _Scaled(gain * rate / sqrt(weight[0].numel())))
    if bias is not None:
        nn.init.zeros_(bias)
        if rate != 1:
            register_parametrization(layer, "bias", _Scaled(rate))
    return layer


def equalized_throughout(network: Layer) -> Layer:
    """Equalizes each dense layer and each embedding of a network, a head for instance."""
    for layer in list(network.modules()):
        if isinstance(layer, (nn.Linear, nn.Embedding)):
            equalized(layer)
    return network


class PixelNorm(nn.Module):
    """Scales the features of each place to a mean square of 1 (section 4.2)."""

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `(N, C, ...)` to `a / sqrt(1/C sum a² + 1e-8)`."""
        return features * torch.rsqrt(features.square().mean(dim=1, keepdim=True) + 1e-8)


class _Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, original: Tensor) -> Tensor:
        return original * self.factor
