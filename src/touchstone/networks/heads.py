"""What stands at the end of a discriminator: it makes a verdict of features.

A head is made for the number of features `F` that a discriminator's body ends in, and maps features
`(N, F)` and labels `(N,)` to a verdict: `logits`, raw and `(N,)`, and what else it guesses. A body
goes with any head: `Discriminator(..., head=partial(Projection, classes=10))`.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

Verdict: TypeAlias = dict[str, Tensor]
Head: TypeAlias = Callable[[int], nn.Module]


class Logit(nn.Module):
    """A dense layer to one logit; ignores labels."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.logit = nn.Linear(features, 1)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `logits` `(N,)`."""
        return {"logits": self.logit(features).squeeze(1)}


class Projection(nn.Module):
    """The logit of a conditional discriminator (Miyato & Koyama 2018, arXiv 1802.05637, eq. 3).

    `psi(phi(x)) + <embedding(y), phi(x)>`, psi a dense layer.

    Args:
        features: of `phi(x)`.
        classes: how many labels there are.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.logit = nn.Linear(features, 1)
        self.embedding = nn.Embedding(classes, features)
        nn.init.xavier_uniform_(self.embedding.weight)

    def forward(self, features: Tensor, labels: Tensor) -> Verdict:
        """Gives `logits` `(N,)`."""
        projected = (self.embedding(labels) * features).sum(dim=1)
        return {"logits": self.logit(features).squeeze(1) + projected}


class Auxiliary(nn.Module):
    """A logit, and beside it the sample's class (Odena et al. 2017, ACGAN, arXiv 1610.09585).

    Args:
        features: of a sample.
        classes: how many labels there are.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.logit = nn.Linear(features, 1)
        self.classes = nn.Linear(features, classes)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `logits` `(N,)` and `classes`, the classes' logits `(N, classes)`."""
        return {"logits": self.logit(features).squeeze(1), "classes": self.classes(features)}


class Classes(nn.Module):
    """The classes of real samples alone, from which the logit follows (Salimans et al. 2016).

    arXiv 1606.03498, section 5: generated samples are a further class whose logit is fixed at 0, so
    `D(x) = Z(x) / (Z(x) + 1)` with `Z(x) = sum_k exp l_k(x)`: the logit of D is `log Z(x)`.

    Args:
        features: of a sample.
        classes: how many labels there are.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.classes = nn.Linear(features, classes)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `logits` `(N,)` and `classes`, the classes' logits `(N, classes)`."""
        classes = self.classes(features)
        return {"logits": classes.logsumexp(dim=1), "classes": classes}


class MinibatchDiscrimination(nn.Module):
    """Shows each sample how close the others of the batch are to it (Salimans et al. 2016).

    arXiv 1606.03498, section 3.2: `M_i = T f(x_i)`, a matrix of B rows of C numbers;
    `o(x_i)_b = sum_j exp(-‖M_ib - M_jb‖₁)` goes to the dense layer beside `f(x_i)`. Real and
    generated samples are judged apart, each process's by themselves.

    Args:
        features: of a sample.
        kernels: B.
        size: C.

    Attributes:
        mixes_samples: that a sample's logit depends on the others that are judged with it.
    """

    mixes_samples = True

    def __init__(self, features: int, kernels: int = 50, size: int = 5) -> None:
        super().__init__()
        self.kernels = kernels
        self.tensor = nn.Linear(features, size * kernels, bias=False)
        self.logit = nn.Linear(features + kernels, 1)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `logits` `(N,)`."""
        # (C, N, B): a sum over the first dimension is by far the fastest.
        rows = self.tensor(features).unflatten(1, (-1, self.kernels)).movedim(1, 0)
        distances = (rows[:, :, None] - rows[:, None]).abs().sum(dim=0)
        # Without the sample itself, whose distance is 0.
        closeness = torch.exp(-distances).sum(dim=1) - 1
        return {"logits": self.logit(torch.cat([features, closeness], dim=1)).squeeze(1)}


class Codes(nn.Module):
    """A logit, and the codes that a generator made the sample from (Chen et al. 2016, InfoGAN).

    arXiv 1606.03657, section 6: Q shares the discriminator's body, with one more hidden layer of
    its own.

    Args:
        features: of a sample.
        categories: of the categorical code.
        continuous: how many continuous codes there are; each is guessed by a Gaussian's mean, its
            variance being fixed, as in the paper's appendix C.
        hidden: units of Q's own layer; the paper's is 128.
    """

    def __init__(
        self, features: int, categories: int, continuous: int = 0, hidden: int = 128
    ) -> None:
        super().__init__()
        self.sizes = [categories, continuous]
        self.logit = nn.Linear(features, 1)
        self.codes = nn.Sequential(
            nn.Linear(features, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, categories + continuous),
        )

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `logits` `(N,)`, `categories`, logits `(N, categories)`, and `continuous`."""
        categories, continuous = self.codes(features).split(self.sizes, dim=1)
        logits = self.logit(features).squeeze(1)
        return {"logits": logits, "categories": categories, "continuous": continuous}


class Transformations(nn.Module):
    """A logit, and by which transformation a sample was changed (Chen et al. 2019, SS-GAN).

    arXiv 1811.11212, equation 3, and Golan & El-Yaniv 2018, arXiv 1805.10917, section 4.

    Args:
        features: of a sample.
        number: how many transformations there are, the one that changes nothing among them.
    """

    def __init__(self, features: int, number: int) -> None:
        super().__init__()
        self.logit = nn.Linear(features, 1)
        self.transformations = nn.Linear(features, number)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Verdict:
        """Gives `logits` `(N,)` and `transformations`, their logits `(N, number)`."""
        return {
            "logits": self.logit(features).squeeze(1),
            "transformations": self.transformations(features),
        }
