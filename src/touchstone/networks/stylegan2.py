"""StyleGAN2, configuration F (Karras et al. 2020, arXiv 1912.04958, sections 2 to 4, appendix B).

The generator sums what each level adds to the sample (skip connections, figure 7b); the
discriminator is residual (figure 7c). Levels double from 4x4, or from 7x7 to 28.
"""

from collections.abc import Callable
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from touchstone.networks.equalized import PixelNorm, equalized, equalized_throughout
from touchstone.networks.heads import Head, Logit, Verdict
from touchstone.networks.minibatch_deviation import MinibatchDeviation
from touchstone.networks.pyramid import sides, widths
from touchstone.networks.resampling import Downsample, Filter, Upsample


class Generator(nn.Module):
    """A mapping of latents to styles, and a synthesis of samples from styles.

    In training, most samples have two styles, one up to some layer and another after it, and noise
    is drawn for every layer. In evaluation a sample has one style, and the noise is fixed.

    The paper's networks are `Generator(512, resolution, 3, width=512)`.

    Args:
        latent_size: numbers in a latent, and in a style; the paper's is 512.
        resolution: height and width of a sample: 8, 16, 32, ..., 1024, or 14, 28, 56, ..., 896.
        channels: of a sample.
        width: channels of the first five levels; they halve at each after these.
        classes: of a conditional generator, which joins each latent with a vector of its label.
        mapping: dense layers from a latent to its style.
        mixing: probability of two styles in training.

    Attributes:
        truncation: psi, by which styles are drawn towards their average in evaluation (Karras et
            al. 2019, arXiv 1812.04948, section 2 and appendix B); 1 leaves them as they are.

    Raises:
        ValueError: for another resolution.
    """

    w_average: Tensor

    def __init__(
        self,
        latent_size: int,
        resolution: int,
        channels: int,
        width: int = 64,
        classes: int = 0,
        mapping: int = 8,
        mixing: float = 0.9,
    ) -> None:
        super().__init__()
        levels = sides(resolution, "stylegan2")
        self.latent_size, self.classes, self.mixing = latent_size, classes, mixing
        self.layers = 2 * len(levels)  # that a style goes to, level by level
        self.truncation = 1.0
        self.mapping = Mapping(latent_size, classes, mapping)
        self.synthesis = Synthesis(latent_size, levels, channels, width)
        self.register_buffer("w_average", torch.zeros(latent_size))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)`, and labels of a conditional one, to samples.

        They are in [-1, 1] as far as the training has taught it: the last layer is linear.

        Raises:
            ValueError: where a conditional generator is given no labels.
        """
        samples: Tensor = self.synthesis(self.styles(latents, labels))
        return samples

    def styles(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents to a style for each layer, w: `(N, layers, latent_size)`."""
        styles: Tensor = self.mapping(latents, labels)
        average = self.w_average
        if not self.training:
            styles = average.lerp(styles.to(average), self.truncation)
            return styles[:, None].expand(-1, self.layers, -1)
        with torch.no_grad():
            average.lerp_(styles.to(average).mean(dim=0), 0.005)
        others = self.mapping(torch.randn_like(latents), labels)
        return torch.where(self._first(latents), styles[:, None], others[:, None])

    def _first(self, latents: Tensor) -> Tensor:
        """Draws which layers have the first of two styles, `(N, layers, 1)`."""
        chance, place = torch.rand(2, len(latents), 1, 1, device=latents.device)
        # The first of two goes to 1 to layers - 1 of them.
        crossover = 1 + (place * (self.layers - 1)).floor()
        layer = torch.arange(self.layers, device=latents.device)[:, None]
        first: Tensor = (layer < crossover) | (chance >= self.mixing)
        return first


class Mapping(nn.Module):
    """Dense layers from a normalized latent to a style, at a hundredth of the learning rate."""

    def __init__(self, size: int, classes: int, layers: int) -> None:
        super().__init__()
        self.classes = classes
        self.normalize = PixelNorm()
        inputs = size
        if classes:
            self.embedding = nn.Embedding(classes, size)  # N(0, 1), as the latents
            inputs = 2 * size
        self.layers = nn.Sequential()
        for _ in range(layers):
            self.layers.extend([equalized(nn.Linear(inputs, size), rate=0.01), Slope()])
            inputs = size

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, size)` to styles `(N, size)`."""
        if self.classes:
            if labels is None:
                raise ValueError(
                    f"the generator makes samples of {self.classes} classes: it needs labels"
                )
            latents = torch.cat([latents, self.embedding(labels)], dim=1)
        styles: Tensor = self.layers(self.normalize(latents))
        return styles


class Synthesis(nn.Module):
    """From a constant level by level to the sample, each level of twice the side."""

    def __init__(self, style_size: int, levels: list[int], channels: int, width: int) -> None:
        super().__init__()
        outputs = widths(width, len(levels), widest=4)
        self.constant = nn.Parameter(torch.randn(1, width, levels[0], levels[0]))
        self.start = _styled(style_size, width, width, levels[0], Same())
        self.doubling = nn.ModuleList(
            _styled(style_size, before, after, side, Double())
            for (before, after), side in zip(pairwise(outputs), levels[1:], strict=True)
        )
        self.same = nn.ModuleList(
            _styled(style_size, n, n, side, Same())
            for n, side in zip(outputs[1:], levels[1:], strict=True)
        )
        self.to_samples = nn.ModuleList(ToSample(style_size, n, channels) for n in outputs)
        self.upsample = Upsample()

    def forward(self, styles: Tensor) -> Tensor:
        """Maps styles `(N, layers, style_size)` to samples `(N, C, H, W)`.

        What a level adds to the sample shares its style with the next level's first layer.
        """
        each = styles.unbind(dim=1)
        features = self.start(self.constant.expand(len(styles), -1, -1, -1), each[0])
        samples: Tensor = self.to_samples[0](features, each[1])
        later = zip(self.doubling, self.same, self.to_samples[1:], strict=True)
        for number, (double, same, to_sample) in enumerate(later, start=1):
            features = same(double(features, each[2 * number - 1]), each[2 * number])
            added = to_sample(features, each[2 * number + 1])
            samples = self.upsample(samples) + added
        return samples


class Styled(nn.Module):
    """A convolution that a style modulates, then noise, a bias and a slope (figure 2d).

    Modulation multiplies the weights of input channel i by `s_i` (equation 1), demodulation divides
    those of output channel j by their norm `sigma_j` (equations 2 and 3). Either commutes with the
    convolution: here the inputs are multiplied and the outputs divided, so that one convolution
    serves the whole batch.

    Args:
        style_size: numbers in a style.
        inputs: channels.
        outputs: channels.
        side: of the output.
        convolve: convolves features with a weight `(outputs, inputs, 3, 3)`.
    """

    noise: Tensor

    def __init__(
        self,
        style_size: int,
        inputs: int,
        outputs: int,
        side: int,
        convolve: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.affine = _affine(style_size, inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.convolve = convolve
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise", torch.randn(1, 1, side, side))

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Maps features `(N, inputs, ...)` and styles `(N, style_size)` to `(N, outputs, ...)`."""
        weight, scales = self.weight, self.affine(style)
        features = self.convolve(features * scales[..., None, None], weight)
        variances = scales.square() @ weight.square().sum(dim=(2, 3)).T
        features = features * torch.rsqrt(variances + 1e-8)[..., None, None].to(features)
        noise = torch.randn_like(features[:, :1]) if self.training else self.noise
        biases = self.bias[:, None, None] + self.strength * noise
        return _slope(features + biases.to(features))


class ToSample(nn.Module):
    """A 1x1 convolution that a style modulates, not demodulated: what a level adds to a sample."""

    def __init__(self, style_size: int, inputs: int, channels: int) -> None:
        super().__init__()
        self.affine = _affine(style_size, inputs)
        self.convolution = equalized(nn.Conv2d(inputs, channels, 1))

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Maps features `(N, inputs, H, W)` to `(N, C, H, W)`."""
        samples: Tensor = self.convolution(features * self.affine(style)[..., None, None])
        return samples


class Discriminator(nn.Module):
    """Residual levels, the minibatch's deviation, a convolution and a dense layer.

    The paper's networks are `Discriminator(resolution, 3, width=512)`.

    Args:
        resolution: height and width of a sample, as the generator's.
        channels: of a sample.
        width: channels of the first five levels, as the generator's.
        head: makes the logit of `width` features; its layers are equalized.

    Raises:
        ValueError: for another resolution.
    """

    def __init__(self, resolution: int, channels: int, width: int = 64, head: Head = Logit) -> None:
        super().__init__()
        levels = sides(resolution, "stylegan2")
        inwards = widths(width, len(levels), widest=4)[::-1]
        self.layers = nn.Sequential(
            *(equalized(nn.Conv2d(channels, inwards[0], 1)), Slope()),
            *(Residual(before, after) for before, after in pairwise(inwards)),
            MinibatchDeviation(),
            *(equalized(nn.Conv2d(width + 1, width, 3, padding=1)), Slope()),
            nn.Flatten(),
            *(equalized(nn.Linear(width * levels[0] ** 2, width)), Slope()),
        )
        self.head = equalized_throughout(head(width))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, C, H, W)`, and labels where the head takes them, to logits `(N,)`."""
        return self.examine(samples, labels)["logits"]

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives the head's verdict on samples, and the `features` that it is made from."""
        features: Tensor = self.layers(samples)
        return {"features": features, **self.head(features, labels)}


class Residual(nn.Module):
    """Two 3x3 convolutions, the second to half the side, beside a 1x1; of variance 1 together."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *(equalized(nn.Conv2d(inputs, inputs, 3, padding=1)), Slope()),
            Filter(padding=2),
            *(equalized(nn.Conv2d(inputs, outputs, 3, stride=2)), Slope()),
        )
        self.shortcut = nn.Sequential(
            Downsample(), equalized(nn.Conv2d(inputs, outputs, 1, bias=False))
        )

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `(N, inputs, H, W)` to `(N, outputs, H / 2, W / 2)`."""
        total: Tensor = (self.branch(features) + self.shortcut(features)) / sqrt(2)
        return total


class Same(nn.Module):
    """Convolves at the same side."""

    def forward(self, features: Tensor, weight: Tensor) -> Tensor:
        """Maps features `(N, inputs, H, W)` to `(N, outputs, H, W)`."""
        return conv2d(features, weight, padding=1)


class Double(nn.Module):
    """Convolves at twice the side, then filters."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = Filter(padding=1, gain=4.0)

    def forward(self, features: Tensor, weight: Tensor) -> Tensor:
        """Maps features `(N, inputs, H, W)` to `(N, outputs, 2H, 2W)`."""
        filtered: Tensor = self.filter(conv_transpose2d(features, weight.transpose(0, 1), stride=2))
        return filtered


class Slope(nn.Module):
    """LeakyReLU of slope 0.2, and a gain of sqrt(2) that makes up for what it takes."""

    def forward(self, features: Tensor) -> Tensor:
        """Maps features of any shape."""
        return _slope(features)


def _slope(features: Tensor) -> Tensor:
    return leaky_relu(features, 0.2) * sqrt(2)


def _styled(
    style_size: int, inputs: int, outputs: int, side: int, convolve: Callable[..., Tensor]
) -> Styled:
    return equalized(Styled(style_size, inputs, outputs, side, convolve))


def _affine(style_size: int, scales: int) -> nn.Linear:
    """A style's factor for each channel, 1 on average (A in figure 2)."""
    affine = equalized(nn.Linear(style_size, scales))
    nn.init.ones_(affine.bias)
    return affine
