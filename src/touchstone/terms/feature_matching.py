"""Feature matching: a goal for the generator beside, or in place of, fooling the discriminator."""

from torch import Tensor

from touchstone import processes
from touchstone.terms.term import Creation, Term


class FeatureMatching(Term):
    """Has the generator match the mean of the real samples' features (Salimans et al. 2016).

    arXiv 1606.03498, section 3.1: `‖E f(x) - E f(G(z))‖²`, f being what the discriminator's head is
    given. The paper's generator minimizes this alone: `loss=feature_matching`.
    """

    examines = True
    compares = True
    whole_batch = True

    def generator(self, creation: Creation) -> Tensor:
        """The squared distance between the batches' mean features, over all processes."""
        real = creation.real_verdict["features"].float().mean(dim=0).detach()
        fake = creation.fake_verdict["features"].float().mean(dim=0)
        return processes.mean(real - fake).square().sum()
