"""How a discriminator tells the transformations of an item (Golan & El-Yaniv 2018)."""

import torch
from torch import Tensor
from tqdm import tqdm

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.examination import check, device_of, examined
from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.sampling import CHUNK
from touchstone.terms.transformations import NUMBER, transformed
from touchstone.trained import Trained

LEAST = 1e-6  # a variance that float32's rounding has too, so that no distance is infinite


class SelfSupervised(Detector):
    """How unlikely the answers are that the discriminator gives on an item's transformations.

    Golan & El-Yaniv 2018, arXiv 1805.10917, section 4: of each transformation T_k of an item the
    head gives the probabilities y(T_k x), and the item's normality is `sum_k log p_k(y(T_k x))`,
    with a density p_k for each, learned from genuine items. The paper's p_k is a Dirichlet
    distribution. Here it is logistic-normal (Aitchison & Shen 1980, Biometrika 67), a Gaussian of
    the centred log-probabilities, which knows besides which answers go together: held-out genuine
    items are by far more likely under it. Up to constants, minus twice the normality is the sum of
    squared Mahalanobis distances over the transformations.

    Needs a discriminator that was trained by `head=self_supervised`.
    """

    means: Tensor
    precisions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.empty(NUMBER, NUMBER))
        self.register_buffer("precisions", torch.empty(NUMBER, NUMBER, NUMBER))

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Sees the networks."""
        check(trained, shape, "self_supervised")
        assert trained.discriminator is not None
        blank = torch.zeros(1, *shape, device=device_of(trained.discriminator))
        if "transformations" not in examined(trained, blank):
            raise UsageError(
                "detector=self_supervised: the discriminator was not taught to tell "
                "transformations: train with head=self_supervised"
            )
        super().prepare(trained, shape)

    @torch.no_grad()
    def fit(self, genuine: Split) -> None:
        """Takes the means and covariances of the answers, for each transformation.

        Raises:
            UsageError: fewer than two items.
        """
        if len(genuine) < 2:
            raise UsageError("detector=self_supervised: a variance needs 2 genuine items or more")
        device = self.means.device
        sums = torch.zeros(NUMBER, NUMBER, dtype=torch.float64, device=device)
        products = torch.zeros(NUMBER, NUMBER, NUMBER, dtype=torch.float64, device=device)
        parts = torch.split(torch.arange(len(genuine), device=genuine.device), CHUNK)
        for part in tqdm(parts, desc="transformations", delay=2, leave=False):
            answers = self.answers(genuine.batch(part)[0].to(device)).double()
            sums += answers.sum(dim=1)
            products += answers.mT @ answers
        means = sums / len(genuine)
        covariances = products / len(genuine) - means[:, :, None] * means[:, None, :]
        self.means = means.float()
        least = LEAST * torch.eye(NUMBER, dtype=torch.float64, device=device)
        self.precisions = torch.linalg.inv(shrunken(covariances, len(genuine)) + least).float()

    def score(self, samples: Tensor) -> Tensor:
        """The sum of the squared distances, `(N,)`."""
        differences = self.answers(samples) - self.means[:, None]
        return ((differences @ self.precisions) * differences).sum(dim=(0, 2))

    def answers(self, samples: Tensor) -> Tensor:
        """The centred log-probabilities of the transformations, of each transformation.

        Returns:
            float32 `(72, N, 72)`: the transformation that was made, the sample, the answer.
        """
        which = torch.arange(NUMBER, device=samples.device)[:, None].expand(-1, len(samples))
        logits = torch.stack(
            [
                examined(self.trained, transformed(samples, made))["transformations"].float()
                for made in which
            ]
        )
        return logits - logits.mean(dim=2, keepdim=True)


def shrunken(covariances: Tensor, number: int) -> Tensor:
    """Covariances, shrunk towards a multiple of the identity so that they have an inverse.

    Oracle-approximating shrinkage (Chen et al. 2010, IEEE Transactions on Signal Processing 58,
    equation 23): `(1 - rho) S + rho tr(S) / p I`.

    Args:
        covariances: of samples, S, `(..., p, p)`.
        number: of samples, n.
    """
    size = covariances.shape[-1]
    trace = covariances.diagonal(dim1=-2, dim2=-1).sum(-1)
    squares = covariances.square().sum((-2, -1))  # tr(S²)
    spread = (squares - trace**2 / size).clamp(min=torch.finfo(squares.dtype).tiny)
    rho = ((1 - 2 / size) * squares + trace**2) / ((number + 1 - 2 / size) * spread)
    rho, mean = (each[..., None, None] for each in (rho.clamp(max=1), trace / size))
    identity = torch.eye(size, dtype=covariances.dtype, device=covariances.device)
    return (1 - rho) * covariances + rho * mean * identity
