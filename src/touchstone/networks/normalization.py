"""The discriminator's normalization, chosen by name, and spectral normalization for both networks.

`batch`, `layer` and `instance` act on activations, `spectral` acts on weights, `none` on nothing. A
discriminator puts `of_activations` between its layers and calls `of_weights` once it is built.
"""

from collections.abc import Callable

from torch import nn
from torch.nn.utils import parametrizations

_OF_ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "spectral": lambda channels: nn.Identity(),
}


def of_activations(name: str, channels: int) -> nn.Module:
    """Makes the layer that normalizes activations `(N, channels, H, W)`, each with scale and shift.

    Args:
        name: `batch` (Ioffe & Szegedy 2015: each channel over the batch), `layer` (Ba et al. 2016:
            each sample over all of its channels and places), `instance` (Ulyanov et al. 2016: each
            channel of each sample), or `none` or `spectral`, which leave activations as they are.
        channels: of the activations.

    Raises:
        ValueError: for another name.
    """
    _check(name)
    return _OF_ACTIVATIONS[name](channels)


def of_weights(name: str, network: nn.Module) -> None:
    """Divides, for `spectral`, every layer's weight by its largest singular value.

    The layers are convolutions, linear layers, and embeddings, by which a head projects (Miyato &
    Koyama 2018). Initialize weights before: see `spectral`.

    Args:
        name: of the normalization; all but `spectral` leave the network as it is.
        network: changed in place.

    Raises:
        ValueError: for an unknown name.
    """
    _check(name)
    if name == "spectral":
        spectral(network, nn.Conv2d, nn.Linear, nn.Embedding)


def spectral(network: nn.Module, *kinds: type[nn.Module]) -> None:
    """Divides the weight of every layer of some kinds by its largest singular value.

    Miyato et al. 2018, equation 8 and algorithm 1: the weight is taken as a matrix of a row for
    each output (for an embedding: each class), and each forward pass in training mode is one step
    of its power iteration. Afterwards a layer's `weight` is computed, and what is trained is its
    `parametrizations.weight.original`. A weight of zeros has no such multiple: initialize before.

    Args:
        network: changed in place.
        kinds: of its layers. A generator's embeddings are not among them (Brock et al. 2019), since
            they scale activations or are mapped by layers that are normalized.
    """
    for module in list(network.modules()):
        if isinstance(module, kinds):
            parametrizations.spectral_norm(module)


def has_shift(name: str) -> bool:
    """Says whether activations are shifted anyway, so that the layer before needs no bias."""
    return name in ("batch", "layer", "instance")


def _check(name: str) -> None:
    if name not in _OF_ACTIVATIONS:
        names = ", ".join(_OF_ACTIVATIONS)
        raise ValueError(f"model.normalization={name} is unknown: it is one of {names}.")
