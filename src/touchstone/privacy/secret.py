"""What a private run's chance is made of, and who may not know it."""

import hashlib
import os
from math import pi
from pathlib import Path

import torch
from torch import Tensor

from touchstone.errors import UsageError

BYTES = 32


class Secret:
    """Random numbers for places in a run that nobody can work out who has not the secret.

    A run's seed stands in its configuration, and who knows the noise can take it off: the noise of
    a private run, and who is in its samples, come from a secret of the run's own, so that a resumed
    run is exact and nobody else's is. Numbers are read off SHAKE-256, a cryptographic function of
    the secret and the place; torch's generators are none, and on a CPU they tell no more than 2³²
    seeds apart, which can all be tried.

    What noise in floating point gives away of the number that it hides (Mironov 2012, "On
    significance of the least significant bits for differential privacy") is not prevented.

    Args:
        key: the secret.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def new(cls) -> "Secret":
        """Makes a secret, by the operating system's own chance."""
        return cls(os.urandom(BYTES))

    def keep(self, path: Path) -> None:
        """Writes it to a new file that its owner alone can read."""
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(self._key)

    @classmethod
    def kept(cls, path: Path) -> "Secret":
        """Reads the secret of a run that goes on.

        Raises:
            UsageError: it is not there, or is not whole.
        """
        try:
            key = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"{path}: a private run cannot go on without its secret ({error.strerror})"
            ) from error
        if len(key) != BYTES:
            raise UsageError(f"{path}: damaged; a secret has {BYTES} bytes, and it {len(key)}")
        return cls(key)

    def seed(self, *place: int | str) -> int:
        """A seed of 63 bits, for numbers that hide nothing by themselves."""
        return int.from_bytes(self._stream(8, place)) >> 1

    def uniform(self, number: int, *place: int | str) -> Tensor:
        """Draws from U(0, 1), `(number,)`, float64, in steps of 2⁻⁵³."""
        # A word more than is asked for: there is no tensor of no bytes.
        stream = bytearray(self._stream(8 * (number + 1), place))
        words = torch.frombuffer(stream, dtype=torch.int64, count=number + 1)[:number]
        return ((words >> 11 & 2**53 - 1).double() + 0.5) / 2**53

    def normal(self, number: int, *place: int | str) -> Tensor:
        """Draws from N(0, 1), `(number,)`, float64, by the method of Box & Muller 1958."""
        radii, angles = self.uniform(2 * ((number + 1) // 2), *place).chunk(2)
        radii, angles = (-2 * radii.log()).sqrt(), 2 * pi * angles
        return torch.cat([radii * angles.cos(), radii * angles.sin()])[:number]

    def _stream(self, size: int, place: tuple[int | str, ...]) -> bytes:
        name = "/".join(str(part) for part in place)
        return hashlib.shake_256(self._key + name.encode()).digest(size)
