"""The founding article's pair of networks: 5x5 convolutions between 28x28 and 7x7."""

from torch import Tensor, nn

from touchstone.networks import normalization as norm
from touchstone.networks.heads import Head, Logit, Verdict
from touchstone.networks.labels import joined

# The article names no slope; 0.3 is that of Keras' LeakyReLU().
_SLOPE = 0.3


class Generator(nn.Module):
    """A dense layer and three transposed convolutions.

    The article prints a start of 4x4, from which its strides of 1, 2 and 2 lead to 16x16. It starts
    at 7x7 here, a quarter of its 28x28, and at a quarter of any other resolution.

    Args:
        latent_size: numbers in a latent; the article's is 100.
        resolution: height and width of a sample, a multiple of 4; the article's is 28.
        channels: of a sample; the article's is 1.
        width: half of the channels of the first convolution; the article's is 64.
        classes: of a conditional generator, whose first layer is given the label, too.

    Raises:
        ValueError: where 4 does not divide the resolution.
    """

    def __init__(
        self, latent_size: int, resolution: int, channels: int, width: int = 64, classes: int = 0
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.classes = classes
        self.side = _quarter(resolution)
        units = self.side * self.side * 4 * width
        self.start = nn.Sequential(
            nn.Linear(latent_size + classes, units, bias=False),
            nn.LeakyReLU(_SLOPE),
            nn.BatchNorm1d(units),
        )
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(4 * width, 2 * width, 5, padding=2, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(_SLOPE),
            nn.ConvTranspose2d(
                2 * width, width, 5, stride=2, padding=2, output_padding=1, bias=False
            ),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(_SLOPE),
            nn.ConvTranspose2d(
                width, channels, 5, stride=2, padding=2, output_padding=1, bias=False
            ),
            nn.Tanh(),
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` and labels to samples `(N, C, H, W)` in [-1, 1]."""
        features: Tensor = self.start(joined(latents, labels, self.classes)).unflatten(
            1, (self.side, self.side, -1)
        )
        samples: Tensor = self.layers(features.movedim(-1, 1))
        return samples


class Discriminator(nn.Module):
    """Two convolutions of stride 2 with dropout, and a dense layer to one logit.

    The article's sigmoid belongs to the loss.

    Args:
        resolution: height and width of a sample, a multiple of 4; the article's is 28.
        channels: of a sample; the article's is 1.
        width: channels of the first convolution; the article's is 64.
        normalization: by name; after the second convolution. The article has `none`.
        dropout: the share of activations set to 0 after each convolution; the article's is 0.3.
        head: makes the verdict of the last features.

    Raises:
        ValueError: where 4 does not divide the resolution, or for an unknown normalization.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        width: int = 64,
        normalization: str = "none",
        dropout: float = 0.3,
        head: Head = Logit,
    ) -> None:
        super().__init__()
        side = _quarter(resolution)
        bias = not norm.has_shift(normalization)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 5, stride=2, padding=2),
            nn.LeakyReLU(_SLOPE),
            nn.Dropout(dropout),
            nn.Conv2d(width, 2 * width, 5, stride=2, padding=2, bias=bias),
            norm.of_activations(normalization, 2 * width),
            nn.LeakyReLU(_SLOPE),
            nn.Dropout(dropout),
        )
        self.head = head(side * side * 2 * width)
        norm.of_weights(normalization, self)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)`, and labels where the head takes them, to logits `(N,)`."""
        return self.examine(samples, labels)["logits"]

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives the head's verdict on samples, and the `features` that it is made from."""
        features: Tensor = self.layers(samples).movedim(1, -1).flatten(1)
        return {"features": features, **self.head(features, labels)}


def _quarter(resolution: int) -> int:
    if resolution < 4 or resolution % 4:
        below = max(4, resolution - resolution % 4)
        raise ValueError(
            f"data.resolution={resolution} does not suit model=article, which makes multiples "
            f"of 4: the nearest are {below} and {below + 4}."
        )
    return resolution // 4
