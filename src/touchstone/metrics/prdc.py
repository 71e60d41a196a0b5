"""Precision and recall, density and coverage."""

from collections.abc import Iterator

import torch
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.neighbours import contained, radii
from touchstone.metrics.sets import ImageSet, Sets


class PRDC:
    """How much of what is generated is real, and how much of what is real is generated.

    A ball around an image reaches to its k-th nearest other of the same kind.

    - precision: the share of generated images within a real image's ball; recall: of real images
      within a generated one's (Kynkäänniemi et al. 2019, equations 1 and 2);
    - density: how many real balls hold a generated image, over k, on average: it may exceed 1;
      coverage: the share of real balls that hold a generated image (Naeem et al. 2020, equations
      4 and 5).

    All four depend on the numbers of images, which the papers take equal: of the larger set, as
    many as the smaller has are drawn at random, the same ones at every call.

    Args:
        extractor: what the features are taken by.
        neighbours: k of precision and recall.
        coverage_neighbours: k of density and coverage.

    Raises:
        UsageError: no neighbours.
    """

    higher_is_better = True

    def __init__(
        self, extractor: Extractor, neighbours: int = 3, coverage_neighbours: int = 5
    ) -> None:
        self.extractor = extractor
        self._neighbours, self._coverage_neighbours = neighbours, coverage_neighbours
        for name, value in self._settings():
            if value < 1:
                raise UsageError(f"metrics.figures.prdc.{name}={value}: it has to be 1 or more")

    def check(self, sets: Sets) -> None:
        """Refuses sets in which an image has not as many others as neighbours are asked for."""
        for images in (sets.generated, sets.reference):
            for name, value in self._settings():
                if len(images) <= value:
                    raise UsageError(
                        f"{images.name}: {len(images)} images are too few for "
                        f"metrics.figures.prdc.{name}={value}, which needs {value + 1} or more"
                    )

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The shares `precision`, `recall` and `coverage`, in [0, 1], and `density`, from 0 on."""
        number = min(len(sets.generated), len(sets.reference))
        fake, real = (self._drawn(images, number) for images in (sets.generated, sets.reference))
        device = sets.generated.device
        near, wide = self._neighbours, self._coverage_neighbours
        real_radii = radii(real, max(near, wide), device)
        fake_radii = radii(fake, near, device)[:, near - 1]
        precise, _ = contained(fake, real, real_radii[:, near - 1], device)
        recalled, _ = contained(real, fake, fake_radii, device)
        dense, covered = contained(fake, real, real_radii[:, wide - 1], device)
        return {
            "precision": float((precise > 0).double().mean()),
            "recall": float((recalled > 0).double().mean()),
            "density": float(dense.double().mean() / wide),
            "coverage": float((covered > 0).double().mean()),
        }

    def _settings(self) -> Iterator[tuple[str, int]]:
        yield "neighbours", self._neighbours
        yield "coverage_neighbours", self._coverage_neighbours

    def _drawn(self, images: ImageSet, number: int) -> Tensor:
        features = images.features(self.extractor)
        if len(features) == number:
            return features
        draws = torch.Generator().manual_seed(0)
        return features[torch.randperm(len(features), generator=draws)[:number].sort().values]
