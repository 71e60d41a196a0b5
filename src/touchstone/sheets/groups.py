"""Samples by what made them: their number, their class, their expert."""

import math

import torch
from PIL import Image

from touchstone.sampling import Sampler
from touchstone.sheets.layout import table


def numbered(sampler: Sampler, number: int) -> Image.Image:
    """The first samples with their numbers, by which `arithmetic` asks for them."""
    numbers = range(number)
    columns = math.ceil(math.sqrt(number))
    return table(sampler.of(numbers), columns, below=[str(one) for one in numbers])


def classes(sampler: Sampler, number: int) -> Image.Image:
    """A row a class, a column a latent.

    Args:
        sampler: of a conditional generator.
        number: of columns.
    """
    rows = list(sampler.classes)
    latents = sampler.latents(range(number)).repeat(len(rows), 1)
    labels = torch.tensor(rows).repeat_interleave(number)
    return table(sampler(latents, labels), number, beside=[str(label) for label in rows])


@torch.inference_mode()
def experts(sampler: Sampler, number: int) -> Image.Image:
    """A row an expert, with the share of samples that are its, and a column a latent.

    Args:
        sampler: of a mixture, with `expert_samples` and `shares` (`touchstone.networks.mixture`).
        number: of columns.
    """
    numbers = range(number)
    latents, labels = sampler.latents(numbers), sampler.labels(numbers)
    samples = sampler.generator.expert_samples(latents, labels)  # type: ignore[operator]
    shares = sampler.generator.shares().tolist()  # type: ignore[operator]
    return table(samples.flatten(0, 1), number, beside=[f"{share:.1%}" for share in shares])
