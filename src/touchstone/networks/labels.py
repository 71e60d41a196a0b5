"""Labels as a generator's input beside the latents (Mirza & Osindero 2014, arXiv 1411.1784)."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def joined(latents: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Joins each latent with its label as one number a class.

    Args:
        latents: `(N, latent_size)`.
        labels: `(N,)`, in [0, classes).
        classes: how many there are; 0 for a generator that goes without, whatever it is given.

    Returns:
        `(N, latent_size + classes)`.

    Raises:
        ValueError: where a conditional generator is given no labels.
    """
    if not classes:
        return latents
    if labels is None:
        raise ValueError(f"the generator makes samples of {classes} classes: it needs labels")
    return torch.cat([latents, one_hot(labels, classes).to(latents)], dim=1)
