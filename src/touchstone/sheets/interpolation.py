"""The way from one latent to another (Radford et al. 2016, DCGAN, section 6.1 and figure 4).

Gaussian latents lie close to a sphere; a straight line between two leaves it (White 2016).
"""

from itertools import pairwise

import torch
from PIL import Image
from torch import Tensor

from touchstone.data.images import quantize
from touchstone.pictures import grid
from touchstone.sampling import Sampler
from touchstone.sheets.layout import table


def rows(sampler: Sampler, number: int, steps: int) -> Image.Image:
    """A series of latents, each row on the way from one to the next, both in it.

    A row keeps the label of its first sample.

    Args:
        sampler: of whose samples the first `number + 1` are gone through.
        number: of rows.
        steps: samples a row, 2 or more.
    """
    points = sampler.latents(range(number + 1))
    shares = torch.linspace(0, 1, steps)
    ways = [between(start, end, shares) for start, end in pairwise(points)]
    labels = sampler.labels(range(number))
    kept = None if labels is None else labels.repeat_interleave(steps)
    return table(sampler(torch.cat(ways), kept), columns=steps)


def walk(sampler: Sampler, number: int, steps: int) -> list[Image.Image]:
    """The frames of a walk through latents and back to the first.

    Of a conditional generator all samples are of one class, the first of those asked for.

    Args:
        sampler: through whose first `number` samples the walk leads.
        number: of samples.
        steps: frames from one sample to the next.
    """
    points = sampler.latents(range(number))
    shares = torch.arange(steps) / steps
    legs = zip(points, points.roll(-1, dims=0), strict=True)
    way = torch.cat([between(start, end, shares) for start, end in legs])
    labels = sampler.labels([0])
    kept = None if labels is None else labels.expand(len(way))
    return [grid(frame[None], 1, gap=0, least=256) for frame in quantize(sampler(way, kept))]


def between(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """Interpolates spherically between two latents (Shoemake 1985).

    Args:
        start: `(latent_size,)`.
        end: `(latent_size,)`.
        shares: of the way, `(steps,)` in [0, 1].

    Returns:
        The latents on the way, `(steps, latent_size)`.
    """
    angle = torch.acos(torch.nn.functional.cosine_similarity(start, end, dim=0).clamp(-1, 1))
    share = shares[:, None]
    if angle.sin() < 1e-6:
        return torch.lerp(start, end, share)
    return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / angle.sin()
