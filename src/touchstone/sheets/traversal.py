"""What each code of a generator means (Chen et al. 2016, InfoGAN, arXiv 1606.03657, figure 2)."""

import torch
from PIL import Image
from torch import Tensor

from touchstone.sampling import Sampler
from touchstone.sheets.layout import stacked, table

END = 0.98  # of the way from -1 to 1: the ends themselves are infinite latents


def traversal(sampler: Sampler, steps: int) -> Image.Image:
    """A block for the categories, and one for each continuous code, whose other codes are 0.

    Every block has a row a category. In the first each column is a noise of its own; in the others
    all samples have the first's noise, and the code grows from column to column.

    Args:
        sampler: of a generator with `codes` and `latents_of` (`touchstone.networks.infogan`).
        steps: samples a row.
    """
    generator = sampler.generator
    categories, continuous = int(generator.categories), int(generator.continuous)  # type: ignore[arg-type]
    noise = sampler.latents(range(steps))[:, categories + continuous :]
    category = torch.arange(categories).repeat_interleave(steps)
    beside = [str(number) for number in range(categories)]

    def made(codes: Tensor, noise: Tensor) -> Tensor:
        latents = generator.latents_of(  # type: ignore[operator]
            category, codes.repeat(categories, 1), noise.repeat(categories, 1)
        )
        return sampler(latents)

    zeros = torch.zeros(steps, continuous)
    parts: list[Image.Image | str] = ["the category by row, the noise by column"]
    parts.append(table(made(zeros, noise), steps, beside=beside))
    values = torch.linspace(-END, END, steps)
    for code in range(continuous):
        codes = zeros.clone()
        codes[:, code] = values
        above = [f"{value:.2f}" for value in values.tolist()]
        fixed = noise[:1].expand(steps, -1)
        parts += [f"continuous code {code} by column, one noise"]
        parts += [table(made(codes, fixed), steps, beside=beside, above=above)]
    return stacked(*parts)
