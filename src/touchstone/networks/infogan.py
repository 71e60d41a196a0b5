"""InfoGAN: a generator whose codes can be read off its samples (Chen et al. 2016).

arXiv 1606.03657, appendix C.1 and table 1, the networks for MNIST. The table writes batch
normalization after the activations; the paper says to follow DCGAN, where it stands before them, as
it does here. Slopes are 0.1.
"""

from torch import Tensor, nn

from touchstone.networks import codes
from touchstone.networks import normalization as norm
from touchstone.networks.heads import Head, Logit, Verdict

_SLOPE = 0.1


class Generator(nn.Module):
    """Two dense layers and two transposed convolutions, with batch normalization and ReLU.

    Table 1 is `Generator(74, 28, 1)`: 1024, 7x7x128, 14x14x64 and 28x28x1.

    Args:
        latent_size: numbers in a latent, of which the codes are made, and the noise; the paper's is
            10 + 2 + 62.
        resolution: height and width of a sample, a multiple of 4; the paper's is 28.
        channels: of a sample; the paper's is 1.
        width: channels of the outermost level; the paper's is 64. The others are 2 and 16 times it.
        categories: of the categorical code; the paper's is 10.
        continuous: how many continuous codes there are, each in [-1, 1]; the paper's is 2.

    Raises:
        ValueError: where 4 does not divide the resolution, or a latent has no room for the codes.
    """

    classes = 0

    def __init__(
        self,
        latent_size: int,
        resolution: int,
        channels: int,
        width: int = 64,
        categories: int = 10,
        continuous: int = 2,
    ) -> None:
        super().__init__()
        if latent_size < categories + continuous:
            raise ValueError(
                f"model.latent_size={latent_size} has no room for {categories} categories and "
                f"{continuous} continuous codes: it is at least {categories + continuous}."
            )
        side = _quarter(resolution)
        units = side * side * 2 * width
        self.latent_size = latent_size
        self.categories = categories
        self.continuous = continuous
        self.start = nn.Sequential(
            nn.Linear(latent_size, 16 * width, bias=False),
            nn.BatchNorm1d(16 * width),
            nn.ReLU(inplace=True),
            nn.Linear(16 * width, units, bias=False),
            nn.BatchNorm1d(units),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (side, side, 2 * width)),
        )
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        self.apply(_initialize)

    def codes(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Reads the categories `(N,)` and the continuous codes `(N, continuous)` of latents."""
        return codes.of(latents, self.categories, self.continuous)

    def latents_of(self, category: Tensor, continuous: Tensor, noise: Tensor) -> Tensor:
        """Makes latents of categories `(N,)`, codes `(N, continuous)` in (-1, 1), and noise."""
        return codes.latents_of(category, continuous, noise, self.categories)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` to samples `(N, C, H, W)` in [-1, 1]; ignores labels."""
        features: Tensor = self.start(codes.inputs_of(latents, self.categories, self.continuous))
        samples: Tensor = self.layers(features.movedim(-1, 1))
        return samples


class Discriminator(nn.Module):
    """Two convolutions of stride 2 and a dense layer, with normalization and LeakyReLU; the head.

    The head reads the codes (`touchstone.networks.heads.Codes`).

    Args:
        resolution: height and width of a sample, a multiple of 4; the paper's is 28.
        channels: of a sample; the paper's is 1.
        width: channels of the first convolution; the paper's is 64. The others are 2 and 16 times
            it.
        normalization: by name, but `instance`; not on the first layer. The paper has `batch`.
        head: makes the verdict.

    Raises:
        ValueError: where 4 does not divide the resolution, or for another normalization.
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
        if normalization == "instance":
            raise ValueError(
                "model.normalization=instance does not suit model=infogan, whose dense layer has "
                "one number a channel: it is batch, layer, spectral or none."
            )
        side = _quarter(resolution)
        bias = not norm.has_shift(normalization)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(_SLOPE, inplace=True),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=bias),
            norm.of_activations(normalization, 2 * width),
            nn.LeakyReLU(_SLOPE, inplace=True),
            # The dense layer, as a convolution of its only place, which normalizations expect.
            nn.Conv2d(2 * width, 16 * width, side, bias=bias),
            norm.of_activations(normalization, 16 * width),
            nn.LeakyReLU(_SLOPE, inplace=True),
            nn.Flatten(),
        )
        self.head = head(16 * width)
        self.apply(_initialize)
        norm.of_weights(normalization, self)

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `features` `(N, 16 * width)` of samples, and the head's verdict."""
        features: Tensor = self.layers(samples)
        return {"features": features, **self.head(features, labels)}

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)` to raw logits `(N,)`."""
        return self.examine(samples, labels)["logits"]


def _quarter(resolution: int) -> int:
    if resolution < 4 or resolution % 4:
        below = max(4, resolution - resolution % 4)
        raise ValueError(
            f"data.resolution={resolution} does not suit model=infogan, which makes multiples "
            f"of 4: the nearest are {below} and {below + 4}."
        )
    return resolution // 4


def _initialize(layer: nn.Module) -> None:
    """Draws weights from N(0, 0.02^2), as DCGAN's are."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
