"""The modes of a column of numbers (Xu et al. 2019, CTGAN, arXiv 1907.00503, section 4.2).

Beyond the paper: a number that many rows share, such as a capital gain of 0, is a mode of its own.
Of a Gaussian around it a generator makes many numbers near it, and hardly one that is it.
"""

import warnings

import numpy as np
import torch
from torch import Tensor

from touchstone.data.tables.encoding import Modes
from touchstone.draws import derive

MOST = 10  # Gaussians of a column
LEAST = 0.005  # the share of the values that a Gaussian of its own takes
SHARED = 0.05  # the share of the values that makes one number a mode
NARROW = 1e-9  # the deviation of such a mode, of the values' range: nothing else is ever in it
ENOUGH = 20_000  # values, from which the modes are found


def find(values: Tensor, name: str) -> Modes:
    """Finds the modes: numbers that many rows share, and the Gaussians of the others.

    Args:
        values: float64 `(N,)`, N at least 1, none missing.
        name: the column's, from which the draws of the fit follow.

    Returns:
        The modes, in no order that means anything.
    """
    generator = torch.Generator().manual_seed(derive(0, "fit", name))
    shown = values[torch.randperm(len(values), generator=generator)[:ENOUGH]]
    numbers, which, counts = torch.unique(shown, return_inverse=True, return_counts=True)
    shared = counts > SHARED * len(shown)
    narrow = NARROW * (float(values.max() - values.min()) or 1.0)
    modes = [
        (float(number), narrow, float(count) / len(shown))
        for number, count in zip(numbers[shared], counts[shared], strict=True)
    ]
    others = shown[~shared[which]]
    modes += [
        (mean, deviation, weight * len(others) / len(shown))
        for mean, deviation, weight in mixture(others, name)
    ]
    return Modes(*zip(*modes, strict=True))


def mixture(values: Tensor, name: str) -> list[tuple[float, float, float]]:
    """The means, deviations and weights of a variational Gaussian mixture, but for empty ones.

    Args:
        values: float64 `(N,)`; of fewer than two different ones there is at most one Gaussian.
        name: the column's.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    different = len(torch.unique(values))
    if different < 2:
        return [(float(value), 1.0, 1.0) for value in values[:1]]
    low, scale = float(values.min()), float(values.std())  # its floor of variances suits about 1
    fitted = BayesianGaussianMixture(
        n_components=min(MOST, different),
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=1e-3,
        random_state=derive(0, "mixture", name) % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit((values.numpy()[:, None] - low) / scale)
    kept = fitted.weights_ > LEAST
    means = fitted.means_[kept, 0] * scale + low
    deviations = np.sqrt(fitted.covariances_[kept, 0, 0]) * scale
    weights = fitted.weights_[kept] / fitted.weights_[kept].sum()
    return list(zip(means.tolist(), deviations.tolist(), weights.tolist(), strict=True))
