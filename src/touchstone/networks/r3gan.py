"""R3GAN: residual blocks and nothing else (Huang et al. 2024, arXiv 2501.05441, section 4).

Configuration E: blocks of an inverted bottleneck with a grouped 3x3 convolution, LeakyReLU of slope
0.2 and no normalization, two at each side from 4x4 to the sample's; from one side to the next,
bilinear resampling and a 1x1 convolution; biases before activations alone. At 256x256 both networks
have the paper's number of parameters, 23.06 and 23.01 million.

The paper does not say where a pixel lies when sides change: here at its middle, so that half the
side is the mean of four pixels. It trains at 32, 64 and 256; here 128 follows from its neighbours,
and 28 is 32 without a margin of 2, which the discriminator sees as zeros.
"""

from itertools import pairwise
from math import sqrt
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from touchstone.networks.heads import Head, Logit, Verdict

# By what the width is divided at 4x4, 8x8, 16x16 and so on.
DIVISORS = {
    28: (1, 1, 1, 1),
    32: (1, 1, 1, 1),
    64: (1, 1, 1, 1, 2),
    128: (1, 1, 1, 1, 2, 4),
    256: (1, 1, 1, 1, 2, 4, 8),
}
_BLOCKS = 2  # at each side
_EXPANSION = 2  # of a block's channels in its bottleneck
_GROUP = 16  # channels in a group of the bottleneck's convolution
_SLOPE = 0.2


class Generator(nn.Module):
    """A learned 4x4 basis that the latent weighs, residual blocks, and a convolution to the sample.

    Nothing bounds the samples in training; in eval mode they are cut off at -1 and 1.

    Args:
        latent_size: numbers in a latent; the paper's is 64.
        resolution: height and width of a sample: 28, 32, 64, 128 or 256.
        channels: of a sample.
        width: channels at 4x4; the paper's is 768, and 1536 for ImageNet. 8 times the resolution's
            largest divisor has to divide it.
        classes: how many labels there are; an embedding of the latent's size joins it. 0:
            unconditional.

    Raises:
        ValueError: for another resolution or width.
    """

    def __init__(
        self,
        latent_size: int,
        resolution: int,
        channels: int,
        width: int = 768,
        classes: int = 0,
    ) -> None:
        super().__init__()
        widths = _widths(resolution, width)
        self.latent_size = latent_size
        self.classes = classes
        self.margin = _margin(resolution)
        if classes:
            self.embedding = nn.Embedding(classes, latent_size)
        self.start = _initialized(
            nn.Linear(2 * latent_size if classes else latent_size, width, bias=False)
        )
        self.basis = nn.Parameter(torch.randn(4, 4, width))
        self.layers = nn.Sequential(*_blocks(width, len(widths)))
        for inputs, outputs in pairwise(widths):
            self.layers.extend([_up(inputs, outputs), *_blocks(outputs, len(widths))])
        self.layers.append(_pointwise(widths[-1], channels))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` to samples `(N, C, H, W)`, in eval mode in [-1, 1].

        Raises:
            ValueError: a conditional generator is given no labels.
        """
        if self.classes:
            if labels is None:
                raise ValueError(f"model=r3gan was built for {self.classes} classes: pass labels.")
            latents = torch.cat([latents, self.embedding(labels)], dim=1)
        features = self.start(latents)[:, None, None] * self.basis
        samples: Tensor = functional.pad(self.layers(features.movedim(-1, 1)), (-self.margin,) * 4)
        return samples if self.training else samples.clamp(-1, 1)


class Discriminator(nn.Module):
    """The generator's mirror image: down to 4x4, each channel weighed over its places; the head.

    The authors' dense layer to the logit has no bias; the head's has one.

    Args:
        resolution: height and width of a sample: 28, 32, 64, 128 or 256.
        channels: of a sample.
        width: channels at 4x4, as the generator's.
        normalization: `none`.
        head: makes the verdict.

    Raises:
        ValueError: for another resolution, width or normalization.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        width: int = 768,
        normalization: str = "none",
        head: Head = Logit,
    ) -> None:
        super().__init__()
        # Not even spectral normalization, which cannot divide the zeros of a block's last weight.
        if normalization != "none":
            raise ValueError(
                f"model.normalization={normalization} does not suit model=r3gan, which goes "
                "without: it is none."
            )
        widths = _widths(resolution, width)[::-1]
        self.margin = _margin(resolution)
        self.layers = nn.Sequential(
            _pointwise(channels, widths[0]), *_blocks(widths[0], len(widths))
        )
        for inputs, outputs in pairwise(widths):
            self.layers.extend([_down(inputs, outputs), *_blocks(outputs, len(widths))])
        self.layers.extend(
            [_initialized(nn.Conv2d(width, width, 4, groups=width, bias=False)), nn.Flatten()]
        )
        self.head = head(width)

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `features` `(N, width)` of samples, and the head's verdict."""
        features: Tensor = self.layers(functional.pad(samples, (self.margin,) * 4))
        return {"features": features, **self.head(features, labels)}

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)` to raw logits `(N,)`."""
        return self.examine(samples, labels)["logits"]


class Block(nn.Module):
    """An inverted bottleneck beside the identity, with which it starts.

    Without normalization the features' variance must not grow with depth (Fix-up: Zhang et al.
    2019, arXiv 1901.09321): of a branch's m = 3 layers the last is 0 at first, and the others are
    scaled by L^(-1/(2m - 2)), L being the network's branches.

    Args:
        channels: of the features; 8 divides it.
        branches: L.
    """

    def __init__(self, channels: int, branches: int) -> None:
        super().__init__()
        hidden = _EXPANSION * channels
        gain = sqrt(2 / (1 + _SLOPE**2)) * branches ** (-1 / 4)
        grouped = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden // _GROUP)
        self.branch = nn.Sequential(
            _initialized(nn.Conv2d(channels, hidden, 1), gain),
            nn.LeakyReLU(_SLOPE, inplace=True),
            _initialized(grouped, gain),
            nn.LeakyReLU(_SLOPE, inplace=True),
            _initialized(nn.Conv2d(hidden, channels, 1, bias=False), gain=0.0),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `(N, C, H, W)` to features of the same shape."""
        total: Tensor = features + self.branch(features)
        return total


def _blocks(channels: int, sides: int) -> list[Block]:
    return [Block(channels, branches=_BLOCKS * sides) for _ in range(_BLOCKS)]


def _up(inputs: int, outputs: int) -> nn.Sequential:
    # The convolution first, on a quarter of the places: it commutes with the resampling.
    return nn.Sequential(
        nn.Identity() if inputs == outputs else _pointwise(inputs, outputs),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    )


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Identity() if inputs == outputs else _pointwise(inputs, outputs),
    )


def _pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    return _initialized(nn.Conv2d(inputs, outputs, 1, bias=False))


Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def _initialized(layer: Layer, gain: float = 1.0) -> Layer:
    """Draws weights from N(0, gain^2 / inputs of a unit) (He et al. 2015); biases are 0."""
    nn.init.normal_(layer.weight, 0.0, gain / sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _widths(resolution: int, width: int) -> list[int]:
    """The channels at 4x4, 8x8 and so on."""
    if resolution not in DIVISORS:
        raise ValueError(
            f"data.resolution={resolution} does not suit model=r3gan, which makes "
            f"{', '.join(map(str, DIVISORS))}."
        )
    divisors = DIVISORS[resolution]
    unit = divisors[-1] * _GROUP // _EXPANSION
    if width < 1 or width % unit:
        raise ValueError(
            f"model.width={width} does not suit model=r3gan at data.resolution={resolution}: its "
            f"groups of {_GROUP} channels need a multiple of {unit}."
        )
    return [width // divisor for divisor in divisors]


def _margin(resolution: int) -> int:
    return 2 if resolution == 28 else 0
