"""DiffAugment: every image is changed, at all times (Zhao et al. 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from touchstone.draws import Randomness


class DiffAugment:
    """Changes images by each part of a policy in turn (Zhao et al. 2020, arXiv 2006.10738).

    The parts are those of section 4 and appendix A, each with one draw an image:

    - `color`: adds a brightness from U(-1/2, 1/2), then scales the distance of each channel from
      the pixel's mean by a saturation from U(0, 2), then that of each element from the image's mean
      by a contrast from U(1/2, 3/2). A grey image has no saturation to change.
    - `translation`: moves the image by a whole number of pixels, up to 1/8 of each side; what comes
      in is 0.
    - `cutout`: sets a square of half of each side to 0, its centre anywhere in the image.
    - `flip`: mirrors an image, or not, with equal chances. Not the paper's: with `translation` it
      makes the T of consistency regularization.

    Args:
        policy: the parts, in the order in which they are applied; the paper's three by default.

    Raises:
        ValueError: a part is unknown.
    """

    def __init__(self, policy: Sequence[str] = ("color", "translation", "cutout")) -> None:
        unknown = [part for part in policy if part not in _PARTS]
        if unknown:
            raise ValueError(
                f"augmentation.policy has {unknown[0]}, which is none of {', '.join(_PARTS)}."
            )
        self.policy = tuple(policy)

    def __call__(self, samples: Tensor, draws: Randomness, progress: Tensor) -> Tensor:
        """Changes images `(N, C, H, W)`, of any number of channels."""
        for part in self.policy:
            samples = _PARTS[part](samples, draws)
        return samples


def _color(samples: Tensor, draws: Randomness) -> Tensor:
    brightness, saturation, contrast = (
        draws.uniform(len(samples), 1, 1, 1).to(samples) for _ in range(3)
    )
    samples = samples + (brightness - 0.5)
    grey = samples.mean(dim=1, keepdim=True)
    samples = (samples - grey) * (2 * saturation) + grey
    mean = samples.mean(dim=(1, 2, 3), keepdim=True)
    return (samples - mean) * (contrast + 0.5) + mean


def _translation(samples: Tensor, draws: Randomness) -> Tensor:
    for dimension in (2, 3):
        most = (samples.shape[dimension] + 4) // 8
        steps = _whole(draws, len(samples), 2 * most + 1) - most
        samples = _moved(samples, steps, dimension)
    return samples


def _cutout(samples: Tensor, draws: Randomness) -> Tensor:
    height, width = samples.shape[2:]
    rows = _stretch(height, draws, samples)[:, None, :, None]
    columns = _stretch(width, draws, samples)[:, None, None, :]
    return samples.masked_fill(rows & columns, 0)


def _flip(samples: Tensor, draws: Randomness) -> Tensor:
    mirrored = draws.uniform(len(samples), 1, 1, 1) < 0.5
    return torch.where(mirrored, samples.flip(3), samples)


_PARTS = {"color": _color, "translation": _translation, "cutout": _cutout, "flip": _flip}


def _whole(draws: Randomness, size: int, number: int) -> Tensor:
    """Draws `(size, 1)` of 0, 1, ..., number - 1."""
    return (draws.uniform(size, 1) * number).floor().long()


def _moved(samples: Tensor, steps: Tensor, dimension: int) -> Tensor:
    """Moves each image by its `steps` `(N, 1)` along a dimension; what comes in is 0."""
    length = samples.shape[dimension]
    shape = [-1, *(length if other == dimension else 1 for other in (1, 2, 3))]
    sources = (torch.arange(length, device=samples.device) - steps).view(shape)
    inside = (sources >= 0) & (sources < length)
    taken = samples.gather(dimension, sources.clamp(0, length - 1).expand_as(samples))
    return taken.masked_fill(~inside, 0)


def _stretch(length: int, draws: Randomness, samples: Tensor) -> Tensor:
    """Which `(N, length)` places a stretch of half of them covers, cut off at the ends."""
    half = (length + 1) // 2
    # Of an even stretch the middle is one of two places, which takes one more to reach both ends.
    first = _whole(draws, len(samples), length + 1 - half % 2) - half // 2
    places = torch.arange(length, device=samples.device)
    return (places >= first) & (places < first + half)
