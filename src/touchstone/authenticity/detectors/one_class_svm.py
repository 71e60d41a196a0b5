"""The one-class support vector machine, on the discriminator's features."""

import torch
from torch import Tensor

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.examination import check, features, features_of
from touchstone.data.split import Split
from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.trained import Trained

ITEMS = 5_000  # it compares all pairs


class OneClassSVM(Detector):
    """How far beyond the support of the genuine items a sample lies (Schölkopf et al. 2001).

    Estimating the support of a high-dimensional distribution, Neural Computation 13, equation 10
    without its sign: `offset - Σ αᵢ exp(-gamma |f(x) - f(xᵢ)|²)` over the support vectors xᵢ, f
    being the discriminator's features, standardised, and gamma one over the number of those that
    vary. A rival that plays no game, but for its features. Of more than 5,000 genuine items, it is
    fitted to 5,000 at random.

    Args:
        nu: the share of the genuine items that may lie outside, at most; in (0, 1).

    Raises:
        UsageError: another share.
    """

    mean: Tensor
    deviation: Tensor
    vectors: Tensor
    weights: Tensor
    offset: Tensor
    gamma: Tensor

    def __init__(self, nu: float = 0.1) -> None:
        super().__init__()
        if not 0 < nu < 1:
            raise UsageError(f"detectors.one_class_svm.nu={nu}: it has to be in (0, 1)")
        self.nu = nu
        for name in ("mean", "deviation", "vectors", "weights", "offset", "gamma"):
            self.register_buffer(name, torch.empty(0))

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Sees the networks."""
        check(trained, shape, "one_class_svm")
        super().prepare(trained, shape)

    def fit(self, genuine: Split) -> None:
        """Finds the support vectors (equation 15), by scikit-learn."""
        from sklearn import svm

        order = torch.randperm(
            len(genuine), generator=torch.Generator().manual_seed(derive(0, "one_class_svm"))
        )
        seen = features_of(self.trained, genuine.take(order[:ITEMS].to(genuine.device)))
        points = seen.double()
        mean, deviation = points.mean(dim=0), points.std(dim=0, correction=0)
        varying = deviation > 0
        deviation[~varying] = 1  # what has never varied says something once it does
        gamma = 1 / varying.sum().clamp(min=1)  # scikit-learn's gamma="scale"
        points = (points - mean) / deviation
        kernel = torch.exp(-gamma * torch.cdist(points, points) ** 2)
        # To the optimum, whichever way rounding leads there: it takes hardly longer.
        machine = svm.OneClassSVM(kernel="precomputed", nu=self.nu, tol=1e-6)
        machine.fit(kernel.cpu().numpy())

        self.mean, self.deviation, self.gamma = mean.to(seen), deviation.to(seen), gamma.to(seen)
        self.vectors = points[torch.from_numpy(machine.support_).long().to(points.device)].to(seen)
        self.weights = torch.from_numpy(machine.dual_coef_[0]).to(seen)
        self.offset = torch.from_numpy(-machine.intercept_[0:1]).to(seen)

    def score(self, samples: Tensor) -> Tensor:
        """Minus the decision function, `(N,)`: above 0 outside."""
        points = (features(self.trained, samples) - self.mean) / self.deviation
        kernel = torch.exp(-self.gamma * torch.cdist(points, self.vectors) ** 2)
        return self.offset - kernel @ self.weights
