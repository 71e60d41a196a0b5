"""Samples of a generator: from the same latents for the same seed, however many are asked for."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from touchstone.draws import Draws, derive
from touchstone.reproducible import settle_vector_math

CHUNK = 250


def latents(number: int, size: int, seed: int) -> Tensor:
    """Draws latents `(number, size)` from N(0, I); the first are the same for any number."""
    chunks = [_chunk(size, seed, chunk) for chunk in range(-(-number // CHUNK))]
    return torch.cat(chunks)[:number] if chunks else torch.empty(0, size)


def labels(number: int, classes: int) -> Tensor:
    """Labels for `number` samples, int64: each class in turn, so that all are equally many."""
    return torch.arange(number) % classes


def samples(
    generator: nn.Module, number: int, *, seed: int, device: torch.device | str = "cpu"
) -> Iterator[Tensor]:
    """Generates samples in batches of at most 250, in eval mode.

    Args:
        generator: says its `latent_size`; a conditional one also how many `classes` it knows.
        number: how many.
        seed: of the latents.
        device: where the generator is.

    Yields:
        Samples `(n, ...)` as the generator makes them.
    """
    for chunk in range(-(-number // CHUNK)):
        yield sampled_chunk(generator, number, chunk, seed=seed, device=device)


@torch.inference_mode()
def sampled_chunk(
    generator: nn.Module, number: int, chunk: int, *, seed: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Generates one batch of those that `samples` gives: the samples from `chunk * 250` on."""
    settle_vector_math()
    first = chunk * CHUNK
    rows = min(CHUNK, number - first)
    drawn = _chunk(int(generator.latent_size), seed, chunk)[:rows].to(device)  # type: ignore[arg-type]
    classes = int(getattr(generator, "classes", 0) or 0)
    given = (labels(first + rows, classes)[first:].to(device),) if classes else ()
    was_training = generator.training
    generator.eval()
    try:
        made: Tensor = generator(drawn, *given)
    finally:
        generator.train(was_training)
    return made


def _chunk(size: int, seed: int, chunk: int) -> Tensor:
    return Draws(derive(seed, "latents", chunk)).normal(CHUNK, size)
