"""Categorical and continuous codes, made of a latent's normal numbers, and the way back.

A latent is `categories` numbers, the largest of which is the category, each with the same
probability; `continuous` numbers, which become uniform codes in [-1, 1]; and noise.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def of(latents: Tensor, categories: int, continuous: int) -> tuple[Tensor, Tensor]:
    """Reads the codes of latents.

    Args:
        latents: N(0, I), `(N, categories + continuous + noise)`.
        categories: of the categorical code.
        continuous: how many continuous codes there are.

    Returns:
        The categories `(N,)`, int64, and the continuous codes `(N, continuous)` in [-1, 1].
    """
    category, value, _ = _split(latents, categories, continuous)
    return category.argmax(dim=1), 2 * torch.special.ndtr(value) - 1


def inputs_of(latents: Tensor, categories: int, continuous: int) -> Tensor:
    """What a generator is given of latents: the category one-hot, the continuous codes, the noise.

    Args:
        latents: as for `of`.
        categories: as for `of`.
        continuous: as for `of`.

    Returns:
        A tensor of the latents' shape.
    """
    category, value = of(latents, categories, continuous)
    noise = _split(latents, categories, continuous)[2]
    return torch.cat([one_hot(category, categories).to(noise), value, noise], dim=1)


def latents_of(category: Tensor, continuous: Tensor, noise: Tensor, categories: int) -> Tensor:
    """Makes latents that have these codes: a sample can be followed along one code at a time.

    Args:
        category: `(N,)`, from 0 to categories - 1.
        continuous: `(N, continuous)`, in (-1, 1).
        noise: N(0, I), `(N, noise)`.
        categories: of the categorical code.

    Returns:
        Latents `(N, categories + continuous + noise)`.
    """
    value = torch.special.ndtri((continuous + 1) / 2)
    return torch.cat([one_hot(category, categories).to(noise), value.to(noise), noise], dim=1)


def _split(latents: Tensor, categories: int, continuous: int) -> tuple[Tensor, Tensor, Tensor]:
    noise = latents.shape[1] - categories - continuous
    category, value, rest = torch.split(latents, [categories, continuous, noise], dim=1)
    return category, value, rest
