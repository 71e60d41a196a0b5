"""The Inception Score."""

import torch

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.sets import Sets


class InceptionScore:
    """exp E KL(p(y|x) || p(y)) (Salimans et al. 2016, section 4), of the extractor's classes.

    Mean and deviation are over parts of the images, shuffled. torch-fidelity computes it.

    Args:
        extractor: one that classifies.
        splits: into how many parts.
    """

    higher_is_better = True

    def __init__(self, extractor: Extractor, splits: int = 10) -> None:
        self.extractor = extractor
        self._splits = splits

    def check(self, sets: Sets) -> None:
        """Refuses fewer images than parts, and an extractor that does not classify."""
        if len(sets.generated) < self._splits:
            raise UsageError(
                f"{sets.generated.name}: {len(sets.generated)} images are too few for "
                f"metrics.figures.isc.splits={self._splits}"
            )
        # It may lie on the device already, of the images whose features it gave.
        device = sets.generated.device
        none = torch.zeros(1, self.extractor.num_features, device=device)
        self.extractor.to(device).logits(none)

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The score's mean, as `isc`, and its deviation."""
        from torch_fidelity.metric_isc import (
            KEY_METRIC_ISC_MEAN,
            KEY_METRIC_ISC_STD,
            isc_features_to_metric,
        )

        computed = isc_features_to_metric(sets.generated.logits(self.extractor), self._splits)
        return {"isc": computed[KEY_METRIC_ISC_MEAN], "isc/deviation": computed[KEY_METRIC_ISC_STD]}
