"""Stopping a run whose numbers are no longer finite."""

from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from touchstone.errors import DivergedError
from touchstone.gan import GAN, Seen


class Divergence(Callback):
    """Stops at a loss, a term or a weight that is not finite, and lets none be saved.

    The iterations are counted on the device and looked at every so many images, and before a
    checkpoint is written, so that none of them waits for the device.

    Args:
        every: images from one look to the next.
    """

    QUANTITIES = ("loss/discriminator", "loss/generator", "a term of the losses")

    def __init__(self, every: int) -> None:
        self.every = every
        # Of the iterations since the last look: how many there were, and were finite by quantity.
        self._counts: Tensor | None = None
        self._images = 0

    def on_train_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Begins to count."""
        self._start(module)

    def on_iteration_end(self, module: GAN, seen: Seen) -> None:
        """Counts the iteration as long as it is finite."""
        terms = [value for name, value in seen.items() if name.startswith("term/")]
        # A private run does not tell what the discriminator's was.
        values = [seen.get(name, seen["loss/generator"]) for name in self.QUANTITIES[:2]]
        values.append(sum(terms[1:], start=terms[0]) if terms else values[0])
        if self._counts is not None:
            zeros = torch.stack([torch.zeros_like(values[0]), *values]) * 0  # NaN if not finite
            self._counts += zeros == 0

    def on_train_batch_end(self, trainer: Trainer, module: GAN, *_: Any) -> None:  # type: ignore[override]
        """Looks when it is due."""
        if module.passed(self.every):
            self._look(module)

    def on_save_checkpoint(  # type: ignore[override]
        self, trainer: Trainer, module: GAN, checkpoint: dict[str, Any]
    ) -> None:
        """Refuses a checkpoint that is not good."""
        self._look(module)

    def _start(self, module: GAN) -> None:
        if self._counts is None:
            self._counts = torch.zeros(1 + len(self.QUANTITIES), device=module.device)
        self._counts.zero_()  # in place: a recorded iteration writes where it did before
        self._images = module.images

    def _look(self, module: GAN) -> None:
        if self._counts is None:
            return
        iterations, *finite = [int(count) for count in self._counts.tolist()]
        if min(finite) < iterations:
            step = (module.images - self._images) // iterations
            bad = self._images // step + min(finite) + 1
            name = self.QUANTITIES[finite.index(min(finite))]
            raise DivergedError(
                f"the run diverged in iteration {bad:,} ({bad * step:,} images): "
                f"{name} is not finite"
            )
        for network in (module.generator, module.discriminator):
            if (weight := _not_finite(network)) is not None:
                kind = "generator" if network is module.generator else "discriminator"
                raise DivergedError(
                    f"the run diverged by {module.images:,} images: the {kind}'s {weight} is not "
                    "finite"
                )
        self._start(module)


def _not_finite(network: nn.Module) -> str | None:
    """Names the first parameter that is not finite."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    norms = torch.stack(torch._foreach_norm([p.detach() for p in parameters], float("inf")))
    bad = (~torch.isfinite(norms)).nonzero()
    return str(names[int(bad[0])]) if len(bad) else None
