"""The networks of detectors that bring their own: from a sample to a latent, and back."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from touchstone.errors import UsageError

_INNERMOST = 4  # pixels a side, at most
_WIDEST = 8  # times the width


class Encoder(nn.Module):
    """Maps samples `(N, C, H, W)` to vectors `(N, size)`.

    3x3 convolutions of stride 2 with batch normalization and LeakyReLU, as in DCGAN (Radford et al.
    2016): each side becomes half, rounded up, until both are 4 or less. A dense layer follows.

    Args:
        shape: of a sample.
        size: numbers in a vector.
        width: channels of the first layer; they double towards the last, up to 8 times as many.
    """

    def __init__(self, shape: tuple[int, ...], size: int, width: int = 32) -> None:
        super().__init__()
        sides, widths = _levels(shape, width)
        self.layers = nn.Sequential()
        for inputs, outputs in pairwise([shape[0], *widths]):
            self.layers.extend(
                [
                    nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.LeakyReLU(0.2),
                ]
            )
        self.layers.append(nn.Flatten())
        self.dense = nn.Linear(prod(sides[-1]) * widths[-1], size)

    def features(self, samples: Tensor) -> Tensor:
        """What the dense layer is given, `(N, F)`."""
        features: Tensor = self.layers(samples)
        return features

    def forward(self, samples: Tensor) -> Tensor:
        """Maps samples to vectors."""
        vectors: Tensor = self.dense(self.features(samples))
        return vectors


class Decoder(nn.Module):
    """Maps vectors `(N, size)` to samples `(N, C, H, W)` in [-1, 1]: the encoder backwards.

    Each level is enlarged by repeating pixels, then convolved, which leaves no checkerboard (Odena
    et al. 2016, Deconvolution and Checkerboard Artifacts).

    Args:
        shape: of a sample.
        size: numbers in a vector.
        width: channels of the last level, as the encoder's first.
    """

    def __init__(self, shape: tuple[int, ...], size: int, width: int = 32) -> None:
        super().__init__()
        sides, widths = _levels(shape, width)
        innermost, *outer = sides[::-1]
        self.layers = nn.Sequential(
            nn.Linear(size, widths[-1] * prod(innermost), bias=False),
            nn.Unflatten(1, (widths[-1], *innermost)),
        )
        for side, (inputs, outputs) in zip(outer, pairwise([*widths[::-1], shape[0]]), strict=True):
            self.layers.extend(
                [
                    nn.BatchNorm2d(inputs),
                    nn.ReLU(),
                    nn.Upsample(side),
                    nn.Conv2d(inputs, outputs, 3, padding=1),
                ]
            )
        self.layers.append(nn.Tanh())

    def forward(self, vectors: Tensor) -> Tensor:
        """Maps vectors to samples."""
        samples: Tensor = self.layers(vectors)
        return samples


def check_shape(shape: tuple[int, ...], detector: str) -> None:
    """Refuses samples that are no pictures.

    Raises:
        UsageError: names the detector.
    """
    if len(shape) != 3:
        raise UsageError(
            f"detector={detector}: it is for pictures (C, H, W), and the samples' shape is {shape}"
        )


def _levels(shape: tuple[int, ...], width: int) -> tuple[list[tuple[int, int]], list[int]]:
    """The sides of all levels, the sample's first, and the channels of all but the sample."""
    sides = [(shape[1], shape[2])]
    while len(sides) == 1 or max(sides[-1]) > _INNERMOST:
        sides.append((-(-sides[-1][0] // 2), -(-sides[-1][1] // 2)))
    return sides, [width * min(2**level, _WIDEST) for level in range(len(sides) - 1)]
