"""The mean and the covariance of features, and the distance of two Gaussians."""

import torch
from torch import Tensor

ROWS = 10_000  # features that are made float64 at a time


class Gaussian:
    """A Gaussian with the mean and the covariance of features.

    Args:
        mean: float64 `(F,)`.
        covariance: over N - 1, float64 `(F, F)`.
        root: the covariance's symmetric square root, where it is at hand.
    """

    def __init__(self, mean: Tensor, covariance: Tensor, root: Tensor | None = None) -> None:
        self.mean, self.covariance = mean, covariance
        self._root = root

    @classmethod
    def of(cls, features: Tensor) -> "Gaussian":
        """Fits the features `(N, F)` of two images or more, in float64 and in two passes."""
        parts = torch.split(features, ROWS)
        mean = torch.stack([part.double().sum(0) for part in parts]).sum(0) / len(features)
        outer = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=features.device)
        for part in parts:
            centred = part.double() - mean
            outer.addmm_(centred.T, centred)
        return cls(mean, outer / (len(features) - 1))

    @property
    def root(self) -> Tensor:
        """The covariance's symmetric square root, float64 `(F, F)`."""
        if self._root is None:
            values, vectors = torch.linalg.eigh(self.covariance)
            self._root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
        return self._root


def frechet_distance(generated: Gaussian, real: Gaussian) -> float:
    """The squared 2-Wasserstein distance of two Gaussians (Dowson & Landau 1982).

    |m_g - m_r|^2 + tr(C_g + C_r - 2 (C_g C_r)^(1/2)). The last trace is that of
    (C_r^(1/2) C_g C_r^(1/2))^(1/2), which is symmetric: its eigenvalues are real and quickly found.
    """
    product = real.root @ generated.covariance @ real.root
    values = torch.linalg.eigvalsh((product + product.T) / 2)
    trace = generated.covariance.trace() + real.covariance.trace()
    distance = (generated.mean - real.mean).square().sum() + trace
    return float(distance - 2 * values.clamp(min=0).sqrt().sum())


def sampling_error(features: Tensor, real: Gaussian) -> float:
    """The standard error of the distance of N features' Gaussian, by the delta method.

    With T = C_r^(1/2) (C_r^(1/2) C_g C_r^(1/2))^(-1/2) C_r^(1/2), a feature x = m_g + d moves the
    distance by (2 (m_g - m_r) . d + d . (I - T) d) / N to first order, apart from a constant.

    Args:
        features: the generated images', `(N, F)`.
        real: of the reference.
    """
    generated = Gaussian.of(features)
    product = real.root @ generated.covariance @ real.root
    values, vectors = torch.linalg.eigh((product + product.T) / 2)
    inverse = torch.where(values > values.max() * 1e-12, values, torch.inf).rsqrt()
    transport = real.root @ (vectors * inverse) @ vectors.T @ real.root
    influence = []
    for part in torch.split(features, ROWS):
        centred = part.double() - generated.mean
        influence.append(
            2 * centred @ (generated.mean - real.mean)
            + (centred * (centred - centred @ transport)).sum(1)
        )
    return float(torch.cat(influence).std() / len(features) ** 0.5)
