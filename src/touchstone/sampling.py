"""Samples of a generator: from the same latents for the same seed, however many are asked for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from touchstone.draws import Draws, derive
from touchstone.errors import UsageError
from touchstone.reproducible import settle_vector_math

CHUNK = 250


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Has a network in eval mode, and in its former mode afterwards."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


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


def sampled_chunk(
    generator: nn.Module, number: int, chunk: int, *, seed: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Generates one batch of those that `samples` gives: the samples from `chunk * 250` on."""
    numbers = range(chunk * CHUNK, min((chunk + 1) * CHUNK, number))
    return Sampler(generator, seed, device=device).of(numbers)


@dataclass(frozen=True)
class Sampler:
    """A generator's samples by their numbers: under a number lies the same one wherever it is seen.

    Attributes:
        generator: says its `latent_size`; a conditional one also how many `classes` it knows.
        seed: of the latents.
        asked: the classes that are made, in turn; of none, all that the generator knows.
        device: where the generator is.

    Raises:
        UsageError: a class that the generator does not know.
    """

    generator: nn.Module
    seed: int
    asked: tuple[int, ...] = ()
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        for label in self.asked:
            if type(label) is not int or not 0 <= label < self.known:
                classes = f"classes 0 to {self.known - 1}" if self.known else "no classes"
                raise UsageError(f"labels={list(self.asked)}: the generator knows {classes}")

    @property
    def known(self) -> int:
        """How many classes the generator knows; 0 of an unconditional one."""
        return int(getattr(self.generator, "classes", 0) or 0)

    @property
    def classes(self) -> Sequence[int]:
        """The classes that are made."""
        return self.asked or range(self.known)

    def latents(self, numbers: Sequence[int]) -> Tensor:
        """The latents of the samples of these numbers, `(n, latent_size)`."""
        size = int(self.generator.latent_size)  # type: ignore[arg-type]
        drawn = {part: _chunk(size, self.seed, part) for part in {n // CHUNK for n in numbers}}
        return torch.stack([drawn[number // CHUNK][number % CHUNK] for number in numbers])

    def labels(self, numbers: Sequence[int]) -> Tensor | None:
        """The labels of the samples of these numbers, int64 `(n,)`, each class in turn."""
        classes = self.classes
        return torch.tensor([classes[n % len(classes)] for n in numbers]) if classes else None

    @torch.inference_mode()
    def __call__(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generates samples `(n, ...)` of latents and labels, 250 at a time, in eval mode."""
        settle_vector_math()
        inputs = [one.to(self.device) for one in (latents, labels) if one is not None]
        parts = zip(*(torch.split(one, CHUNK) for one in inputs), strict=True)
        with evaluating(self.generator):
            return torch.cat([self.generator(*part) for part in parts])

    def of(self, numbers: Sequence[int]) -> Tensor:
        """Generates the samples of these numbers, `(n, ...)`."""
        return self(self.latents(numbers), self.labels(numbers))


def _chunk(size: int, seed: int, chunk: int) -> Tensor:
    return Draws(derive(seed, "latents", chunk)).normal(CHUNK, size)
