"""The nearest genuine items, by the discriminator's features."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.examination import check, features, features_of
from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.metrics import neighbours as search
from touchstone.trained import Trained


class Neighbours(Detector):
    """The distance to the nearest genuine items (Sun et al. 2022, arXiv 2204.06507, section 3).

    Between the discriminator's features, each divided by its norm. The paper takes the distance to
    the k-th nearest, here it is the mean over the k.

    Args:
        neighbours: k.

    Raises:
        UsageError: k is no whole number of 1 or more.
    """

    bank: Tensor

    def __init__(self, neighbours: int = 5) -> None:
        super().__init__()
        if type(neighbours) is not int or neighbours < 1:
            raise UsageError(
                f"detectors.neighbours.neighbours={neighbours}: it has to be a whole number of 1 "
                "or more"
            )
        self.neighbours = neighbours
        self.register_buffer("bank", torch.empty(0, 0))

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Sees the networks."""
        check(trained, shape, "neighbours")
        super().prepare(trained, shape)

    def fit(self, genuine: Split) -> None:
        """Keeps the items' features.

        Raises:
            UsageError: fewer items than neighbours.
        """
        if len(genuine) < self.neighbours:
            raise UsageError(
                f"detectors.neighbours.neighbours={self.neighbours}: there are {len(genuine)} "
                "genuine items"
            )
        self.bank = normalize(features_of(self.trained, genuine))

    def score(self, samples: Tensor) -> Tensor:
        """The mean distances, `(N,)`, in [0, 2]."""
        return self.nearest(samples, self.neighbours)[1].mean(dim=1)

    def nearest(self, samples: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Finds the genuine items that are most like samples, the most alike first.

        Args:
            samples: `(N, C, H, W)`.
            k: how many of each, at most as many as it was fitted with.

        Returns:
            Their indices in the split that it was fitted with, int64 `(N, k)`, and their distances,
            float32 `(N, k)`.
        """
        queries = normalize(features(self.trained, samples))
        distances, indices = search.nearest(queries, self.bank, k, queries.device)
        return indices.to(queries.device), distances.float().to(queries.device)
