"""The residual pair of SNGAN (Miyato et al. 2018, figure 8 and tables 4 to 6).

Convolutions are 3x3, those of shortcuts 1x1. A shortcut is resampled where it has fewer places,
since a 1x1 convolution commutes with repeating a pixel and with averaging.
"""

from itertools import pairwise
from math import sqrt
from typing import NamedTuple, TypeVar

from torch import Tensor, nn

from touchstone.networks import normalization as norm
from touchstone.networks.checkpointing import Checkpointed


class Table(NamedTuple):
    """The blocks of both networks, each as its channels in multiples of the width."""

    start: int  # the generator's dense layer
    up: tuple[int, ...]  # its blocks, each of twice the side
    down: tuple[int, ...]  # the discriminator's blocks of half the side, from the sample inwards
    flat: tuple[int, ...]  # its blocks of the same side, after them


TABLES = {
    28: Table(2, (2, 2), (1, 1), (1, 1)),  # table 4 from 7x7, with one block up less
    32: Table(2, (2, 2, 2), (1, 1), (1, 1)),  # table 4
    48: Table(8, (4, 2, 1), (1, 2, 4, 8), (16,)),  # table 5
    64: Table(16, (8, 4, 2, 1), (1, 2, 4, 8), (16,)),  # table 6, its widest up and down left out
    128: Table(16, (16, 8, 4, 2, 1), (1, 2, 4, 8, 16), (16,)),  # table 6
}


class Generator(nn.Module):
    """A dense layer, residual blocks that double the side, and a convolution to the sample.

    Args:
        latent_size: numbers in a latent; the paper's is 128.
        resolution: height and width of a sample: 28, 32, 48, 64 or 128.
        channels: of a sample.
        width: channels of the discriminator's first block, on which the tables' others depend; the
            paper's is 128 at 32x32 (256 in the generator) and 64 at 48x48 and 128x128.
        checkpointing: computes the blocks' activations again in the backward pass, not to keep
            them.

    Raises:
        ValueError: for another resolution.
    """

    def __init__(
        self,
        latent_size: int,
        resolution: int,
        channels: int,
        width: int = 64,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        table = _table(resolution)
        self.latent_size = latent_size
        self.side = resolution // 2 ** len(table.up)
        widths = [width * multiple for multiple in (table.start, *table.up)]
        self.start = _initialized(nn.Linear(latent_size, self.side * self.side * widths[0]))
        self.layers = (Checkpointed if checkpointing else nn.Sequential)(
            *(_up(inputs, outputs) for inputs, outputs in pairwise(widths)),
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(),
            _initialized(nn.Conv2d(widths[-1], channels, 3, padding=1)),
            nn.Tanh(),
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` to samples `(N, C, H, W)` in [-1, 1]; ignores labels."""
        features: Tensor = self.start(latents).unflatten(1, (self.side, self.side, -1))
        samples: Tensor = self.layers(features.movedim(-1, 1))
        return samples


class Discriminator(nn.Module):
    """Residual blocks, the sum over all places, and a dense layer to one logit.

    Args:
        resolution: height and width of a sample: 28, 32, 48, 64 or 128.
        channels: of a sample.
        width: channels of the first block, on which the tables' others depend; the paper's is 128
            at 32x32 and 64 at 48x48 and 128x128.
        normalization: by name. The paper has `spectral`; another stands where figure 8 has batch
            normalization, but not before the first convolution.
        checkpointing: as the generator's.

    Raises:
        ValueError: for another resolution, or for an unknown normalization.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        width: int = 64,
        normalization: str = "spectral",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        table = _table(resolution)
        down = [width * multiple for multiple in table.down]
        flat = [down[-1], *(width * multiple for multiple in table.flat)]
        self.layers = (Checkpointed if checkpointing else nn.Sequential)(
            _first(channels, width, normalization),
            *(_down(inputs, outputs, normalization) for inputs, outputs in pairwise(down)),
            *(_flat(inputs, outputs, normalization) for inputs, outputs in pairwise(flat)),
            nn.ReLU(),
        )
        self.logit = _initialized(nn.Linear(flat[-1], 1))
        norm.of_weights(normalization, self)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)` to raw logits `(N,)`; ignores labels."""
        features: Tensor = self.layers(samples)
        logits: Tensor = self.logit(features.sum(dim=(2, 3)))
        return logits.squeeze(1)


class Residual(nn.Module):
    """The sum of two branches of the same features."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `(N, C, H, W)` to what both branches make of them."""
        total: Tensor = self.branch(features) + self.shortcut(features)
        return total


def _up(inputs: int, outputs: int) -> Residual:
    """The generator's block.

    Batch normalization follows on the way of either branch and would take a bias off again.
    """
    return Residual(
        branch=nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            _convolution(inputs, outputs, bias=False),
            nn.BatchNorm2d(outputs),
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
    return _initialized(nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), gain=sqrt(2))


def _shortcut(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    return _initialized(nn.Conv2d(inputs, outputs, 1, bias=bias))


Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def _initialized(layer: Layer, gain: float = 1.0) -> Layer:
    """Draws weights after Glorot & Bengio 2010; the gain of sqrt(2) goes with ReLU."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _table(resolution: int) -> Table:
    if resolution not in TABLES:
        raise ValueError(
            f"data.resolution={resolution} does not suit model=resnet, which makes "
            f"{', '.join(map(str, TABLES))}."
        )
    return TABLES[resolution]
