"""The Kernel Inception Distance."""

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.sets import Sets


class KID:
    """The Kernel Inception Distance (Bińkowski et al. 2018, section 4): an unbiased squared MMD.

    The kernel is (x . y / F + 1)^3; mean and deviation are over random subsets. torch-fidelity
    computes it, in its own arithmetic.

    Args:
        extractor: what the features are taken by.
        subsets: how many subsets.
        subset_size: images in each, of either kind.
    """

    higher_is_better = False

    def __init__(self, extractor: Extractor, subsets: int = 100, subset_size: int = 1000) -> None:
        self.extractor = extractor
        self._subsets, self._subset_size = subsets, subset_size

    def check(self, sets: Sets) -> None:
        """Refuses sets that are smaller than a subset."""
        for images in (sets.generated, sets.reference):
            if len(images) < self._subset_size:
                raise UsageError(
                    f"{images.name}: {len(images)} images are too few for "
                    f"metrics.figures.kid.subset_size={self._subset_size}"
                )

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The distance's mean over the subsets, as `kid`, and its deviation."""
        from torch_fidelity.metric_kid import (
            KEY_METRIC_KID_MEAN,
            KEY_METRIC_KID_STD,
            kid_features_to_metric,
        )

        computed = kid_features_to_metric(
            sets.generated.features(self.extractor),
            sets.reference.features(self.extractor),
            kid_subsets=self._subsets,
            kid_subset_size=self._subset_size,
            verbose=False,
        )
        return {"kid": computed[KEY_METRIC_KID_MEAN], "kid/deviation": computed[KEY_METRIC_KID_STD]}
