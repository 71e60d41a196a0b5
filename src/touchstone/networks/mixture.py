"""A generator of several experts with a learned gate.

MGAN (Hoang et al. 2018, arXiv 1708.02556) draws its generators with equal shares, and has a
classifier tell whose a sample is; MEGAN (Park et al. 2018, arXiv 1805.02481, section 4) learns
which one to take by a Gumbel-softmax whose choice is hard. Here MEGAN's gradient learns the shares
pi, which do not depend on the latent: what is generated is MGAN's `sum_k pi_k p_k`. On a ring of
eight Gaussians, eight experts keep shares near 1/8 without MEGAN's term that balances them.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softmax


class Generator(nn.Module):
    """Experts that all make a sample of each latent, and a gate that takes one of them.

    The gate's logits are parameters. A latent's first numbers become Gumbel noise on them, and the
    largest sum is the choice: a latent always has the same expert. The gradient of the choice is
    that of the softmax of the sums (Jang et al. 2017, arXiv 1611.01144, section 2.2).

    Args:
        expert: makes a generator; each expert is one of its making.
        experts: how many. The cost of a network grows with the square of its width: k experts of
            width w cost what one of width w sqrt(k) does.

    Attributes:
        latent_size: numbers in a latent: one for each expert, and the experts' own.
        classes: of conditional experts.
    """

    def __init__(self, expert: Callable[[], nn.Module], experts: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(experts))
        self.experts = nn.ModuleList(expert() for _ in range(experts))
        first = self.experts[0]
        self.latent_size = experts + int(first.latent_size)  # type: ignore[arg-type]
        self.classes = int(first.classes)  # type: ignore[arg-type]

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` and labels to samples `(N, ...)`."""
        sums = self._sums(latents)
        soft = softmax(sums, dim=1)
        hard = one_hot(sums.argmax(dim=1), len(self.gate)).to(soft)
        # The bracket is 0: only the gradient is the softmax's.
        choice = hard + (soft - soft.detach())
        samples = self.expert_samples(latents, labels)
        weights = choice.T.reshape(*choice.T.shape, *(1 for _ in samples.shape[2:]))
        return (weights * samples).sum(dim=0)

    def expert_samples(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Gives every expert's samples of the same latents, `(experts, N, ...)`."""
        own = latents[:, len(self.gate) :]
        return torch.stack([expert(own, labels) for expert in self.experts])

    def codes(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Gives the experts `(N,)` that latents choose, and no continuous codes `(N, 0)`."""
        return self._sums(latents).argmax(dim=1), latents[:, :0]

    def shares(self) -> Tensor:
        """Gives each expert's probability, `(experts,)`."""
        return softmax(self.gate, dim=0)

    def _sums(self, latents: Tensor) -> Tensor:
        """The gate's logits with Gumbel noise, `(N, experts)`; z has the probability ndtr(z)."""
        normal = latents[:, : len(self.gate)].float()
        return self.gate - torch.log(-torch.special.log_ndtr(normal))
