"""BigGAN (Brock et al. 2019, arXiv 1809.11096, appendix B, table 4 and figure 15).

The latent is split in equal chunks. The first one goes into the dense layer; each block has one of
its own, which is joined with an embedding of the class that all blocks share, and mapped to the
scales and shifts of the block's batch normalization. The discriminator's head is a `Projection`.
Weights start orthogonal, and those of both networks, but for the embedding, are spectrally
normalized.
"""

import torch
from torch import Tensor, nn

from touchstone.networks import normalization as norm
from touchstone.networks.attention import SelfAttention
from touchstone.networks.conditional_norm import by_vector, required
from touchstone.networks.heads import Head, Logit, Verdict
from touchstone.networks.residual import (
    Conditional,
    Table,
    discriminator_blocks,
    generator_blocks,
    table_for,
)

TABLES = {
    28: Table(4, (4, 4), (4, 4), (4, 4)),  # as 32, from 7x7, with one block up less
    32: Table(4, (4, 4, 4), (4, 4), (4, 4)),  # table 4 of SNGAN, for CIFAR-10
    # table 4 without the generator's outermost block and the discriminator's innermost block down
    64: Table(16, (16, 8, 4, 2), (1, 2, 4, 8), (16,)),
    128: Table(16, (16, 8, 4, 2, 1), (1, 2, 4, 8, 16), (16,)),  # table 4
}
# Where self-attention stands at half the sample's side: at 64x64 in table 4.
ATTENDING = (64, 128)


class Generator(nn.Module):
    """A dense layer, residual blocks that double the side, and a convolution to the sample.

    Args:
        latent_size: numbers in a latent; the paper's is 120, of which a chunk at 128x128 is 20. The
            chunks are 3 at 28x28, 4 at 32x32, 5 at 64x64 and 6 at 128x128.
        resolution: height and width of a sample: 28, 32, 64 or 128.
        channels: of a sample.
        classes: how many labels there are, at least 1.
        width: the paper's ch, 96 there; 64, which makes 256 channels at 32x32, suits CIFAR-10.
        embedding_size: numbers in the embedding of a class; the paper's is 128.

    Raises:
        ValueError: for another resolution, without classes, or for a latent that does not split.
    """

    def __init__(
        self,
        latent_size: int,
        resolution: int,
        channels: int,
        classes: int,
        width: int = 64,
        embedding_size: int = 128,
    ) -> None:
        super().__init__()
        table = table_for(resolution, TABLES, "biggan")
        if classes < 1:
            raise ValueError(
                "model=biggan makes samples of given classes: it needs data with labels."
            )
        self.latent_size = latent_size
        self.classes = classes
        self.chunk = _chunk(latent_size, 1 + len(table.up), resolution)
        self.side = resolution // 2 ** len(table.up)
        self.embedding = nn.Embedding(classes, embedding_size)
        self.start = nn.Linear(self.chunk, self.side * self.side * width * table.start)
        blocks = generator_blocks(table, width, by_vector(self.chunk + embedding_size))
        if resolution in ATTENDING:
            blocks[-2] = Conditional(blocks[-2], SelfAttention(width * table.up[-2]))
        self.blocks = nn.ModuleList(blocks)
        self.end = nn.Sequential(
            nn.BatchNorm2d(width * table.up[-1]),
            nn.ReLU(),
            nn.Conv2d(width * table.up[-1], channels, 3, padding=1),
            nn.Tanh(),
        )
        self.apply(_initialize)
        norm.spectral(self, nn.Conv2d, nn.Linear)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)`, labels `(N,)` to samples `(N, C, H, W)` in [-1, 1]."""
        embedded = self.embedding(required(labels))
        first, *others = torch.split(latents, self.chunk, dim=1)
        features: Tensor = self.start(first).unflatten(1, (self.side, self.side, -1))
        features = features.movedim(-1, 1)
        for block, chunk in zip(self.blocks, others, strict=True):
            features = block(features, torch.cat([chunk, embedded], dim=1))
        samples: Tensor = self.end(features)
        return samples


class Discriminator(nn.Module):
    """Residual blocks, the sum over all places, and a head.

    Args:
        resolution: height and width of a sample: 28, 32, 64 or 128.
        channels: of a sample.
        width: as the generator's; at least 2 from 64x64 on.
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
        table = table_for(resolution, TABLES, "biggan")
        blocks = discriminator_blocks(table, channels, width, normalization)
        if resolution in ATTENDING:
            blocks.insert(1, SelfAttention(width * table.down[0]))
        self.layers = nn.Sequential(*blocks)
        self.head = head(width * table.flat[-1])
        self.apply(_initialize)
        norm.of_weights(normalization, self)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)`, and labels where the head takes them, to logits `(N,)`."""
        return self.examine(samples, labels)["logits"]

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives the head's verdict on samples, and the `features` that it is made from."""
        features: Tensor = self.layers(samples).sum(dim=(2, 3))
        return {"features": features, **self.head(features, labels)}


def _chunk(latent_size: int, chunks: int, resolution: int) -> int:
    """Finds the numbers in a chunk of the latent."""
    chunk = latent_size // chunks
    if not chunk or latent_size % chunks:
        nearest = " and ".join(str(chunks * size) for size in (chunk, chunk + 1) if size)
        raise ValueError(
            f"model.latent_size={latent_size} does not suit model=biggan at data.resolution="
            f"{resolution}, which splits it in {chunks} equal chunks: the nearest are {nearest}."
        )
    return chunk


def _initialize(layer: nn.Module) -> None:
    """Draws orthogonal weights (Saxe et al. 2014, arXiv 1312.6120)."""
    if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Embedding)):
        nn.init.orthogonal_(layer.weight)
    if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
