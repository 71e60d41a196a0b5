"""Terms of the discriminator's loss that look at gradients or logits, and what constrains weights.

A penalty is a `touchstone.terms.Term` of the discriminator alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from touchstone import processes
from touchstone.terms.term import Critique, Term


def gradients(discriminator: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """Differentiates each sample's logit by that sample.

    The samples make a forward pass of their own, in full precision whatever the training runs in:
    squares of small half-precision gradients vanish. The result can be differentiated again.

    Args:
        discriminator: maps samples `(N, ...)` to logits `(N,)`.
        samples: `(N, ...)`; no gradient flows back to where they came from.

    Returns:
        All elements of a sample's gradient in one row, `(N, F)`.
    """
    full = torch.promote_types(samples.dtype, torch.float32)
    leaf = samples.detach().to(full).requires_grad_()
    with torch.autocast(samples.device.type, enabled=False):
        logits = discriminator(leaf)
        # A logit depends on its own sample alone, so the sum's gradient holds each logit's own.
        (gradient,) = torch.autograd.grad(logits.sum(), leaf, create_graph=True)
    # Where several samples have one logit (`ctgan.Discriminator`), they are one point together.
    return gradient.reshape(len(logits), -1)


class GradientPenalty(Term):
    """`lambda E (‖∇D(x̂)‖₂ - 1)²`, on lines between real and fake (Gulrajani et al. 2017).

    arXiv 1704.00028, equation 3 and algorithm 1: `x̂ = epsilon x + (1 - epsilon) x̃`, x real, x̃ fake,
    one `epsilon ~ U[0, 1)` a sample, and where a discriminator judges packs of samples, whose
    attribute `pack` says how many (Lin et al. 2018), one a pack: its line is between packs.
    `weight` is the paper's lambda, 10 there.
    """

    per_sample = True
    probes = True

    def discriminator(self, critique: Critique) -> Tensor:
        """`E (‖∇D(x̂)‖₂ - 1)²`."""
        real, fake = critique.real, critique.fake
        pack = int(getattr(critique.networks[1], "pack", 1))
        epsilon = critique.draws.uniform(len(real) // pack, *(1 for _ in real.shape[1:])).to(real)
        between = torch.lerp(fake.to(real), real, epsilon.repeat_interleave(pack, dim=0))
        norms: Tensor = vector_norm(gradients(critique.discriminator, between), dim=1)
        return (norms - 1).square().mean()


class R1(Term):
    """`gamma/2 E ‖∇D(x)‖²` on real samples (Mescheder et al. 2018, arXiv 1801.04406, equation 9).

    `weight` is the paper's gamma, 10 there.
    """

    per_sample = True
    probes = True

    def discriminator(self, critique: Critique) -> Tensor:
        """`E ‖∇D(x)‖² / 2`, x real."""
        return gradients(critique.discriminator, critique.real).square().sum(dim=1).mean() / 2


class R2(Term):
    """`gamma/2 E ‖∇D(x)‖²` on fake samples (Mescheder et al. 2018, arXiv 1801.04406, equation 10).

    `weight` is the paper's gamma, 10 there.
    """

    per_sample = True
    probes = True

    def discriminator(self, critique: Critique) -> Tensor:
        """`E ‖∇D(x)‖² / 2`, x fake."""
        return gradients(critique.discriminator, critique.fake).square().sum(dim=1).mean() / 2


class DRAGAN(Term):
    """`lambda E (‖∇D(x + delta)‖₂ - 1)²`, around real samples (Kodali et al. 2017).

    arXiv 1705.07215: `delta ~ N(0, cI)`, drawn for every element. `weight` is the paper's lambda,
    10 there; its target norm k is 1 here.

    Args:
        weight: lambda, at least 0.
        variance: c, in the samples' units squared; more than 0.
        every: discriminator updates from one application to the next, at least 1.

    Raises:
        ValueError: an argument is out of range.
    """

    per_sample = True
    probes = True

    def __init__(self, weight: float, variance: float, every: int = 1) -> None:
        super().__init__(weight, every)
        if variance <= 0:
            raise ValueError(f"DRAGAN's variance={variance} has to be more than 0.")
        self.variance = variance

    def discriminator(self, critique: Critique) -> Tensor:
        """`E (‖∇D(x + delta)‖₂ - 1)²`."""
        real = critique.real
        delta = self.variance**0.5 * critique.draws.normal(*real.shape).to(real)
        norms: Tensor = vector_norm(gradients(critique.discriminator, real + delta), dim=1)
        return (norms - 1).square().mean()


class Drift(Term):
    """`epsilon E D(x)²` on real samples, which keeps logits near 0 (Karras et al. 2018).

    arXiv 1710.10196, appendix A.1. `weight` is the paper's epsilon, 0.001 there.
    """

    def discriminator(self, critique: Critique) -> Tensor:
        """`E D(x)²`, x real."""
        real, _ = critique.logits
        return real.square().mean()


class LeCam(Term):
    """`lambda (E (D(x) - alpha_F)² + E (D(G(z)) - alpha_R)²)` (Tseng et al. 2021).

    arXiv 2104.03310: `alpha_R` and `alpha_F`, the anchors, are moving averages of the logits of
    real and of fake samples over all processes; no gradient flows through them. They take a batch
    in before they are compared with it, so that the first batch has anchors too: its own means.
    They move at each application, and are saved with the state.

    Args:
        weight: lambda, at least 0.
        decay: what an anchor keeps of itself at each application, in [0, 1].
        every: discriminator updates from one application to the next, at least 1.

    Raises:
        ValueError: an argument is out of range.
    """

    whole_batch = True
    real_anchor: Tensor
    fake_anchor: Tensor
    started: Tensor

    def __init__(self, weight: float, decay: float = 0.99, every: int = 1) -> None:
        super().__init__(weight, every)
        if not 0 <= decay <= 1:
            raise ValueError(f"LeCam's decay={decay} has to be between 0 and 1.")
        self.decay = decay
        self.register_buffer("real_anchor", torch.zeros(()))
        self.register_buffer("fake_anchor", torch.zeros(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def discriminator(self, critique: Critique) -> Tensor:
        """`E (D(x) - alpha_F)² + E (D(G(z)) - alpha_R)²`; moves the anchors."""
        real, fake = critique.logits
        self._follow(real, fake)
        return (real - self.fake_anchor).square().mean() + (fake - self.real_anchor).square().mean()

    @torch.no_grad()
    def _follow(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        means = torch.stack([real_logits.mean(), fake_logits.mean()]).to(self.real_anchor)
        processes.average([means])
        # Tensors throughout: reading `started` would make the host wait for the device.
        share = torch.where(self.started, 1 - self.decay, 1.0)
        self.real_anchor.lerp_(means[0], share)
        self.fake_anchor.lerp_(means[1], share)
        self.started.fill_(True)


class WeightClipping:
    """Clamps every parameter to [-bound, bound] (Arjovsky et al. 2017, algorithm 1).

    arXiv 1701.07875: called on the discriminator after each of its steps, it bounds its Lipschitz
    constant.

    Args:
        bound: the paper's c, more than 0; 0.01 there.

    Raises:
        ValueError: `bound` is not more than 0.
    """

    def __init__(self, bound: float) -> None:
        if bound <= 0:
            raise ValueError(f"Weight clipping's bound={bound} has to be more than 0.")
        self.bound = bound

    @torch.no_grad()
    def __call__(self, discriminator: nn.Module) -> None:
        """Clamps the parameters in place."""
        parameters: list[Tensor] = list(discriminator.parameters())
        torch._foreach_clamp_min_(parameters, -self.bound)
        torch._foreach_clamp_max_(parameters, self.bound)
