"""Every record's own gradient, of a loss that is written for a batch."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils._pytree import tree_map

from touchstone.gan import GAN, Part


def gradients(game: GAN, part: Part, fake: Tensor, names: Collection[str]) -> list[Tensor]:
    """Each record's own gradient of the discriminator's loss.

    Args:
        game: whose.
        part: the records, `(B, ...)`.
        fake: the sample beside each, `(B, ...)`, detached.
        names: of the terms that are due.

    Returns:
        Of each of the discriminator's parameters `(B, ...)`.
    """
    copies = Copies(game.discriminator, len(part.real))
    loss, _ = game.discriminator_loss(part, fake, names, copies)
    weights = list(copies.weights.values())
    found = torch.autograd.grad(len(part.real) * loss, weights, allow_unused=True)
    return [
        torch.zeros_like(weight) if gradient is None else gradient
        for gradient, weight in zip(found, weights, strict=True)
    ]


class Copies(nn.Module):
    """A discriminator that has a copy for each record, and the sample beside it.

    A loss that is the mean over records, each judged by its copy, has as its gradient by a copy's
    weights that record's own, divided by their number. That holds for whatever the loss does with
    the logits: also for penalties that differentiate them by the samples.

    Args:
        discriminator: maps samples `(N, ...)` to logits `(N,)`, each by itself.
        number: B, of copies.

    Attributes:
        number: of copies.
        weights: the copies' parameters by name, `(B, ...)`.
    """

    def __init__(self, discriminator: nn.Module, number: int) -> None:
        super().__init__()
        self.number = number
        self.weights = {
            name: weight.detach().expand(number, *weight.shape).requires_grad_()
            for name, weight in discriminator.named_parameters()
        }
        # Not among the modules: it is not its own weights that judge.
        self._discriminator: nn.Module
        self.__dict__["_discriminator"] = discriminator

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(K B, ...)` to logits `(K B,)`; of each B in a row a copy judges one."""
        logits: Tensor = self._each("forward", samples)
        return logits

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Gives all that the copies say of samples `(K B, ...)`."""
        verdict: dict[str, Tensor] = self._each("examine", samples)
        return verdict

    def _each(self, method: str, samples: Tensor) -> Any:
        asked = _Asked(self._discriminator, method)

        def judged(weights: Mapping[str, Tensor], own: Tensor) -> Any:
            named = {f"discriminator.{name}": weight for name, weight in weights.items()}
            return functional_call(asked, named, (own,))

        own = samples.reshape(-1, self.number, *samples.shape[1:])  # (K, B, ...)
        verdict = vmap(judged, in_dims=(0, 1), out_dims=1, randomness="different")(
            self.weights, own
        )
        return tree_map(lambda value: value.flatten(0, 1), verdict)


class _Asked(nn.Module):
    """Has a discriminator's method for its forward pass, which `functional_call` calls."""

    def __init__(self, discriminator: nn.Module, method: str) -> None:
        super().__init__()
        self.discriminator, self.method = discriminator, method

    def forward(self, samples: Tensor) -> Any:
        return getattr(self.discriminator, self.method)(samples, None)


@contextmanager
def held(network: nn.Module) -> Iterator[None]:
    """Moves the vectors of spectral normalization by one step, and holds them for a while.

    Each pass in training mode would move them, and the copies share them. They see weights alone,
    which are no secret.
    """
    found = [module for module in network.modules() if isinstance(module, ParametrizationList)]
    modes = [module.training for module in found]
    with torch.no_grad():
        for module in found:
            module()
            module.eval()
    try:
        yield
    finally:
        for module, mode in zip(found, modes, strict=True):
            module.train(mode)
