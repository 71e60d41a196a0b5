"""What an update has in hand, made of the verdicts that a test states."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from touchstone.draws import Draws
from touchstone.terms import Creation, Critique, Verdict

Hands = tuple[Critique, Creation]


@pytest.fixture
def hands() -> Callable[..., Hands]:
    """Makes what both players have in hand."""

    def make(
        real: Verdict,
        fake: Verdict,
        labels: Tensor | None = None,
        latents: Tensor | None = None,
        networks: tuple[nn.Module, nn.Module] | None = None,
    ) -> Hands:
        latents = torch.zeros(1, 1) if latents is None else latents
        networks = networks or (nn.Identity(), nn.Identity())
        nothing, draws = torch.zeros(1, 1), Draws(0)
        judge = lambda samples: samples.sum(1)  # noqa: E731
        both = lambda: (real, fake)  # noqa: E731
        return (
            Critique(judge, nothing, nothing, both, draws, labels, latents, networks),
            Creation(
                nothing, nothing, lambda: real, lambda: fake, draws, labels, latents, networks
            ),
        )

    return make
