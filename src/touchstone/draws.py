"""Randomness as a function of where a run stands, so that resuming needs no generator's state."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


def derive(seed: int, *place: int | str) -> int:
    """Derives a seed of 63 bits from a run's seed and a place in it: equal places, equal seeds."""
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def seed_layers(seed: int, device: torch.device) -> None:
    """Seeds what layers that draw for themselves, such as dropout, draw from on a device.

    `torch.manual_seed` seeds every kind of device that there could be, and formats the call stack
    for each that is not in use: 0.6 ms on a CPU, too much for every iteration.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


@dataclass(frozen=True)
class Share:
    """The part of a global batch that this process works on.

    Attributes:
        rank: this process's number, from 0.
        processes: how many processes there are.
    """

    rank: int = 0
    processes: int = 1

    def of(self, batch: Tensor) -> Tensor:
        """Takes this process's contiguous part of a global batch; the processes divide its size."""
        size = len(batch) // self.processes
        return batch[self.rank * size : (self.rank + 1) * size]


class Randomness(Protocol):
    """Where a part takes the random numbers of its samples from; `Draws` is one such source."""

    def normal(self, size: int, *shape: int) -> Tensor:
        """Draws from N(0, 1), `(size, *shape)`."""
        ...

    def uniform(self, size: int, *shape: int) -> Tensor:
        """Draws from U[0, 1), `(size, *shape)`."""
        ...


class Draws:
    """Random numbers for one place in a run, drawn for the global batch and shared out.

    One process of 64 samples and two of 32 therefore see the same numbers. Successive calls at one
    place go on in one stream; every process has to make the same calls in the same order.

    Args:
        seed: a seed made by `derive` from the run's seed and the place.
        device: where the numbers are drawn and stay.
        share: this process's part of the global batch.

    Attributes:
        generator: which the numbers come from.
    """

    def __init__(
        self, seed: int, device: torch.device | str = "cpu", share: Share | None = None
    ) -> None:
        self._share = share or Share()
        self.generator = torch.Generator(device).manual_seed(seed)

    def move(self, seed: int) -> None:
        """Goes on at another place, whose stream begins anew."""
        self.generator.manual_seed(seed)

    def normal(self, size: int, *shape: int) -> Tensor:
        """Draws from N(0, 1): this process's `size` samples of `shape`, `(size, *shape)`."""
        return self._share.of(
            torch.randn(
                size * self._share.processes,
                *shape,
                generator=self.generator,
                device=self.generator.device,
            )
        )

    def uniform(self, size: int, *shape: int) -> Tensor:
        """Draws from U[0, 1): this process's `size` samples of `shape`, `(size, *shape)`."""
        return self._share.of(
            torch.rand(
                size * self._share.processes,
                *shape,
                generator=self.generator,
                device=self.generator.device,
            )
        )
