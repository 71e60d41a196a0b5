"""The Fréchet Inception Distance, and how far it can be trusted."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor
from tqdm import tqdm

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.gaussian import Gaussian, frechet_distance, sampling_error
from touchstone.metrics.sets import ImageSet, Sets

# What an interval says of a distance, given the generated features (N, F) and the real Gaussian.
Interval: TypeAlias = Callable[[Tensor, Gaussian], Mapping[str, float]]


class FID:
    """The Fréchet Inception Distance of generated images to real ones.

    With m, C the mean and the covariance of the features of each:
    |m_g - m_r|^2 + tr(C_g + C_r - 2 (C_g C_r)^(1/2)) (Heusel et al. 2017, equation 6).

    Args:
        extractor: what the features are taken by.
        interval: `extrapolation`, `bootstrap` or None: what is said of the distance's error.

    Raises:
        UsageError: there is no such interval.
    """

    higher_is_better = False

    def __init__(self, extractor: Extractor, interval: str | None = None) -> None:
        if interval is not None and interval not in INTERVALS:
            raise UsageError(
                f"metrics.interval={interval}: it has to be null or {' or '.join(INTERVALS)}"
            )
        self.extractor = extractor
        self._interval = None if interval is None else INTERVALS[interval]

    def check(self, sets: Sets) -> None:
        """Refuses fewer images than features, whose covariance would be singular."""
        enough_for_covariance(sets.generated, self.extractor, "fid")
        enough_for_covariance(sets.reference, self.extractor, "fid")

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The distance, as `fid`, and what the interval says of it."""
        generated = sets.generated.gaussian(self.extractor)
        real = sets.reference.gaussian(self.extractor)
        figures = {"fid": frechet_distance(generated, real)}
        if self._interval is not None:
            features = sets.generated.features(self.extractor).to(real.mean.device)
            said = self._interval(features, real)
            figures |= {f"fid/{name}": value for name, value in said.items()}
        return figures


def enough_for_covariance(images: ImageSet, extractor: Extractor, metric: str) -> None:
    """Refuses a set whose features' covariance is singular by its number of images alone.

    Raises:
        UsageError: names the set, its size and the number that is needed.
    """
    if len(images) < max(2, extractor.num_features):
        raise UsageError(
            f"{images.name}: {len(images)} images are too few: metrics={metric} needs at least as "
            f"many as protocol.extractor={extractor.name} has features, {extractor.num_features}"
        )


def extrapolation(features: Tensor, real: Gaussian) -> dict[str, float]:
    """FID∞: what the FID tends to as the generated images become infinitely many.

    Its bias falls as 1/N, so a line through the FIDs of 15 sizes, from N/10 to N, over 1/N meets 0
    in it (Chong & Forsyth 2020, section 4). Each size is a random part of the images.

    Args:
        features: the generated images', `(N, F)`.
        real: of the reference.

    Returns:
        `infinity`, and its standard error `infinity_error`: that of where the line meets 0, and
        that of the draw of images, which all sizes share.
    """
    draws = torch.Generator().manual_seed(0)
    least = min(max(len(features) // 10, features.shape[1], 2), len(features) // 2)
    sizes = torch.linspace(least, len(features), 15).round().long()
    parts = (torch.randperm(len(features), generator=draws)[:size] for size in sizes)
    distances = torch.tensor(
        [frechet_distance(Gaussian.of(features[part.to(features.device)]), real) for part in parts],
        dtype=torch.float64,
    )
    inverse = 1 / sizes.double()
    centred = inverse - inverse.mean()
    slope = (centred @ distances) / centred.square().sum()
    infinity = distances.mean() - slope * inverse.mean()
    residual = distances - infinity - slope * inverse
    variance = residual.square().sum() / (len(sizes) - 2)
    line = variance * (1 / len(sizes) + inverse.mean() ** 2 / centred.square().sum())
    error = (float(line) + sampling_error(features, real) ** 2) ** 0.5
    return {"infinity": float(infinity), "infinity_error": error}


def bootstrap(features: Tensor, real: Gaussian, repeats: int = 200) -> dict[str, float]:
    """An interval that holds the expected FID of so many images about 19 times in 20.

    The images are drawn again with replacement (Efron 1979). A bootstrapped FID has the bias of the
    FID twice, so the quantiles are taken around their mean, and laid around the FID.

    Args:
        features: the generated images', `(N, F)`.
        real: of the reference.
        repeats: how often the images are drawn again.

    Returns:
        `low` and `high`.
    """
    draws = torch.Generator().manual_seed(0)
    distance = frechet_distance(Gaussian.of(features), real)
    number = len(features)
    again = tqdm(range(repeats), desc="bootstrap", delay=2, leave=False, disable=None)
    drawn = (torch.randint(number, (number,), generator=draws) for _ in again)
    distances = torch.tensor(
        [frechet_distance(Gaussian.of(features[rows.to(features.device)]), real) for rows in drawn],
        dtype=torch.float64,
    )
    levels = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = (distances - distances.mean()).quantile(levels).tolist()
    return {"low": distance + low, "high": distance + high}


INTERVALS: dict[str, Interval] = {"extrapolation": extrapolation, "bootstrap": bootstrap}
