"""Terms by which the discriminator learns the classes of samples."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from touchstone import processes
from touchstone.terms.term import Creation, Critique, Term


class Classification(Term):
    """Has the discriminator tell the classes, and the generator make them (Odena et al. 2017).

    ACGAN, arXiv 1610.09585, equation 3: both players maximize the log-likelihood of the classes,
    `E log P(C = c | real) + E log P(C = c | fake)`. It needs labels, and a head that guesses
    `classes`.
    """

    examines = True
    needs_labels = True

    def discriminator(self, critique: Critique) -> Tensor:
        """The cross-entropy of the labels on real samples, and on generated ones."""
        labels = _given(critique.labels)
        real, fake = critique.verdicts
        return cross_entropy(real["classes"], labels) + cross_entropy(fake["classes"], labels)

    def generator(self, creation: Creation) -> Tensor:
        """The cross-entropy of the labels on generated samples."""
        return cross_entropy(creation.fake_verdict["classes"], _given(creation.labels))


class SemiSupervision(Term):
    """Has the discriminator classify the real samples that have a label (Salimans et al. 2016).

    arXiv 1606.03498, section 5, `L_supervised`: `-E log p(y | x, y < K + 1)`. A label of -1 says
    that there is none; the mean is over those of the whole batch.
    """

    examines = True
    needs_labels = True
    whole_batch = True

    def discriminator(self, critique: Critique) -> Tensor:
        """The cross-entropy of the labels that there are in all processes; 0 without any."""
        labels = _given(critique.labels)
        real, _ = critique.verdicts
        total = cross_entropy(real["classes"], labels, ignore_index=-1, reduction="sum")
        number = processes.mean((labels >= 0).sum().to(total))
        return total / number.clamp(min=1 / processes.number())


def _given(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise ValueError("the term compares with labels, and the data has none")
    return labels
