"""DOMIAS by kernels: both densities on the reference's principal components."""

import math

import torch
from torch import Tensor

from touchstone.privacy.attacks.attack import Evidence

BLOCK = 512  # records whose distances to all others are had at once


class KernelDensity:
    """The log of p_synthetic(x) / p_reference(x), by Gaussian kernels.

    DOMIAS (van Breugel et al. 2023, arXiv 2302.12580, equation 2), with the density estimate that
    its section 5 begins with. Kernels are of use in few dimensions, so they lie on the leading
    principal components of the reference, each scaled to a variance of 1; their width is Scott's,
    n^(-1 / (d + 4)). A generator that blurs the records it repeats, so that a classifier sees at
    once what is synthetic and therefore nothing of where it is dense, is caught by this.

    Args:
        components: how many, at most.
    """

    def __init__(self, components: int = 12) -> None:
        self._components = components

    def __call__(self, records: Tensor, evidence: Evidence) -> Tensor:
        """Scores records `(N, F)`, float64 `(N,)`."""
        reference = evidence.reference.double()
        mean = reference.mean(0)
        _, spread, axes = torch.linalg.svd(reference - mean, full_matrices=False)
        known = int((spread > 1e-6 * spread.max()).sum())  # others are rounding
        number = min(self._components, known)
        scale = math.sqrt(len(reference)) / spread[:number]
        points, synthetic, others = (
            (rows.double() - mean) @ axes[:number].T * scale
            for rows in (records, evidence.synthetic, reference)
        )
        return log_density(points, synthetic) - log_density(points, others)


def log_density(points: Tensor, samples: Tensor) -> Tensor:
    """The log density at points `(n, d)` of Gaussian kernels on samples `(m, d)`, float64 `(n,)`.

    Raises:
        ValueError: no samples.
    """
    if not len(samples):
        raise ValueError("a density needs samples")
    number, dimensions = samples.shape
    width = number ** (-1 / (dimensions + 4))
    kernels = [
        torch.logsumexp(-torch.cdist(block, samples).square() / (2 * width**2), 1)
        for block in torch.split(points, BLOCK)
    ]
    constant = math.log(number) + dimensions * math.log(width * math.sqrt(2 * math.pi))
    return torch.cat(kernels) - constant
