"""The residual blocks of SNGAN (Miyato et al. 2018, figure 8), which its descendants share.

Convolutions are 3x3, those of shortcuts 1x1. A shortcut is resampled where it has fewer places,
since a 1x1 convolution commutes with repeating a pixel and with averaging.
"""

from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from typing import NamedTuple, TypeVar

from torch import Tensor, nn

from touchstone.networks import normalization as norm
from touchstone.networks.conditional_norm import ConditionalBatchNorm2d


class Table(NamedTuple):
    """The blocks of both networks, each as its channels in multiples of the width."""

    start: int  # the generator's dense layer
    up: tuple[int, ...]  # its blocks, each of twice the side
    down: tuple[int, ...]  # the discriminator's blocks of half the side, from the sample inwards
    flat: tuple[int, ...]  # its blocks of the same side, after them


def table_for(resolution: int, tables: dict[int, Table], model: str) -> Table:
    """Picks the table that a model has for a resolution.

    Raises:
        ValueError: where it has none.
    """
    if resolution not in tables:
        raise ValueError(
            f"data.resolution={resolution} does not suit model={model}, which makes "
            f"{', '.join(map(str, tables))}."
        )
    return tables[resolution]


class Residual(nn.Module):
    """The sum of two branches of the same features."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, features: Tensor, *condition: Tensor) -> Tensor:
        """Maps features `(N, C, H, W)` to what both branches make of them.

        The condition, where there is one, is for the branch alone.
        """
        total: Tensor = self.branch(features, *condition) + self.shortcut(features)
        return total


class Conditional(nn.Sequential):
    """A sequence of layers that shows a condition, where there is one, to those that take it."""

    def forward(self, features: Tensor, *condition: Tensor) -> Tensor:
        """Maps features by one layer after the other."""
        for layer in self:
            takes = isinstance(layer, (Residual, ConditionalBatchNorm2d))
            features = layer(features, *condition) if takes else layer(features)
        return features


def generator_blocks(
    table: Table, width: int, normalization: Callable[[int], nn.Module]
) -> list[nn.Module]:
    """Makes the generator's blocks, towards the sample, each of twice the side.

    Args:
        table: of the model.
        width: channels of one in the table.
        normalization: makes the blocks' batch normalization, for a number of channels.
    """
    widths = [width * multiple for multiple in (table.start, *table.up)]
    return [_up(inputs, outputs, normalization) for inputs, outputs in pairwise(widths)]


def discriminator_blocks(
    table: Table, channels: int, width: int, normalization: str
) -> list[nn.Module]:
    """Makes the discriminator's blocks, from the sample inwards, and the ReLU after them.

    Args:
        table: of the model.
        channels: of a sample.
        width: channels of one in the table.
        normalization: by name.
    """
    halving = [width * multiple for multiple in table.down]
    keeping = [halving[-1], *(width * multiple for multiple in table.flat)]
    return [
        _first(channels, halving[0], normalization),
        *(_down(inputs, outputs, normalization) for inputs, outputs in pairwise(halving)),
        *(_flat(inputs, outputs, normalization) for inputs, outputs in pairwise(keeping)),
        nn.ReLU(),
    ]


Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def initialized(layer: Layer, gain: float = 1.0) -> Layer:
    """Draws weights after Glorot & Bengio 2010; the gain of sqrt(2) goes with ReLU."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _up(inputs: int, outputs: int, normalization: Callable[[int], nn.Module]) -> Residual:
    """The generator's block.

    Batch normalization follows on the way of either branch and would take a bias off again.
    """
    return Residual(
        branch=Conditional(
            normalization(inputs),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            _convolution(inputs, outputs, bias=False),
            normalization(outputs),
            nn.ReLU(),
            _convolution(outputs, outputs, bias=False),
        ),
        shortcut=nn.Sequential(_shortcut(inputs, outputs, bias=False), nn.Upsample(scale_factor=2)),
    )


def _first(inputs: int, outputs: int, normalization: str) -> Residual:
    """The discriminator's first block: as `_down`, but the sample itself is not rectified."""
    return Residual(
        branch=nn.Sequential(
            _convolution(inputs, outputs, bias=not norm.has_shift(normalization)),
            norm.of_activations(normalization, outputs),
            nn.ReLU(),
            _convolution(outputs, outputs),
            nn.AvgPool2d(2),
        ),
        shortcut=nn.Sequential(nn.AvgPool2d(2), _shortcut(inputs, outputs)),
    )


def _down(inputs: int, outputs: int, normalization: str) -> Residual:
    return Residual(
        branch=nn.Sequential(_convolutions(inputs, outputs, normalization), nn.AvgPool2d(2)),
        shortcut=nn.Sequential(nn.AvgPool2d(2), _shortcut(inputs, outputs)),
    )


def _flat(inputs: int, outputs: int, normalization: str) -> Residual:
    return Residual(
        branch=_convolutions(inputs, outputs, normalization),
        shortcut=nn.Identity() if inputs == outputs else _shortcut(inputs, outputs),
    )


def _convolutions(inputs: int, outputs: int, normalization: str) -> nn.Sequential:
    return nn.Sequential(
        norm.of_activations(normalization, inputs),
        nn.ReLU(),
        _convolution(inputs, outputs, bias=not norm.has_shift(normalization)),
        norm.of_activations(normalization, outputs),
        nn.ReLU(),
        _convolution(outputs, outputs),
    )


def _convolution(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    return initialized(nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), gain=sqrt(2))


def _shortcut(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    return initialized(nn.Conv2d(inputs, outputs, 1, bias=bias))
