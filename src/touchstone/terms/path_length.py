"""Path length regularization of a generator with styles."""

import torch
from torch import Tensor

from touchstone import processes
from touchstone.terms.term import Creation, Term


class PathLength(Term):
    """`E (‖J_wᵀ y‖₂ - a)²`, so that a step in w is a step of fixed size in the sample.

    Karras et al. 2020, arXiv 1912.04958, section 3.2, equation 4: `y` is a sample of N(0, I), `J_w`
    the Jacobian of the synthesis, and `a` a moving average of the lengths `‖J_wᵀ y‖₂`, over all
    processes; no gradient flows through it. A length is divided by the root of the number of pixels
    and of the layers that w goes to. With that a `weight` of 2 is appendix B's
    `gamma_pl = ln 2 / (r² (ln r - ln 2))`, r the resolution. The term is evaluated on every second
    sample of a batch.

    The generator maps latents and labels to w, `styles`, and w to samples, `synthesis`.

    Args:
        weight: gamma_pl in these units, at least 0; the paper's is 2.
        decay: what the average takes in at each application, in [0, 1]; the paper's is 0.01.
        every: generator updates from one application to the next; the paper's are 4.

    Attributes:
        average: a.

    Raises:
        ValueError: an argument is out of range.
    """

    average: Tensor

    def __init__(self, weight: float, decay: float = 0.01, every: int = 1) -> None:
        super().__init__(weight, every)
        if not 0 <= decay <= 1:
            raise ValueError(f"PathLength's decay={decay} has to be between 0 and 1.")
        self.decay = decay
        self.register_buffer("average", torch.zeros(()))

    def generator(self, creation: Creation) -> Tensor:
        """`E (‖J_wᵀ y‖₂ - a)²`; moves a."""
        lengths = self._lengths(creation)
        mean = lengths.detach().mean().to(self.average)
        processes.average([mean])
        self.average.lerp_(mean, self.decay)
        return (lengths - self.average).square().mean()

    def _lengths(self, creation: Creation) -> Tensor:
        """Gives `‖J_wᵀ y‖₂` of each sample, in full precision whatever the training runs in."""
        network, labels = creation.networks[0], creation.labels
        # Every second, of which several processes have what one would have.
        latents = creation.latents[::2]
        with torch.autocast(latents.device.type, enabled=False):
            styles: Tensor = network.styles(  # type: ignore[operator]
                latents, None if labels is None else labels[::2]
            )
            samples: Tensor = network.synthesis(styles)  # type: ignore[operator]
            noise = creation.draws.normal(*samples.shape).to(samples)
            pixels = samples.shape[2] * samples.shape[3]
            (gradient,) = torch.autograd.grad(
                (samples * noise).sum() / pixels**0.5, styles, create_graph=True
            )
        return gradient.square().sum(dim=2).mean(dim=1).sqrt()
