"""Whether a picture is of the kind at all that a detector was made for."""

import math

import torch
from torch import Tensor

from touchstone.authenticity.calibration import Calibration
from touchstone.authenticity.detectors.detector import Detector
from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.sampling import CHUNK
from touchstone.trained import Trained

BANDS = 8  # of the spectrum, at most
QUANTIZATION = (2 / 255) ** 2 / 12  # the variance of the rounding to 8 bits, of samples in [-1, 1]
FACTOR = 2  # by which a picture has to lie farther than the usual ones


class Likeness(Detector):
    """How far a picture's plainest statistics lie from those of genuine ones.

    Of each channel the mean and the log power in rings of the spectrum, the first of which is its
    contrast at the largest scale: a blur empties the last rings, a crop shifts all of them. No
    networks are asked, which may say anything of what they have never seen. The distance is
    Mahalanobis', the covariance shrunk (Ledoit and Wolf 2004, A well-conditioned estimator for
    large-dimensional covariance matrices), over the root of the number of statistics: a genuine
    picture's is near 1.
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("whitening", torch.empty(0, 0))

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Takes note of the shape alone.

        Raises:
            UsageError: samples that are no pictures.
        """
        if len(shape) != 3 or min(shape[1:]) < 4:
            raise UsageError(
                f"the likeness of pictures: a sample of these data is of the shape {shape}, which "
                "is no picture of 4x4 pixels or more"
            )
        super().prepare(trained, shape)

    def fit(self, genuine: Split) -> None:
        """Learns the statistics' mean and covariance."""
        from sklearn.covariance import ledoit_wolf

        numbers = torch.arange(len(genuine), device=genuine.device)
        seen = [statistics(genuine.batch(part)[0]) for part in torch.split(numbers, CHUNK)]
        found = torch.cat(seen).double().cpu()
        deviation = found.std(0).clamp(min=1e-3)
        standard = (found - found.mean(0)) / deviation
        covariance = torch.from_numpy(ledoit_wolf(standard.numpy())[0])
        inverse_root = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
        scale = deviation * math.sqrt(len(deviation))
        device = self.mean.device
        self.mean = found.mean(0).float().to(device)
        self.whitening = (inverse_root / scale[:, None]).float().to(device)

    def score(self, samples: Tensor) -> Tensor:
        """The distance, `(N,)`."""
        standard: Tensor = (statistics(samples) - self.mean) @ self.whitening
        return standard.square().sum(1).sqrt()


def unlike(distances: Tensor, calibration: Calibration) -> Tensor:
    """Which pictures are of no kind that was seen: farther than all held out, and by far.

    By far is twice the distance that one in a hundred of the held-out ones has. Of genuine pictures
    at most 1 in n + 1 is expected beyond the farthest of n, by the conformal p-value, and the
    factor leaves fewer: a counterfeit, which looks much as a genuine item does, is to get its
    verdict and not to slip away here.

    Args:
        distances: a `Likeness`' scores `(N,)`.
        calibration: its scores of genuine pictures that it was not fitted to.

    Returns:
        bool `(N,)`; true of a distance that is no number.
    """
    seen = calibration.scores.to(distances)
    return ~(distances <= torch.maximum(seen.max(), FACTOR * seen.quantile(0.99)))


def statistics(samples: Tensor) -> Tensor:
    """Each channel's mean and the log of its power in each ring of frequencies.

    The spectrum is that of the cosine transform, which has no seam where a picture's edges meet; a
    power is a mean square, with that of the rounding to 8 bits added, below which nothing is known.

    Args:
        samples: `(N, C, H, W)` in [-1, 1].

    Returns:
        `(N, C * (1 + rings))`.
    """
    height, width = samples.shape[-2:]
    samples = samples.float()
    spectrum = cosines(height).to(samples) @ samples @ cosines(width).to(samples).T
    ring = rings(height, width).to(samples.device)
    # Ring 0 is the mean, whose sign counts.
    power = [spectrum[..., ring == one].square().mean(-1) for one in range(1, int(ring.max()) + 1)]
    parts = [samples.mean((-2, -1)), *((one + QUANTIZATION).log() for one in power)]
    return torch.stack(parts, -1).flatten(1)


def cosines(size: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) of `size` values, a row a frequency."""
    number = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(torch.pi / size * number[:, None] * (number + 0.5)) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows.float()


def rings(height: int, width: int) -> Tensor:
    """Which ring of equal width each frequency lies in, int64 `(H, W)`; 0 is the mean alone.

    No ring is empty: there are at most half as many as the shorter side has pixels. The corners,
    beyond half a cycle a pixel, belong to the last.
    """
    bands = min(BANDS, min(height, width) // 2)
    down, across = torch.arange(height)[:, None] / height, torch.arange(width) / width
    return (torch.hypot(down, across) * bands - 1e-6).ceil().long().clamp(max=bands)
