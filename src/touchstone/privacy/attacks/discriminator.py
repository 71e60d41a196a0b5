"""LOGAN: the discriminator, which has seen the members, finds them more real than others."""

from collections.abc import Callable

import torch
from torch import Tensor

from touchstone.privacy.attacks.attack import Evidence

BLOCK = 512  # records that are judged at once


class Discriminator:
    """The discriminator's logit, for who has it; of the evidence it needs nothing.

    The white-box attack of Hayes et al. 2019 (LOGAN, arXiv 1705.07663, section 4.2).

    Args:
        discriminator: from encoded records `(n, F)` to logits `(n,)`, in eval mode.
    """

    def __init__(self, discriminator: Callable[[Tensor], Tensor]) -> None:
        self._discriminator = discriminator

    @torch.no_grad()
    def __call__(self, records: Tensor, evidence: Evidence) -> Tensor:
        """Scores records `(N, F)`, float64 `(N,)`."""
        logits = [self._discriminator(block).cpu() for block in torch.split(records, BLOCK)]
        return torch.cat(logits).double()
