"""Progressive growing of GANs (Karras et al. 2018, arXiv 1710.10196, table 2 and appendix A).

Both networks start at 4x4 and double their side level by level. A level is faded in over a number
of images and then trained for a number of images, all levels before it being trained along.
Whatever the level, samples have the full resolution: the generator repeats its pixels, the
discriminator averages them first. So neither the data nor the trainer knows of growing.

28 grows from 7x7: its first and last convolutions have 7x7 windows where table 2 has 4x4.
"""

from collections.abc import Iterable
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from touchstone.networks.equalized import PixelNorm, equalized, equalized_throughout
from touchstone.networks.heads import Head, Logit, Verdict
from touchstone.networks.minibatch_deviation import MinibatchDeviation
from touchstone.networks.pyramid import sides, widths


class Growing(nn.Module):
    """A network of levels, and how far it has grown.

    Args:
        levels: how many there are.
        fade: images over which each level but the first is faded in, at least 0.
        stable: images for which each level is trained after that, at least 1.

    Attributes:
        level: the highest in use, from 0.
        fading: whether it is being faded in.
        alpha: how far, in [0, 1]; a scalar tensor.
        images: at the last `advance`; all that a state holds of it.

    Raises:
        ValueError: `fade` or `stable` is out of range.
    """

    images: Tensor
    alpha: Tensor

    def __init__(self, levels: int, fade: int, stable: int) -> None:
        super().__init__()
        if fade < 0:
            raise ValueError(f"model.fade={fade} has to be at least 0 images.")
        if stable < 1:
            raise ValueError(f"model.stable={stable} has to be at least 1 image.")
        self.levels, self.fade, self.stable = levels, fade, stable
        self.register_buffer("images", torch.zeros((), dtype=torch.int64))
        self.register_buffer("alpha", torch.ones(()), persistent=False)
        self.register_load_state_dict_post_hook(_go_on)  # type: ignore[no-untyped-call]
        self.advance(0)

    def advance(self, images: int) -> tuple[int, bool]:
        """Grows to where the network stands after so many images.

        Args:
            images: real images shown so far.

        Returns:
            The level, and whether it is being faded in: what the network's structure depends on.
        """
        # As though the first level had been faded in before the first image.
        level, since = divmod(images + self.fade, self.fade + self.stable)
        self.level = min(level, self.levels - 1)
        self.fading = level < self.levels and since < self.fade
        self.alpha.fill_(since / self.fade if self.fading else 1.0)
        self.images.fill_(images)
        return self.level, self.fading

    def faded(self, old: Tensor, new: Tensor) -> Tensor:
        """Goes from the old to the new as alpha goes from 0 to 1."""
        return old + self.alpha * (new - old)


class Generator(Growing):
    """Convolutions with LeakyReLU of slope 0.2 and pixelwise normalization, to a sample.

    Table 2 is `Generator(512, 1024, 3, width=512, fade=800_000, stable=800_000)`.

    Args:
        latent_size: numbers in a latent; the paper's is 512.
        resolution: height and width of a sample: 8, 16, 32, ..., 1024, or 14, 28, 56, ..., 896.
        channels: of a sample.
        width: channels of the first four levels; they halve at each after these.
        fade: images over which a level is faded in; the paper's are 800,000.
        stable: images for which it is trained after that; the paper's are 800,000.

    Attributes:
        classes: 0, for labels are ignored.

    Raises:
        ValueError: an argument is out of range.
    """

    classes = 0

    def __init__(
        self,
        latent_size: int,
        resolution: int,
        channels: int,
        width: int = 64,
        fade: int = 60_000,
        stable: int = 60_000,
    ) -> None:
        levels = sides(resolution, "progan")
        super().__init__(len(levels), fade, stable)
        outputs = widths(width, len(levels), widest=3)
        self.latent_size = latent_size
        self.normalize = PixelNorm()
        # Table 2's convolution of a single pixel, without the zeros around it; with the gain, He's
        # constant is that of `latent_size` inputs.
        start = equalized(
            nn.ConvTranspose2d(latent_size, width, levels[0]), sqrt(2 * width / latent_size)
        )
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(start, *_activation(), *_convolution(width, width)),
                *(
                    nn.Sequential(
                        nn.Upsample(scale_factor=2),
                        *_convolution(before, after),
                        *_convolution(after, after),
                    )
                    for before, after in pairwise(outputs)
                ),
            ]
        )
        self.to_samples = nn.ModuleList(equalized(nn.Conv2d(n, channels, 1)) for n in outputs)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` to samples `(N, C, H, W)`; ignores labels.

        They are in [-1, 1] as far as the training has taught it: the last layer is linear.

        In a fade the paper takes `1 - alpha` of the details from the real samples and from the
        generated ones. The discriminator takes them from either, so that in training mode they are
        left in here and each pass of the discriminator is the paper's.
        """
        features = self.normalize(latents)[..., None, None]
        for block in self.blocks[: self.level + 1]:
            before, features = features, block(features)
        samples: Tensor = self.to_samples[self.level](features)
        if self.fading:
            old = _up(self.to_samples[self.level - 1](before))
            if self.training:
                coarse = _up(_down(samples))
                samples = self.faded(old, coarse) + (samples - coarse)
            else:
                samples = self.faded(old, samples)
        return _up(samples, 2 ** (self.levels - 1 - self.level))


class Discriminator(Growing):
    """The generator's mirror image, with the minibatch's deviation before the last level.

    Table 2 is `Discriminator(1024, 3, width=512, fade=800_000, stable=800_000)`.

    Args:
        resolution: height and width of a sample, as the generator's.
        channels: of a sample.
        width: channels of the first four levels, as the generator's.
        fade: images over which a level is faded in, as the generator's.
        stable: images for which it is trained after that, as the generator's.
        head: makes the logit of `width` features; its layers are equalized.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        width: int = 64,
        fade: int = 60_000,
        stable: int = 60_000,
        head: Head = Logit,
    ) -> None:
        levels = sides(resolution, "progan")
        super().__init__(len(levels), fade, stable)
        inputs = widths(width, len(levels), widest=3)
        self.from_samples = nn.ModuleList(
            nn.Sequential(equalized(nn.Conv2d(channels, n, 1), sqrt(2)), _slope()) for n in inputs
        )
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(
                    MinibatchDeviation(),
                    *(_wide(width + 1, width), _slope()),
                    *(equalized(nn.Conv2d(width, width, levels[0]), sqrt(2)), _slope()),
                    nn.Flatten(),
                ),
                *(
                    nn.Sequential(
                        *(_wide(before, before), _slope()),
                        *(_wide(before, after), _slope()),
                        nn.AvgPool2d(2),
                    )
                    for after, before in pairwise(inputs)
                ),
            ]
        )
        self.head = equalized_throughout(head(width))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)`, and labels where the head takes them, to logits `(N,)`."""
        return self.examine(samples, labels)["logits"]

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives the head's verdict on samples, and the `features` that it is made from."""
        samples = _down(samples, 2 ** (self.levels - 1 - self.level))
        if self.fading:
            coarse = _down(samples)
            samples = self.faded(_up(coarse), samples)
        features: Tensor = self.blocks[self.level](self.from_samples[self.level](samples))
        if self.fading:
            features = self.faded(self.from_samples[self.level - 1](coarse), features)
        for level in reversed(range(self.level)):
            features = self.blocks[level](features)
        return {"features": features, **self.head(features, labels)}


def _convolution(inputs: int, outputs: int) -> Iterable[nn.Module]:
    """The generator's."""
    return _wide(inputs, outputs), *_activation()


def _activation() -> Iterable[nn.Module]:
    """The generator's."""
    return _slope(), PixelNorm()


def _wide(inputs: int, outputs: int) -> nn.Conv2d:
    return equalized(nn.Conv2d(inputs, outputs, 3, padding=1), sqrt(2))


def _slope() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2)


def _up(samples: Tensor, factor: int = 2) -> Tensor:
    return samples if factor == 1 else interpolate(samples, scale_factor=factor)


def _down(samples: Tensor, factor: int = 2) -> Tensor:
    return samples if factor == 1 else avg_pool2d(samples, factor)


def _go_on(network: Growing, _: object) -> None:
    """Has a network that was given another's state stand where that one stood."""
    network.advance(int(network.images))
