"""Weights kept near orthogonal (Brock et al. 2019, arXiv 1809.11096, section 3.1)."""

import torch
from torch import Tensor, nn

from touchstone.terms.term import Creation, Term


class OrthogonalRegularization(Term):
    """Keeps a generator's filters dissimilar, whatever their lengths, for latents cut off short.

    `beta sum_W ‖Wᵀ W ⊙ (1 - I)‖²_F`, equation 3, over the generator's convolutions and linear
    layers, each with its filters as the columns of W. `weight` is the paper's beta, 1e-4 there.
    Where a weight is spectrally normalized, this is of what is trained, before it is divided.
    """

    def generator(self, creation: Creation) -> Tensor:
        """`sum_W ‖Wᵀ W ⊙ (1 - I)‖²_F`."""
        generator, _ = creation.networks
        layers = [layer for layer in generator.modules() if isinstance(layer, _KINDS)]
        with torch.autocast(creation.fake.device.type, enabled=False):
            return torch.stack([_similarity(_filters(layer)) for layer in layers]).sum()


_KINDS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def _filters(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """The layer's filters, each a row."""
    # Its parameter that is no bias: to read a normalized `weight` is a step of power iteration.
    weight = next(parameter for parameter in layer.parameters() if parameter.ndim > 1)
    return (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)


def _similarity(filters: Tensor) -> Tensor:
    """The sum of the squared products of each two different filters, `(filters, numbers)`."""
    count, size = filters.shape
    if count <= size:
        products = filters @ filters.T
        return 2 * products.triu(1).square().sum()
    # As many products as a dense layer has units, squared, may not fit into memory. The squares of
    # all have the same sum as those of the numbers' products, and their diagonal is taken off.
    lengths = filters.square().sum(dim=1)
    return (filters.T @ filters).square().sum() - lengths.square().sum()
