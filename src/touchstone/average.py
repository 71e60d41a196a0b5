"""The moving average of a network's weights."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor, nn


class WeightAverage(nn.Module):
    """An exponential moving average of a network's weights, counted in images.

    After `half_life` images, half of the average is newer than they are. Early on the half-life
    is `ramp_up` of the images shown so far, so that the random weights at the start are soon
    forgotten (Karras et al. 2020, arXiv 2006.06676; Karras et al. 2022, arXiv 2206.00364).

    Floating buffers are averaged like the weights: batch norm's running mean and variance then
    belong to the same stretch of training as the averaged weights that make the activations, where
    a copy would belong to newer weights alone. Counters (integers) are copied.

    The average is always in evaluation mode and asks for no gradient.

    Args:
        network: what is averaged; copied here, and unchanged.
        half_life: in images, at least 0; 0 follows the network without averaging.
        ramp_up: largest half-life as a share of the images shown so far, more than 0.

    Attributes:
        network: the network that holds the averaged weights.

    Raises:
        ValueError: `half_life` or `ramp_up` is out of range.
    """

    def __init__(self, network: nn.Module, half_life: float, ramp_up: float = 0.05) -> None:
        super().__init__()
        if half_life < 0:
            raise ValueError(f"The average's half_life={half_life} has to be at least 0 images.")
        if ramp_up <= 0:
            raise ValueError(f"The average's ramp_up={ramp_up} has to be more than 0.")
        self.half_life = half_life
        self.ramp_up = ramp_up
        self.network = deepcopy(network).requires_grad_(False).eval()

    def decay(self, images: int, step: int) -> float:
        """Gives what the average keeps of itself in an iteration, in [0, 1).

        Args:
            images: real images shown before the iteration.
            step: real images that the iteration showed.
        """
        half_life = min(self.half_life, images * self.ramp_up)
        return 0.5 ** (step / half_life) if half_life > 0 else 0.0

    def update(self, network: nn.Module, images: int, step: int) -> None:
        """Takes in the network's weights and buffers, in place.

        Args:
            network: of the same structure as the one averaged.
            images: real images shown before the iteration; at 0 the network is taken as it is.
            step: real images that the iteration showed.
        """
        self.following(network)(images, step)

    def following(self, network: nn.Module) -> Callable[[int, int], None]:
        """Gives `update` for one network, whose tensors are listed once and have to stay there."""
        floating, towards, counters = [], [], []
        for average, current in zip(_tensors(self.network), _tensors(network), strict=True):
            if average.is_floating_point():
                floating.append(average)
                towards.append(current)
            else:
                counters.append((average, current))

        @torch.no_grad()
        def update(images: int, step: int) -> None:
            torch._foreach_lerp_(floating, towards, 1 - self.decay(images, step))
            for average, current in counters:
                average.copy_(current)

        return update

    def train(self, mode: bool = True) -> Self:
        """Leaves the average in evaluation mode, whatever its owner is set to."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the network with the averaged weights."""
        return self.network(*args, **kwargs)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    return chain(network.parameters(), network.buffers())
