"""One Gaussian of the discriminator's features."""

import torch
from torch import Tensor

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.examination import check, features, features_of
from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.trained import Trained

AXES = 512


class Mahalanobis(Detector):
    """The squared Mahalanobis distance of the discriminator's features (Lee et al. 2018).

    arXiv 1807.03888, equation 2, with the genuine items as the only class:
    `(f(x) - m)ᵀ Σ⁻¹ (f(x) - m)`. The covariance is shrunk as Ledoit & Wolf 2004 do (see
    `shrunken`), so that it has an inverse where there are more features than items, too. It is
    kept by its principal axes; of more than 512, the first, and along all the others the variance
    is the same one, their mean (Tipping & Bishop 1999, equation 8).
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor
    rest: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("axes", torch.empty(0, 0))
        self.register_buffer("variances", torch.empty(0))
        self.register_buffer("rest", torch.empty(()))

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Sees the networks."""
        check(trained, shape, "mahalanobis")
        super().prepare(trained, shape)

    def fit(self, genuine: Split) -> None:
        """Takes the mean and the covariance of the items' features.

        Raises:
            UsageError: fewer than two items.
        """
        if len(genuine) < 2:
            raise UsageError("detector=mahalanobis: a variance needs 2 genuine items or more")
        points = features_of(self.trained, genuine)
        self.mean = points.mean(dim=0)
        axes, variances, least = shrunken(points - self.mean)
        self.axes, self.variances = axes[:AXES].contiguous(), variances[:AXES]
        others = points.shape[1] - len(self.axes)
        unseen = points.shape[1] - len(axes)  # along which no item differs from the mean
        total = variances[AXES:].sum() + unseen * least
        self.rest = total / others if others else least

    def score(self, samples: Tensor) -> Tensor:
        """The squared distances, `(N,)`."""
        differences = features(self.trained, samples) - self.mean
        along = differences @ self.axes.T
        beside = differences - along @ self.axes
        return (along**2 / self.variances).sum(dim=1) + (beside**2).sum(dim=1) / self.rest


def shrunken(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The covariance of points, shrunk towards `μ I` (Ledoit & Wolf 2004, equation 14).

    A well-conditioned estimator for large-dimensional covariance matrices, Journal of Multivariate
    Analysis 88: `Σ* = (b² / d²) μ I + (a² / d²) S`, with the paper's `m = μ`, `d²`, `b²` and
    `a² = d² - b²` of lemmas 3.2 to 3.5 times the dimension. `Σ*` has the axes of S.

    Args:
        points: `(n, F)`, of mean 0.

    Returns:
        The principal axes that S has a variance along, `(r, F)`, the most varied first; the
        variances of `Σ*` along them, `(r,)`; and the one along every direction beside them.
    """
    number, dimension = points.shape
    axes, sample = _principal(points)
    mean = sample.sum() / dimension
    spread = (sample**2).sum()  # ‖S‖²
    distance = spread - dimension * mean**2  # d² = ‖S - μI‖²
    error = ((points**2).sum(dim=1) ** 2).sum() / number**2 - spread / number
    share = (error.clamp(min=0) / distance).clamp(max=1) if distance > 0 else torch.ones_like(mean)
    # Of genuine items that are all the same, any other differs without bounds.
    least = (share * mean).clamp(min=torch.finfo(points.dtype).tiny)
    return axes, (1 - share) * sample + least, least


def _principal(points: Tensor) -> tuple[Tensor, Tensor]:
    """The axes `(r, F)` and the variances `(r,)` along them, by the smaller of two products."""
    number, dimension = points.shape
    if dimension <= number:
        variances, axes = torch.linalg.eigh(points.T @ points / number)
        return axes.T.flip(0), variances.flip(0).clamp(min=0)
    # XXᵀ / n has the variances of XᵀX / n; u of the one is Xᵀu / |Xᵀu| of the other.
    variances, items = torch.linalg.eigh(points @ points.T / number)
    seen = variances > variances[-1] * number * torch.finfo(points.dtype).eps
    axes = items[:, seen].T.flip(0) @ points
    return torch.nn.functional.normalize(axes, dim=1), variances[seen].flip(0)
