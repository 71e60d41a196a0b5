"""The residual pair of SNGAN (Miyato et al. 2018, arXiv 1802.05957, tables 4 to 6).

With classes it is that of cGAN-PD (Miyato & Koyama 2018, arXiv 1802.05637, appendix): the blocks
of the generator have batch normalization by class, and the discriminator's head is a `Projection`.
"""

from collections.abc import Callable

from torch import Tensor, nn

from touchstone.networks import normalization as norm
from touchstone.networks.checkpointing import Checkpointed
from touchstone.networks.conditional_norm import by_class, required
from touchstone.networks.heads import Head, Logit, Verdict
from touchstone.networks.residual import (
    Conditional,
    Table,
    discriminator_blocks,
    generator_blocks,
    initialized,
    table_for,
)

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
        classes: of a conditional generator; 0 for one that takes no labels.

    Raises:
        ValueError: for another resolution, or for checkpointing with classes.
    """

    def __init__(
        self,
        latent_size: int,
        resolution: int,
        channels: int,
        width: int = 64,
        checkpointing: bool = False,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if checkpointing and classes:
            raise ValueError(
                "model.checkpointing=true does not go with a conditional generator, whose blocks "
                "take labels: set model.checkpointing=false, or head=logit."
            )
        table = table_for(resolution, TABLES, "resnet")
        normalization: Callable[[int], nn.Module] = by_class(classes) if classes else nn.BatchNorm2d
        self.latent_size = latent_size
        self.classes = classes
        self.side = resolution // 2 ** len(table.up)
        units = self.side * self.side * width * table.start
        self.start = initialized(nn.Linear(latent_size, units))
        self.layers = (Checkpointed if checkpointing else Conditional)(
            *generator_blocks(table, width, normalization),
            nn.BatchNorm2d(width * table.up[-1]),
            nn.ReLU(),
            initialized(nn.Conv2d(width * table.up[-1], channels, 3, padding=1)),
            nn.Tanh(),
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` to samples `(N, C, H, W)` in [-1, 1].

        Labels `(N,)` are needed with classes, and ignored without.
        """
        condition = (required(labels),) if self.classes else ()
        features: Tensor = self.start(latents).unflatten(1, (self.side, self.side, -1))
        samples: Tensor = self.layers(features.movedim(-1, 1), *condition)
        return samples


class Discriminator(nn.Module):
    """Residual blocks, the sum over all places, and a head.

    Args:
        resolution: height and width of a sample: 28, 32, 48, 64 or 128.
        channels: of a sample.
        width: channels of the first block, on which the tables' others depend; the paper's is 128
            at 32x32 and 64 at 48x48 and 128x128.
        normalization: by name. The paper has `spectral`; another stands where figure 8 has batch
            normalization, but not before the first convolution.
        checkpointing: as the generator's.
        head: makes the verdict of the sums.

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
        head: Head = Logit,
    ) -> None:
        super().__init__()
        table = table_for(resolution, TABLES, "resnet")
        self.layers = (Checkpointed if checkpointing else nn.Sequential)(
            *discriminator_blocks(table, channels, width, normalization)
        )
        self.head = head(width * table.flat[-1])
        for layer in self.head.modules():
            if isinstance(layer, nn.Linear):
                initialized(layer)
        norm.of_weights(normalization, self)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)`, and labels where the head takes them, to logits `(N,)`."""
        return self.examine(samples, labels)["logits"]

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives the head's verdict on samples, and the `features` that it is made from."""
        features: Tensor = self.layers(samples).sum(dim=(2, 3))
        return {"features": features, **self.head(features, labels)}
