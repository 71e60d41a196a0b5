"""The sliced Wasserstein distance of patches, at every scale of the images."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.sets import ImageSet, Sets

PATCH = 7  # pixels a side
PATCHES = 128  # an image and level
DIRECTIONS = 512
COARSEST = 16  # pixels a side, which no level falls below
CHUNK = 250  # images in float at a time


class SlicedWasserstein:
    """How far the patches of generated images are from those of real ones, scale by scale.

    Of each level of the images' Laplacian pyramids, patches at random places are normalised, by
    channel and for each kind of images on its own, and projected onto random directions. The
    distance is the mean over the directions of the Wasserstein distance of the projections, times
    1,000 (Karras et al. 2018, section 5 and their code: 128 patches of 7x7 an image, 512
    directions). Images whose sides are no powers of two are halved alike, rounding up, as long as
    both sides have 32 pixels or more, so that 28x28 has one level.

    The places are the same in the generated images and the real ones, which they do not depend on:
    equal images have the distance 0.

    Args:
        images: at most so many of each kind, at random; as many of one as of the other.

    Raises:
        UsageError: no images are asked for.
    """

    higher_is_better = False
    extractor: Extractor | None = None

    def __init__(self, images: int = 8192) -> None:
        if images < 1:
            raise UsageError(f"metrics.figures.swd.images={images}: it has to be 1 or more")
        self._images = images

    def check(self, sets: Sets) -> None:
        """Refuses a set without images."""
        for images in (sets.generated, sets.reference):
            if not len(images):
                raise UsageError(f"{images.name}: metrics=swd needs images, and there are none")

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The distance's mean over the levels, as `swd`, and each level's, as `swd/32`.

        Raises:
            UsageError: images of two sizes, or smaller than a patch.
        """
        number = min(self._images, len(sets.generated), len(sets.reference))
        generated, real = _part(sets.generated, number), _part(sets.reference, number)
        _refuse_sizes(generated, real)
        levels = pyramid(real[:1].float())
        distances = {
            _resolution(of_one): 1000
            * sliced_distance(descriptors(generated, level), descriptors(real, level))
            for level, of_one in enumerate(levels)
        }
        named = {f"swd/{resolution}": distance for resolution, distance in distances.items()}
        return {"swd": sum(distances.values()) / len(distances), **named}


def pyramid(images: Tensor) -> list[Tensor]:
    """The Laplacian pyramid (Burt & Adelson 1983) of float images `(N, C, H, W)`, finest first.

    Each level is what is lost by halving, `(N, C, H, W)`; the last is what remains in the end.
    """
    levels = []
    while min(images.shape[-2:]) >= 2 * COARSEST:
        halved = _blur(images)[..., ::2, ::2]
        spread = torch.zeros_like(images)
        spread[..., ::2, ::2] = halved
        # Three pixels in four are 0, which the blur spreads the fourth over.
        levels.append(images - 4 * _blur(spread))
        images = halved
    return [*levels, images]


def descriptors(pixels: Tensor, level: int) -> Tensor:
    """Patches at random places of a level, normalised by channel.

    Args:
        pixels: uint8 `(N, C, H, W)`.
        level: of the pyramid, 0 being the finest.

    Returns:
        float32 `(N * 128, C * 49)`.
    """
    number, channels = pixels.shape[:2]
    draws = torch.Generator().manual_seed(level)
    places = torch.rand(number, PATCHES, 2, generator=draws)
    patches = torch.empty(number, PATCHES, channels, PATCH, PATCH)
    for start in range(0, number, CHUNK):
        part = slice(start, start + CHUNK)
        windows = pyramid(pixels[part].float())[level].unfold(2, PATCH, 1).unfold(3, PATCH, 1)
        top, left = (places[part] * torch.tensor(windows.shape[2:4])).long().unbind(-1)
        patches[part] = windows[torch.arange(len(windows))[:, None], :, top, left]
    values = patches.view(number * PATCHES, channels, -1)
    values -= values.mean((0, 2), keepdim=True)
    # A deviation of less than a thousandth of a grey level is rounding, not texture.
    values /= values.std((0, 2), correction=0, keepdim=True).clamp(min=1e-3)
    return values.flatten(1)


def sliced_distance(first: Tensor, second: Tensor) -> float:
    """The mean Wasserstein distance of the projections of two sets of vectors onto 512 directions.

    In one dimension the optimal transport is that of the sorted values (Rabin et al. 2011).

    Args:
        first: float32 `(N, D)`.
        second: as many.
    """
    draws = torch.Generator().manual_seed(0)
    directions = functional.normalize(torch.randn(DIRECTIONS, first.shape[1], generator=draws))
    total = 0.0
    for group in torch.split(directions, 16):  # 64 MiB of projections of 8,192 images' patches
        projections = [(group @ vectors.T).numpy() for vectors in (first, second)]
        for values in projections:
            values.sort(axis=1)  # NumPy sorts a million floats 20 times as fast as torch
        total += float(np.abs(projections[0] - projections[1]).mean(1, dtype=np.float64).sum())
    return total / DIRECTIONS


def _part(images: ImageSet, number: int) -> Tensor:
    """The pixels of `number` images of a set, drawn at random and in their order."""
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:number]
    return images.pixels(drawn.sort().values.tolist())


def _blur(images: Tensor) -> Tensor:
    """Convolves with the binomial kernel of 5x5, the images mirrored at their borders."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = torch.outer(line, line).expand(images.shape[1], 1, 5, 5)
    mirrored = functional.pad(images, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(mirrored, kernel, groups=images.shape[1])


def _resolution(images: Tensor) -> str:
    height, width = images.shape[-2:]
    return f"{height}" if height == width else f"{height}x{width}"


def _refuse_sizes(generated: Tensor, real: Tensor) -> None:
    if generated.shape[1:] != real.shape[1:]:
        raise UsageError(
            f"metrics=swd: the generated images are {tuple(generated.shape[1:])} and the real ones "
            f"{tuple(real.shape[1:])} (channels, height, width): they have to be alike"
        )
    if min(real.shape[-2:]) < PATCH:
        raise UsageError(
            f"metrics=swd looks at patches of {PATCH}x{PATCH}: images of {_resolution(real)} are "
            "too small"
        )
