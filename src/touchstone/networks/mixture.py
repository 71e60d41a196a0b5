"""A generator of several experts with a learned gate.

MGAN (Hoang et al. 2018, arXiv 1708.02556) draws its generators with equal shares, and has a
classifier tell whose a sample is; MEGAN (Park et al. 2018, arXiv 1805.02481, section 4) learns
which one to take by a Gumbel-softmax whose choice is hard. Here MEGAN's gradient learns the shares
pi, which do not depend on the latent: what is generated is MGAN's `sum_k pi_k p_k`. On a ring of
eight Gaussians, eight experts keep shares near 1/8 without MEGAN's term that balances them.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softmax

from touchstone.networks import dcgan, mlp
from touchstone.networks.heads import Head, Logit, Verdict

Expert: TypeAlias = Callable[[int, Sequence[int], int, int], nn.Module]


def _mlp(latent_size: int, shape: Sequence[int], width: int, classes: int) -> nn.Module:
    return mlp.Generator(latent_size, shape, width, classes=classes)


def _dcgan(latent_size: int, shape: Sequence[int], width: int, classes: int) -> nn.Module:
    channels, resolution, _ = shape
    return dcgan.Generator(latent_size, resolution, channels, width, classes)


_EXPERTS: dict[str, Expert] = {"mlp": _mlp, "dcgan": _dcgan}


class Generator(nn.Module):
    """Experts that all make a sample of each latent, and a gate that takes one of them.

    The gate's logits are parameters. A latent's first numbers become Gumbel noise on them, and the
    largest sum is the choice: a latent always has the same expert. The gradient of the choice is
    that of the softmax of the sums (Jang et al. 2017, arXiv 1611.01144, section 2.2).

    Args:
        latent_size: numbers in a latent: one for each expert, the rest for the experts' networks.
        experts: how many.
        family: of the experts' networks: `mlp` or `dcgan`.
        shape: of a sample, `[C, H, W]`; for `mlp`, of any length.
        width: of each expert. Cost grows with its square: k experts of width w cost what one of
            width w sqrt(k) does.
        classes: of conditional experts.

    Raises:
        ValueError: for another family, or a latent that has no room for the experts' choice.
    """

    def __init__(
        self,
        latent_size: int,
        experts: int,
        family: str,
        shape: Sequence[int],
        width: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if latent_size <= experts:
            raise ValueError(
                f"model.latent_size={latent_size} has no room beside the choice among {experts} "
                f"experts: it is more than {experts}."
            )
        make = _EXPERTS[_known(family)]
        self.latent_size = latent_size
        self.classes = classes
        self.gate = nn.Parameter(torch.zeros(experts))
        self.experts = nn.ModuleList(
            make(latent_size - experts, shape, width, classes) for _ in range(experts)
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` and labels to samples `(N, *shape)`."""
        sums = self._sums(latents)
        soft = softmax(sums, dim=1)
        hard = one_hot(sums.argmax(dim=1), len(self.gate)).to(soft)
        # The bracket is 0: only the gradient is the softmax's.
        choice = hard + (soft - soft.detach())
        samples = self.expert_samples(latents, labels)
        weights = choice.T.reshape(*choice.T.shape, *(1 for _ in samples.shape[2:]))
        return (weights * samples).sum(dim=0)

    def expert_samples(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Gives every expert's samples of the same latents, `(experts, N, *shape)`."""
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


class Discriminator(nn.Module):
    """The family's own.

    Args:
        family: `mlp` or `dcgan`.
        shape: of a sample.
        width: of its layers.
        normalization: by name, as the family allows.
        head: makes the verdict.

    Raises:
        ValueError: for another family, or where the family raises one.
    """

    def __init__(
        self,
        family: str,
        shape: Sequence[int],
        width: int,
        normalization: str,
        head: Head = Logit,
    ) -> None:
        super().__init__()
        self.network: mlp.Discriminator | dcgan.Discriminator
        if _known(family) == "mlp":
            self.network = mlp.Discriminator(shape, width, normalization=normalization, head=head)
        else:
            channels, resolution, _ = shape
            self.network = dcgan.Discriminator(
                resolution, channels, width, normalization, head=head
            )

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `features` `(N, F)` of samples `(N, *shape)`, and the head's verdict."""
        return self.network.examine(samples, labels)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps samples `(N, *shape)` to raw logits `(N,)`."""
        return self.examine(samples, labels)["logits"]


def _known(family: str) -> str:
    if family not in _EXPERTS:
        raise ValueError(f"model.family={family} is unknown: it is one of {', '.join(_EXPERTS)}.")
    return family
