"""The modes of Gaussians in the plane that a generator hits."""

import torch
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.metrics.sets import Sets

NEAR = 3  # deviations from a mode's mean, within which a point is of high quality


class PointModes:
    """The modes that are hit, how many points hit one, and how far the shares are from the data's.

    A generated point belongs to the mode whose mean is nearest. It is of high quality within three
    standard deviations of it, and a mode is hit by one such point (Srivastava et al. 2017, VEEGAN,
    section 4; Lin et al. 2018, PacGAN, section 4.1). Of the data themselves 1 - exp(-9/2), 98.9 %,
    are of high quality in the plane. With q the shares of the modes among all the generated points
    and p among the real ones, the reverse divergence is KL(q || p).

    The reference's labels are the modes: their means are taken from it, and one deviation of all
    of them and in every direction, as all are alike. Both papers generate 2,500 points.
    """

    higher_is_better = True
    contrary = frozenset({"reverse_kl"})
    extractor = None
    dimensions = 1

    def check(self, sets: Sets) -> None:
        """Refuses a reference without labels, or with fewer than two points of a class."""
        real = sets.reference
        if real.labels is None:
            raise UsageError(
                f"{real.name}: the points have no labels, which metrics=point_modes takes for the "
                "modes: choose data=gaussians, or metrics=none"
            )
        counts = real.labels.bincount(minlength=len(real.classes))
        if counts.min() < 2:
            raise UsageError(
                f"{real.name}: {int(counts.min())} points are of the class "
                f"{real.classes[int(counts.argmin())]}; metrics=point_modes needs two of each"
            )

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The number of modes hit, the share of points of high quality, the divergence in nats."""
        real = sets.reference
        assert real.labels is not None
        means, deviation = modes(real.pixels(), real.labels, len(real.classes))
        distance, nearest = torch.cdist(sets.generated.pixels().double(), means).min(1)
        good = distance <= NEAR * deviation
        generated, data = (
            labels.bincount(minlength=len(means)).double() / len(labels)
            for labels in (nearest, real.labels)
        )
        return {
            "modes": float(len(torch.unique(nearest[good]))),
            "modes/high_quality": float(good.double().mean()),
            "modes/reverse_kl": float(torch.xlogy(generated, generated / data).sum()),
        }


def modes(points: Tensor, labels: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The means `(K, F)` of `number` modes and their common deviation, in float64.

    Args:
        points: `(N, F)`.
        labels: int64, `(N,)`.
        number: K.
    """
    points = points.double()
    counts = labels.bincount(minlength=number)
    means = points.new_zeros(number, points.shape[1]).index_add_(0, labels, points)
    means /= counts[:, None]
    # Each mean costs a degree of freedom.
    squares = (points - means[labels]).square().sum()
    return means, (squares / ((len(points) - number) * points.shape[1])).sqrt()
