"""ADA: as much augmentation as keeps the discriminator from overfitting (Karras et al. 2020)."""

from collections.abc import Callable, Mapping, Sequence
from math import log, pi, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from touchstone import processes
from touchstone.draws import Randomness

# Figure 23: what each transformation draws, (N, steps, numbers of a step). Each number leaves the
# image as it is where it is 0: of what the paper draws from a log-normal, it is the logarithm.
TRANSFORMATIONS: Mapping[str, Callable[[Randomness, int], Tensor]] = {
    # Pixel blitting.
    "flip": lambda draws, size: (2 * draws.uniform(size, 1, 1)).floor(),
    "quarter_turns": lambda draws, size: (4 * draws.uniform(size, 1, 1)).floor(),
    "integer_translation": lambda draws, size: (draws.uniform(size, 1, 2) - 0.5) / 4,  # of a side
    # General geometry.
    "scaling": lambda draws, size: 0.2 * log(2) * draws.normal(size, 1, 1),
    "rotation": lambda draws, size: 2 * pi * (draws.uniform(size, 2, 1) - 0.5),  # around the next
    "anisotropic_scaling": lambda draws, size: 0.2 * log(2) * draws.normal(size, 1, 1),
    "fractional_translation": lambda draws, size: draws.normal(size, 1, 2) / 8,  # of a side
    # Colour.
    "brightness": lambda draws, size: 0.2 * draws.normal(size, 1, 1),
    "contrast": lambda draws, size: 0.5 * log(2) * draws.normal(size, 1, 1),
    "luma_flip": lambda draws, size: (2 * draws.uniform(size, 1, 1)).floor(),
    "hue": lambda draws, size: 2 * pi * (draws.uniform(size, 1, 1) - 0.5),
    "saturation": lambda draws, size: log(2) * draws.normal(size, 1, 1),
}

# Those that do not leak, whatever their probability: always applied, they blur the distribution of
# images, but still tell it. The others choose evenly among turns or mirrorings: always applied,
# they would leave no trace of which of them the data has.
SAFE = (
    "integer_translation",
    "scaling",
    "anisotropic_scaling",
    "fractional_translation",
    "brightness",
    "contrast",
    "saturation",
)


class AdaptiveAugmentation(nn.Module):
    """Changes images with a probability that follows the discriminator's overfitting.

    Karras et al. 2020, arXiv 2006.06676: section 3 and appendix B. Each transformation is applied
    to an image with probability p by itself; geometry first, then colour. As the discriminator
    overfits, its logits of real images part from those of generated ones, and
    `r_t = E sign(D(x))`, x real and augmented, leaves 0 for 1 (equation 1): p rises where r_t is
    above the target and falls where it is below.

    The generator learns to make images whose *augmented* distribution matches. That determines the
    images themselves as long as p < 1 (section 2.2); the paper finds that in practice the
    transformations that choose among turns or mirrorings begin to show in generated images above
    p = 0.8. By default they are left out: an upside-down digit or a mirrored shoe would be wrong.

    Geometry is one map of places, by which the image is read once: bilinearly, mirrored at its
    edges, and exactly where a pixel stays in its place. The paper reads it at twice the resolution
    with a low-pass filter before and after, which is left out here: what is turned or shrunk is
    a little softer or more aliased than the paper's. It is also the paper's set without the filters
    and the noise of appendix B ("bgc", its recommendation).

    The result cannot be differentiated twice by the images.

    Args:
        transformations: the names of those in use, of `TRANSFORMATIONS`; `SAFE` by default. All of
            them are the paper's "bgc".
        target: of r_t; the paper's is 0.6.
        images: real images in which p can go from 0 to 1; the paper's 500,000.

    Attributes:
        probability: p, a scalar in [0, 1], 0 at the start; kept with the state.

    Raises:
        ValueError: a transformation is unknown, or another argument is out of range.
    """

    probability: Tensor

    def __init__(
        self,
        transformations: Sequence[str] = SAFE,
        target: float = 0.6,
        images: int = 500_000,
    ) -> None:
        super().__init__()
        unknown = [name for name in transformations if name not in TRANSFORMATIONS]
        if unknown:
            raise ValueError(
                f"augmentation.transformations has {unknown[0]}, which is none of "
                f"{', '.join(TRANSFORMATIONS)}."
            )
        if not -1 < target < 1:
            raise ValueError(f"augmentation.target={target} has to be between -1 and 1.")
        if images < 1:
            raise ValueError(f"augmentation.images={images} has to be at least 1.")
        self.transformations = tuple(transformations)
        self.target = target
        self.images = images
        self.register_buffer("probability", torch.zeros(()))

    def forward(self, samples: Tensor, draws: Randomness, progress: Tensor) -> Tensor:
        """Changes images `(N, C, H, W)`, grey or of three colours.

        Raises:
            ValueError: for samples of another shape.
        """
        if samples.ndim != 4 or samples.shape[1] not in (1, 3):
            raise ValueError(
                "augmentation=ada changes images of 1 or 3 channels, not samples of shape "
                f"{tuple(samples.shape[1:])}; leave it out, or try augmentation=instance_noise."
            )
        # Half precision would put a place of a large image half a pixel off.
        images = samples.to(torch.promote_types(samples.dtype, torch.float32))
        numbers = self._numbers(images, draws)
        return _recoloured(_rearranged(images, numbers), numbers).to(samples.dtype)

    @torch.no_grad()
    def observe(self, real_logits: Tensor) -> None:
        """Moves p by what the discriminator says of augmented real images, `(N,)`.

        The paper gathers the signs of four batches and then makes one step of as many images. Here
        each call makes the step of its own images, over all processes: the same speed.
        """
        overfitting = real_logits.sign().mean().to(self.probability)
        processes.average([overfitting])
        step = len(real_logits) * processes.number() / self.images
        self.probability.add_((overfitting - self.target).sign() * step).clamp_(0, 1)

    def shown(self) -> dict[str, Tensor]:
        """What is logged: `augmentation/probability`."""
        return {"augmentation/probability": self.probability}

    def extra_repr(self) -> str:
        """Shows the settings in a printed network."""
        return f"target={self.target}, images={self.images}, {', '.join(self.transformations)}"

    def _numbers(self, images: Tensor, draws: Randomness) -> dict[str, Tensor]:
        """Draws each transformation's numbers `(N, numbers, 1, 1)`: 0 where it is not applied."""
        numbers = {}
        for name, draw in TRANSFORMATIONS.items():
            drawn = draw(draws, len(images))
            if name in self.transformations:
                size, steps, _ = drawn.shape
                # Of two steps, one or both are applied with probability p.
                chance = 1 - (1 - self.probability) ** (1 / steps)
                drawn = torch.where(draws.uniform(size, steps, 1) < chance, drawn, 0)
            else:
                drawn = torch.zeros_like(drawn)
            numbers[name] = drawn.to(images).flatten(1)[..., None, None]
        return numbers


def _rearranged(images: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
    """Applies pixel blitting and general geometry, in the order of figure 23.

    Each place of the result is followed back to the place `(x, y)` that it shows, in pixels from
    the image's centre: the transformations are undone, the last one first.
    """
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device, dtype=images.dtype)[:, None]
    columns = torch.arange(width, device=images.device, dtype=images.dtype)
    rows, columns = rows - (height - 1) / 2, columns - (width - 1) / 2

    across, down = numbers["fractional_translation"].unbind(1)
    x, y = columns - width * across, rows - height * down
    before, after = numbers["rotation"].unbind(1)
    x, y = _turned(x, y, -after)
    stretch = numbers["anisotropic_scaling"][:, 0].exp()
    x, y = x / stretch, y * stretch
    x, y = _turned(x, y, -before)
    scale = numbers["scaling"][:, 0].exp()
    x, y = x / scale, y / scale
    across, down = numbers["integer_translation"].unbind(1)
    x, y = x - (width * across).round(), y - (height * down).round()
    x, y = _turned(x, y, numbers["quarter_turns"][:, 0] * (pi / 2))
    x = x * (1 - 2 * numbers["flip"][:, 0])

    # -1 and 1 are the centres of the outermost pixels, about which it mirrors.
    grid = torch.stack([x * (2 / (width - 1)), y * (2 / (height - 1))], dim=-1)
    read = grid_sample(images, grid, padding_mode="reflection", align_corners=True)
    stays = (x == columns) & (y == rows)
    return torch.where(stays[:, None], images, read)


def _turned(x: Tensor, y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    cosine, sine = angle.cos(), angle.sin()
    return cosine * x - sine * y, sine * x + cosine * y


def _recoloured(images: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
    """Applies the transformations of colour, in the order of figure 23.

    The paper's matrices act on two parts of a pixel: its luma, the part along the grey axis
    (1, 1, 1), and its chroma, the rest, which hue turns about that axis. Grey has no chroma.
    """
    images = images + numbers["brightness"]
    luma = images.mean(dim=1, keepdim=True)
    chroma = images - luma
    turned = (chroma.roll(1, dims=1) - chroma.roll(-1, dims=1)) / sqrt(3)  # by a right angle
    hue, saturation = numbers["hue"], numbers["saturation"].exp()
    # As differences from the pixel, which are exactly 0 where nothing is applied.
    images = (
        images
        - 2 * numbers["luma_flip"] * luma
        + (saturation * hue.cos() - 1) * chroma
        + saturation * hue.sin() * turned
    )
    return images * numbers["contrast"].exp()
