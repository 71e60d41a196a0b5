"""A task of the discriminator's own, for which real samples need no labels."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from touchstone.terms.term import Critique, Term
from touchstone.terms.transformations import NUMBER, transformed


class SelfSupervision(Term):
    """Has the discriminator tell by which transformation a real sample was changed.

    The discriminator's term of SS-GAN (Chen et al. 2019, arXiv 1811.11212, equation 3),
    `-E_x E_t log Q(T = t | t(x))`, with the 72 transformations of Golan & El-Yaniv 2018 for the
    four quarter turns. It keeps the features from forgetting what the game has no use for. It
    needs a head that guesses `transformations`.

    Args:
        weight: beta, 1 in the paper.
        views: transformations of each sample at each update, at least 1.
        every: discriminator updates from one application to the next, at least 1.

    Raises:
        ValueError: an argument is out of range.
    """

    probes = True
    examines = True

    def __init__(self, weight: float, views: int = 1, every: int = 1) -> None:
        super().__init__(weight, every)
        if views < 1:
            raise ValueError(f"SelfSupervision's views={views} has to be at least 1.")
        self.views = views

    def discriminator(self, critique: Critique) -> Tensor:
        """The cross-entropy of the transformations, each sample's drawn anew."""
        drawn = critique.draws.uniform(len(critique.real), self.views)
        which = (drawn * NUMBER).long().flatten()
        samples = transformed(critique.real.repeat_interleave(self.views, dim=0), which)
        labels = critique.labels
        if labels is not None:
            labels = labels.repeat_interleave(self.views)
        verdict = critique.networks[1].examine(samples, labels)  # type: ignore[operator]
        return cross_entropy(verdict["transformations"].float(), which)
