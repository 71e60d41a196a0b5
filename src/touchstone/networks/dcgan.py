"""DCGAN: 4x4 convolutions of stride 2 all the way (Radford et al. 2016, section 3 and figure 1).

Figure 1 draws 5x5 windows; 4x4, which the stride divides, is what the authors' Torch code has.

Between 4x4 and the samples lie k levels, each of twice the side and half the channels, so that a
resolution is 4 * 2^k. 28 is made as 32 with a margin of 2 that is never seen: the generator's last
convolution leaves the margin out, the discriminator's first sees it as zeros, in both by 2 more of
padding. 56, 112 and so on are made likewise as 64, 128 and so on, with the margin in proportion.
"""

from itertools import pairwise

from torch import Tensor, nn

from touchstone.networks import normalization as norm
from touchstone.networks.heads import Head, Logit, Verdict
from touchstone.networks.labels import joined

# resolution -> (levels, margin)
_GRIDS = {
    side - 2 * margin: (levels, margin)
    for levels, side in ((levels, 4 * 2**levels) for levels in range(1, 9))
    for margin in (0, side // 16)
}


class Generator(nn.Module):
    """Transposed convolutions with batch normalization and ReLU, from 4x4 to the sample.

    Figure 1 is `Generator(100, 64, 3, width=128)`: 4x4x1024, 8x8x512, 16x16x256, 32x32x128 and
    64x64x3.

    Args:
        latent_size: numbers in a latent; the paper's is 100.
        resolution: height and width of a sample: 8, 16, 32, ..., 1024, or 14, 28, 56, ..., 896.
        channels: of a sample.
        width: channels of the outermost level; they double towards 4x4.
        classes: of a conditional generator, whose first layer is given the label, too.

    Raises:
        ValueError: for another resolution.
    """

    def __init__(
        self, latent_size: int, resolution: int, channels: int, width: int = 64, classes: int = 0
    ) -> None:
        super().__init__()
        levels, margin = _grid(resolution)
        widths = [width * 2**level for level in reversed(range(levels))]
        self.latent_size = latent_size
        self.classes = classes
        # The paper's projection: what a 4x4 transposed convolution does on 1x1, and faster.
        self.start = nn.Linear(latent_size + classes, 4 * 4 * widths[0], bias=False)
        self.layers = nn.Sequential(nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
        for inputs, outputs in pairwise(widths):
            self.layers.extend(
                [
                    nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(inplace=True),
                ]
            )
        self.layers.extend(
            [nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1 + margin), nn.Tanh()]
        )
        self.apply(_initialize)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` and labels to samples `(N, C, H, W)` in [-1, 1]."""
        features: Tensor = self.start(joined(latents, labels, self.classes)).unflatten(
            1, (4, 4, -1)
        )
        samples: Tensor = self.layers(features.movedim(-1, 1))
        return samples


class Discriminator(nn.Module):
    """Convolutions with normalization and LeakyReLU of slope 0.2, from the sample to one logit.

    Args:
        resolution: height and width of a sample, as the generator's.
        channels: of a sample.
        width: channels of the outermost level; they double towards 4x4.
        normalization: by name; not on the first and the last layer. The paper has `batch`.
        head: makes the verdict of the last features.

    Raises:
        ValueError: for another resolution, or for an unknown normalization.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        width: int = 64,
        normalization: str = "batch",
        head: Head = Logit,
    ) -> None:
        super().__init__()
        levels, margin = _grid(resolution)
        widths = [width * 2**level for level in range(levels)]
        bias = not norm.has_shift(normalization)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1 + margin),
            nn.LeakyReLU(0.2, inplace=True),
        )
        for inputs, outputs in pairwise(widths):
            self.layers.extend(
                [
                    nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias),
                    norm.of_activations(normalization, outputs),
                    nn.LeakyReLU(0.2, inplace=True),
                ]
            )
        self.head = head(4 * 4 * widths[-1])
        self.apply(_initialize)
        norm.of_weights(normalization, self)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)`, and labels where the head takes them, to logits `(N,)`."""
        return self.examine(samples, labels)["logits"]

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives the head's verdict on samples, and the `features` that it is made from."""
        features: Tensor = self.layers(samples).movedim(1, -1).flatten(1)
        return {"features": features, **self.head(features, labels)}


def _grid(resolution: int) -> tuple[int, int]:
    """Finds the levels between 4x4 and the sample, and the margin at each side of it."""
    if resolution not in _GRIDS:
        nearest = sorted(sorted(_GRIDS, key=lambda side: abs(side - resolution))[:2])
        raise ValueError(
            f"data.resolution={resolution} does not suit model=dcgan, which makes 4 * 2^k and "
            f"7 * 2^k: the nearest are {nearest[0]} and {nearest[1]}."
        )
    return _GRIDS[resolution]


def _initialize(layer: nn.Module) -> None:
    """Draws weights from N(0, 0.02^2) and the scales of normalizations from N(1, 0.02^2)."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)):
        nn.init.normal_(layer.weight, 1.0, 0.02)
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
