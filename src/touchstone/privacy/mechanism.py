"""The Gaussian mechanism on gradients (Abadi et al. 2016, arXiv 1607.00133, algorithm 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from touchstone.privacy.secret import Secret


@dataclass(frozen=True)
class Mechanism:
    """What is done to the gradients of a sample's records before anyone sees them.

    Attributes:
        clip: C, the norm beyond which a record's gradient is shortened; more than 0.
        noise: sigma, the deviation of the noise in units of C; at least 0.
        expected: how many records a sample has in expectation, by which the sum is divided: what it
            does have is nobody's business.
        secret: where the noise comes from.
    """

    clip: float
    noise: float
    expected: int
    secret: Secret

    def clipped(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """`sum_i g_i min(1, C / ‖g_i‖)`, `‖g_i‖` being the norm of all of a record's gradients.

        A gradient that is not finite counts as 0: it would tell of its record whatever the noise.

        Args:
            gradients: each `(B, ...)`, of one parameter of the records `i`.

        Returns:
            The sums, each `(...)`.
        """
        norms = vector_norm(torch.stack([_norms(each) for each in gradients]), dim=0)
        factors = self.clip / norms.clamp(min=self.clip)
        if not norms.isfinite().all():  # NaN times 0 is NaN
            gradients = [each.nan_to_num(0, 0, 0) for each in gradients]
            factors = torch.where(norms.isfinite(), factors, 0)
        return [_combined(factors, each) for each in gradients]

    def released(self, sums: Sequence[Tensor], update: int) -> list[Tensor]:
        """`(sum + N(0, sigma² C² I)) / expected`: the gradient that an update may go by.

        Args:
            sums: of the clipped gradients, each `(...)`.
            update: its number in the run, which no other has.
        """
        deviation = self.noise * self.clip
        drawn = self.secret.normal(sum(each.numel() for each in sums), "noise", update)
        pieces = torch.split(drawn, [each.numel() for each in sums])
        return [
            (each + deviation * piece.to(each).view(each.shape)) / self.expected
            for each, piece in zip(sums, pieces, strict=True)
        ]


def _norms(gradients: Tensor) -> Tensor:
    """The norm of each row of gradients `(B, ...)`, `(B,)`."""
    norms: Tensor = vector_norm(gradients[..., None], dim=tuple(range(1, gradients.ndim + 1)))
    return norms


def _combined(factors: Tensor, gradients: Tensor) -> Tensor:
    """`sum_i factors[i] gradients[i]`, read in the order in which the numbers lie in memory."""
    strides = gradients.stride()
    order = [0, *sorted(range(1, gradients.ndim), key=lambda dim: -strides[dim])]
    lying = gradients.permute(order)
    total = (factors @ lying.reshape(len(lying), -1)).view(lying.shape[1:])
    back = sorted(range(1, len(order)), key=lambda place: order[place])
    return total.permute([place - 1 for place in back])
