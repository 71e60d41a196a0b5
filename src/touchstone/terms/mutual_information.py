"""Mutual information between a generator's codes and its samples."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from touchstone.terms.term import Creation, Critique, Term


class MutualInformation(Term):
    """Has generated samples show the codes that they were made from (Chen et al. 2016, InfoGAN).

    arXiv 1606.03657, equations 5 and 6: both players maximize the lower bound
    `L_I = E log Q(c | G(z, c)) + H(c)`, whose entropy H(c) is a constant and left out. The code of
    a category is guessed by its cross-entropy, a continuous one by a Gaussian of variance 1: half
    its squared error, up to a constant. With a mixture of experts, whose only code is the
    expert that was chosen, this is the classifier of MGAN (Hoang et al. 2018, equation 2).

    Args:
        weight: of the categories: lambda, 1 in the paper.
        continuous: factor of the continuous codes' terms beside it; the paper's lambda for them is
            smaller, of no stated size.
        every: updates of each player from one application to the next.
    """

    examines = True

    def __init__(self, weight: float, continuous: float = 0.1, every: int = 1) -> None:
        super().__init__(weight, every)
        self.continuous = continuous

    def discriminator(self, critique: Critique) -> Tensor:
        """`-E log Q(c | x)`, x generated."""
        _, fake = critique.verdicts
        return self._of(fake, critique.networks[0], critique.latents)

    def generator(self, creation: Creation) -> Tensor:
        """`-E log Q(c | G(z, c))`."""
        return self._of(creation.fake_verdict, creation.networks[0], creation.latents)

    def _of(self, verdict: dict[str, Tensor], generator: nn.Module, latents: Tensor) -> Tensor:
        with torch.no_grad():
            categories, continuous = generator.codes(latents)  # type: ignore[operator]
        bound = cross_entropy(verdict["categories"].float(), categories)
        if continuous.shape[1]:
            error = mse_loss(verdict["continuous"].float(), continuous) / 2
            bound = bound + self.continuous * error * continuous.shape[1]
        return bound
