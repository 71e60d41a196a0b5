"""The founding paper's fully connected pair (Goodfellow et al. 2014, arXiv 1406.2661, section 5).

The paper names rectifiers, maxout and dropout; the numbers are those of its authors' published
settings for MNIST. Their ranges of initial weights suit those widths alone: torch's stand here.

Samples are of any shape: images `(C, H, W)`, or points and rows of numbers `(F,)`, all in [-1, 1].
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from touchstone.networks import normalization as norm
from touchstone.networks.heads import Head, Logit, Verdict
from touchstone.networks.labels import joined


class Generator(nn.Module):
    """Dense layers with ReLU, and one to the sample.

    The paper's last sigmoid, for pixels in [0, 1], is a tanh here.

    Args:
        latent_size: numbers in a latent, which become uniform in [-1, 1]; the paper's is 100.
        shape: of a sample; the paper's is [1, 28, 28].
        width: units of each hidden layer; the paper's is 1200.
        layers: how many hidden layers; the paper's is 2.
        classes: of a conditional generator, whose first layer is given the label, too.
    """

    def __init__(
        self,
        latent_size: int,
        shape: Sequence[int],
        width: int = 1200,
        layers: int = 2,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.classes = classes
        widths = [latent_size + classes, *[width] * layers]
        self.layers = nn.Sequential()
        for inputs, outputs in pairwise(widths):
            self.layers.extend([nn.Linear(inputs, outputs), nn.ReLU(inplace=True)])
        self.layers.extend(
            [nn.Linear(widths[-1], prod(shape)), nn.Tanh(), nn.Unflatten(1, tuple(shape))]
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` and labels to samples `(N, *shape)` in [-1, 1]."""
        uniform = 2 * torch.special.ndtr(latents) - 1
        samples: Tensor = self.layers(joined(uniform, labels, self.classes))
        return samples


class Discriminator(nn.Module):
    """Two layers of maxout with dropout, and the head.

    Args:
        shape: of a sample.
        width: units of each layer; the paper's is 240.
        pieces: linear functions of which a unit takes the largest; the paper's is 5.
        input_dropout: the share of the sample's numbers set to 0; the paper's is 0.2.
        dropout: the share of each layer's units set to 0; the paper's is 0.5.
        normalization: `none`, as in the paper, or `spectral`.
        head: makes the verdict.

    Raises:
        ValueError: for another normalization.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 240,
        pieces: int = 5,
        input_dropout: float = 0.2,
        dropout: float = 0.5,
        normalization: str = "none",
        head: Head = Logit,
    ) -> None:
        super().__init__()
        if normalization not in ("none", "spectral"):
            raise ValueError(
                f"model.normalization={normalization} does not suit model=mlp, whose layers are "
                "dense: it is none or spectral."
            )
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(input_dropout),
            Maxout(prod(shape), width, pieces),
            nn.Dropout(dropout),
            Maxout(width, width, pieces),
            nn.Dropout(dropout),
        )
        self.head = head(width)
        norm.of_weights(normalization, self)

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `features` `(N, width)` of samples `(N, *shape)`, and the head's verdict."""
        features: Tensor = self.layers(samples)
        return {"features": features, **self.head(features, labels)}

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, *shape)` to raw logits `(N,)`."""
        return self.examine(samples, labels)["logits"]


class Maxout(nn.Module):
    """Units that are each the largest of several linear functions (Goodfellow et al. 2013).

    arXiv 1302.4389, section 3.

    Args:
        inputs: numbers in a sample's features.
        units: how many.
        pieces: linear functions of each.
    """

    def __init__(self, inputs: int, units: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(inputs, units * pieces)

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `(N, inputs)` to `(N, units)`."""
        values: Tensor = self.linear(features).unflatten(1, (-1, self.pieces))
        return values.amax(dim=2)
