"""How many samples pass the networks at once without filling the device's memory."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from touchstone.draws import Draws
from touchstone.errors import UsageError
from touchstone.gan import GAN, Part


def largest_micro_batch(
    gan: GAN,
    real: Tensor,
    labels: Tensor | None,
    precision: Callable[[], AbstractContextManager[None]],
) -> int:
    """Finds the largest part of a device's batch with which both networks can be updated.

    A copy of the game makes an update of each with every term, and its optimizers' state: the
    whole batch first, then with ever smaller divisors of it.

    Args:
        gan: untouched.
        real: a device's batch, `(N, ...)`, on the device.
        labels: theirs.
        precision: the context that the training runs in.

    Returns:
        A divisor of N.

    Raises:
        UsageError: not one sample fits.
    """
    sizes = [size for size in range(len(real), 0, -1) if len(real) % size == 0]
    for size in sizes:
        try:
            with precision():
                rehearse(gan, real[:size], None if labels is None else labels[:size])
            return size
        except torch.OutOfMemoryError:
            pass
        # Here the error is gone, and with it the frames that held on to tensors.
        if real.device.type == "cuda":
            torch.cuda.empty_cache()
    raise UsageError("micro_batch=auto: the device has no room for a single sample")


def rehearse(gan: GAN, real: Tensor, labels: Tensor | None) -> None:
    """Updates a copy of a game's networks once, with every term."""
    game = copy.deepcopy(gan).to(real.device).train()
    draws = Draws(0, real.device)
    generator, discriminator = game.configure_optimizers()
    part = Part(real, labels, draws.normal(len(real), game.latent_size), draws)
    fake = game.generator(part.latents, labels)
    loss, _ = game.discriminator_loss(part, fake.detach(), list(game.terms))
    torch.autograd.backward(loss)
    discriminator.step()
    loss, _ = game.generator_loss(part, fake, list(game.terms))
    torch.autograd.backward(loss)
    generator.step()
