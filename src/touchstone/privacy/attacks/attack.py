"""What an attack is, and what an attacker has in hand."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """What an attacker knows; all features are float32.

    Attributes:
        synthetic: what the generator made, `(S, F)`.
        reference: records of the same kind that the attacker has of his own, `(R, F)`; none of
            those that he asks about is among them.
    """

    synthetic: Tensor
    reference: Tensor


class Attack(Protocol):
    """Gives records scores: the higher, the likelier the generator was trained on the record."""

    def __call__(self, records: Tensor, evidence: Evidence) -> Tensor:
        """Scores records `(N, F)`: finite, float64 `(N,)` on the CPU."""
        ...
