"""DOMIAS: where the synthetic records are denser than other people's, somebody was learned."""

import torch
from torch import Tensor

from touchstone.privacy.attacks.attack import Evidence


class DensityRatio:
    """The log of p_synthetic(x) / p_reference(x), by a classifier of the one against the other.

    DOMIAS (van Breugel et al. 2023, arXiv 2302.12580, equation 2). A classifier's logit is the log
    ratio of the densities, up to a constant, so that no density has to be estimated in a hundred
    dimensions. Boosted trees find the columns in which people were copied where others of the same
    record were not, which no distance over all columns does; they are deep and have small leaves,
    since a copy is a small place.
    """

    def __call__(self, records: Tensor, evidence: Evidence) -> Tensor:
        """Scores records `(N, F)`, float64 `(N,)`."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        sides = evidence.synthetic, evidence.reference
        is_synthetic = torch.cat([torch.full((len(s),), s is sides[0]) for s in sides])
        classifier = HistGradientBoostingClassifier(
            max_iter=200,
            max_leaf_nodes=63,
            min_samples_leaf=5,
            early_stopping=False,
            random_state=0,
        ).fit(torch.cat(sides).numpy(), is_synthetic.numpy())
        return torch.from_numpy(classifier.decision_function(records.numpy()))
