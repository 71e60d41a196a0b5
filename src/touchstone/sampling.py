"""Samples of a generator: from the same latents for the same seed, however many are asked for."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from touchstone.draws import Draws, Share, derive
from touchstone.reproducible import settle_vector_math

CHUNK = 250


def latents(number: int, size: int, seed: int) -> Tensor:
    """Draws latents `(number, size)` from N(0, I); the first are the same for any number."""
    chunks = [
        Draws(derive(seed, "latents", chunk)).normal(CHUNK, size)
        for chunk in range(-(-number // CHUNK))
    ]
    return torch.cat(chunks)[:number] if chunks else torch.empty(0, size)


@torch.inference_mode()
def samples(
    generator: nn.Module,
    number: int,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    share: Share | None = None,
) -> Iterator[Tensor]:
    """Generates samples in batches of at most 250, in eval mode.

    Args:
        generator: has a `latent_size`.
        number: how many, over all processes.
        seed: of the latents.
        device: where the generator is.
        share: this process generates every so-manieth batch.

    Yields:
        Samples `(n, ...)` as the generator makes them.
    """
    settle_vector_math()
    share = share or Share()
    was_training = generator.training
    generator.eval()
    try:
        drawn = latents(number, int(generator.latent_size), seed)  # type: ignore[arg-type]
        for batch in torch.split(drawn, CHUNK)[share.rank :: share.processes]:
            yield generator(batch.to(device))
    finally:
        generator.train(was_training)
