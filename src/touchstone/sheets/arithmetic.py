"""Sums and differences of latents (Radford et al. 2016, DCGAN, section 6.3.2 and figure 7).

What single latents mean is unstable; the mean of three that share something is not.
"""

from collections.abc import Sequence
from itertools import chain
from math import sqrt

import torch
from PIL import Image
from torch import Tensor

from touchstone.draws import Draws, derive
from touchstone.errors import UsageError
from touchstone.sampling import Sampler
from touchstone.sheets.layout import in_line, stacked, table

# The paper's +-0.25 for latents of U[-1, 1], whose deviation is 1 / sqrt(3).
NOISE = 0.25 * sqrt(3)

Groups = Sequence[Sequence[int]]


def arithmetic(sampler: Sampler, plus: Groups, minus: Groups) -> Image.Image:
    """The samples of each group and of their latents' mean; what the sum of the means gives.

    The sum's own sample stands in the middle of nine, the others are its with uniform noise.

    Args:
        sampler: whose samples are meant.
        plus: numbers of samples, a group for each mean that is added.
        minus: numbers of samples, a group for each mean that is taken off.

    Raises:
        UsageError: samples of several classes, of which the sum would have none.
    """
    signed: list[tuple[str, Sequence[int]]] = [
        *(("+", group) for group in plus),
        *(("-", group) for group in minus),
    ]
    numbers = list(chain(*plus, *minus))
    labels = sampler.labels(numbers)
    if labels is not None and len(set(labels.tolist())) > 1:
        raise UsageError(
            "format=arithmetic: samples of several classes; ask for one, as by labels=[0], and "
            "take the numbers from format=numbered labels=[0]"
        )

    def made(latents: Tensor) -> Tensor:
        return sampler(latents, None if labels is None else labels[:1].expand(len(latents)))

    def column(group: Sequence[int]) -> Image.Image:
        latents = sampler.latents(group)
        return stacked(
            table(made(latents), 1, below=[str(number) for number in group]),
            table(made(latents.mean(0, keepdim=True)), 1, below=["mean"]),
        )

    parts: list[Image.Image | str] = []
    for sign, group in signed:
        parts += [sign, column(group)]
    terms = parts[1:] if plus else parts  # no plus before the first
    return in_line(*terms, "=", table(made(nine(sampler, plus, minus)), 3))


def nine(sampler: Sampler, plus: Groups, minus: Groups) -> Tensor:
    """The sum of the means, `(9, latent_size)`: by itself at 4, elsewhere with noise."""
    added = (sampler.latents(group).mean(0) for group in plus)
    taken_off = (sampler.latents(group).mean(0) for group in minus)
    total = torch.stack([*added, *(-mean for mean in taken_off)]).sum(0)
    noise = NOISE * (2 * Draws(derive(sampler.seed, "arithmetic")).uniform(9, len(total)) - 1)
    noise[4] = 0
    return total + noise
