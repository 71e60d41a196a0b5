"""SAGAN: the residual pair of SNGAN with self-attention (Zhang et al. 2019, arXiv 1805.08318).

Spectral normalization is in both networks (section 4), batch normalization by class in the
generator, projection in the discriminator, and one layer of attention in each, at 32x32, of table
1's four places the one of the lowest FID; samples smaller than 64x64 have it at half their side.
The paper's samples are 128x128. It gives no width; in the code that the authors released it is 64.
"""

from collections.abc import Callable

from torch import Tensor, nn

from touchstone.networks import normalization as norm
from touchstone.networks.attention import SelfAttention
from touchstone.networks.conditional_norm import by_class, required
from touchstone.networks.heads import Head, Logit, Verdict
from touchstone.networks.residual import (
    Conditional,
    discriminator_blocks,
    generator_blocks,
    initialized,
    table_for,
)
from touchstone.networks.resnet import TABLES


class Generator(nn.Module):
    """A dense layer, residual blocks that double the side, attention, and a convolution.

    Args:
        latent_size: numbers in a latent; the paper's is 128.
        resolution: height and width of a sample: 28, 32, 48, 64 or 128.
        channels: of a sample.
        width: as the discriminator's.
        classes: of a conditional generator, as the paper's is; 0 for one that takes no labels.

    Raises:
        ValueError: for another resolution.
    """

    def __init__(
        self, latent_size: int, resolution: int, channels: int, width: int = 64, classes: int = 0
    ) -> None:
        super().__init__()
        table = table_for(resolution, TABLES, "sagan")
        normalization: Callable[[int], nn.Module] = by_class(classes) if classes else nn.BatchNorm2d
        self.latent_size = latent_size
        self.classes = classes
        self.side = resolution // 2 ** len(table.up)
        units = self.side * self.side * width * table.start
        self.start = initialized(nn.Linear(latent_size, units))
        blocks = generator_blocks(table, width, normalization)
        attending = len(blocks) - _levels(resolution)
        blocks.insert(attending, SelfAttention(width * table.up[attending - 1]))
        self.layers = Conditional(
            *blocks,
            nn.BatchNorm2d(width * table.up[-1]),
            nn.ReLU(),
            initialized(nn.Conv2d(width * table.up[-1], channels, 3, padding=1)),
            nn.Tanh(),
        )
        norm.spectral(self, nn.Conv2d, nn.Linear)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` to samples `(N, C, H, W)` in [-1, 1].

        Labels `(N,)` are needed with classes, and ignored without.
        """
        condition = (required(labels),) if self.classes else ()
        features: Tensor = self.start(latents).unflatten(1, (self.side, self.side, -1))
        samples: Tensor = self.layers(features.movedim(-1, 1), *condition)
        return samples


class Discriminator(nn.Module):
    """Residual blocks with attention among them, the sum over all places, and a head.

    Args:
        resolution: height and width of a sample: 28, 32, 48, 64 or 128.
        channels: of a sample.
        width: channels of the first block, on which the others depend: at least 2.
        normalization: by name. The paper has `spectral`.
        head: makes the verdict of the sums; the paper's is a `Projection`.

    Raises:
        ValueError: for another resolution, or for an unknown normalization.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        width: int = 64,
        normalization: str = "spectral",
        head: Head = Logit,
    ) -> None:
        super().__init__()
        table = table_for(resolution, TABLES, "sagan")
        blocks = discriminator_blocks(table, channels, width, normalization)
        attending = _levels(resolution)
        blocks.insert(attending, SelfAttention(width * table.down[attending - 1]))
        self.layers = nn.Sequential(*blocks)
        self.head = head(width * table.flat[-1])
        norm.of_weights(normalization, self)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)`, and labels where the head takes them, to logits `(N,)`."""
        return self.examine(samples, labels)["logits"]

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives the head's verdict on samples, and the `features` that it is made from."""
        features: Tensor = self.layers(samples).sum(dim=(2, 3))
        return {"features": features, **self.head(features, labels)}


def _levels(resolution: int) -> int:
    """How many times a sample's side is halved to where attention stands."""
    return max(1, resolution // 64)
