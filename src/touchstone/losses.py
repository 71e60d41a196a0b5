"""The adversarial losses.

Each loss is a pair: what the discriminator minimizes and what the generator minimizes. Logits are
the discriminator's raw outputs, one a sample, `(N,)`; `E` is the mean over the batch. The real and
the fake term of a discriminator's loss are summed and not halved.
"""

from typing import Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus

from touchstone.processes import mean


class Loss(Protocol):
    """What the training step asks of a loss.

    Attributes:
        relativistic: whether the generator's loss needs the logits of real samples too.
        whole_batch: whether a sample's term depends on the other samples of the batch.
    """

    relativistic: bool
    whole_batch: bool

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Gives the scalar that the discriminator minimizes, from logits `(N,)`."""
        ...

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """Gives the scalar that the generator minimizes, from logits `(N,)`."""
        ...


class Vanilla:
    """The loss of the founding article (Goodfellow et al. 2014, arXiv 1406.2661).

    The article's probability is `sigmoid(logit)`. With `softplus(x) = log(1 + e^x)`, its logarithms
    are `-log sigmoid(x) = softplus(-x)` and `-log(1 - sigmoid(x)) = softplus(x)`, which stay finite
    where the logarithm of a probability does not.

    Args:
        saturating: whether the generator minimizes `E log(1 - D(G(z)))`, the minimax form of
            equation 1, instead of `-E log D(G(z))`, which the article recommends below it.
        smoothing: by how much the target of real samples lies below 1, in [0, 1): one-sided label
            smoothing (Salimans et al. 2016, arXiv 1606.03498, section 3.4).

    Raises:
        ValueError: `smoothing` is outside [0, 1).
    """

    relativistic = False
    whole_batch = False

    def __init__(self, saturating: bool = False, smoothing: float = 0.0) -> None:
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing={smoothing} has to be at least 0 and less than 1.")
        self.saturating = saturating
        self.smoothing = smoothing

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The cross-entropy to the targets `1 - s` and 0, where `s` is the smoothing.

        `-E [(1 - s) log sigmoid(real) + s log(1 - sigmoid(real))] - E log(1 - sigmoid(fake))`.
        """
        # (1 - s) softplus(-x) + s softplus(x) = softplus(-x) + s x
        real = softplus(-real_logits) + self.smoothing * real_logits
        return real.mean() + softplus(fake_logits).mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """`-E log sigmoid(fake)`, or `E log(1 - sigmoid(fake))` when saturating."""
        return -softplus(fake_logits).mean() if self.saturating else softplus(-fake_logits).mean()


class LeastSquares:
    """Squared distance to the targets 1 and 0 (Mao et al. 2017, arXiv 1611.04076, equation 9).

    The paper's factor of one half is left out.
    """

    relativistic = False
    whole_batch = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """`E (real - 1)² + E fake²`."""
        return (real_logits - 1).square().mean() + fake_logits.square().mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """`E (fake - 1)²`."""
        return (fake_logits - 1).square().mean()


class Wasserstein:
    """The difference of means (Arjovsky et al. 2017, arXiv 1701.07875, equations 2 and 3).

    It estimates a distance only while the discriminator is Lipschitz: weight clipping, a gradient
    penalty or spectral normalization has to see to that.
    """

    relativistic = False
    whole_batch = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """`E fake - E real`."""
        return fake_logits.mean() - real_logits.mean()

    def estimates(self, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        """What the discriminator maximizes, which figures 3 and 4 show along the training.

        It estimates K times the distance, K being the discriminator's Lipschitz constant.
        """
        return {"wasserstein_distance": real_logits.mean() - fake_logits.mean()}

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """`-E fake`."""
        return -fake_logits.mean()


class DiscriminatorAlone:
    """Teaches the discriminator by a loss, and the generator nothing: a term has to.

    Args:
        loss: the discriminator's.
    """

    relativistic = False

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.whole_batch = loss.whole_batch

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The loss's own."""
        return self.loss.discriminator(real_logits, fake_logits)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """0, with the graph to the logits."""
        return 0 * fake_logits.sum()


class Hinge:
    """Ignores what is classified beyond a margin of 1 (Lim & Ye 2017, arXiv 1705.02894).

    In the form of Miyato et al. 2018, arXiv 1802.05957, equations 16 and 17.
    """

    relativistic = False
    whole_batch = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """`E max(0, 1 - real) + E max(0, 1 + fake)`."""
        return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """`-E fake`: the hinge is the discriminator's alone."""
        return -fake_logits.mean()


class Relativistic:
    """Compares each fake sample with one real (Jolicoeur-Martineau 2018, arXiv 1807.00734).

    RSGAN in the paper, RpGAN in R3GAN's (Huang et al. 2024, arXiv 2501.05441). The i-th real sample
    is paired with the i-th fake one.
    """

    relativistic = True
    whole_batch = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """`-E log sigmoid(real - fake)`.

        Raises:
            ValueError: the two batches do not pair up.
        """
        return _softplus_of_difference(fake_logits, real_logits)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """`-E log sigmoid(fake - real)`.

        Raises:
            ValueError: `real_logits` is missing, or the two batches do not pair up.
        """
        return _softplus_of_difference(_given(real_logits), fake_logits)


class RelativisticAverage:
    """Compares each sample with the average of the other kind (Jolicoeur-Martineau 2018).

    RaSGAN, arXiv 1807.00734. The averages are over the batches of all processes.
    """

    relativistic = True
    whole_batch = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """`-E log sigmoid(real - E fake) - E log(1 - sigmoid(fake - E real))`."""
        real = softplus(mean(fake_logits.mean()) - real_logits).mean()
        fake = softplus(fake_logits - mean(real_logits.mean())).mean()
        return real + fake

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """The discriminator's with the roles exchanged.

        `-E log sigmoid(fake - E real) - E log(1 - sigmoid(real - E fake))`.

        Raises:
            ValueError: `real_logits` is missing.
        """
        return self.discriminator(real_logits=fake_logits, fake_logits=_given(real_logits))


def _given(real_logits: Tensor | None) -> Tensor:
    if real_logits is None:
        raise ValueError("A relativistic loss compares with real samples: pass real_logits.")
    return real_logits


def _softplus_of_difference(minuend: Tensor, subtrahend: Tensor) -> Tensor:
    # (N,) and (N, 1) would broadcast to every pair without a word.
    if minuend.shape != subtrahend.shape:
        raise ValueError(
            "The pairing loss needs as many real logits as fake ones, "
            f"not shapes {tuple(minuend.shape)} and {tuple(subtrahend.shape)}."
        )
    return softplus(minuend - subtrahend).mean()
