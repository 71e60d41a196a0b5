"""Whether a classifier tells synthetic rows from real ones (Lopez-Paz and Oquab 2017, C2ST).

arXiv 1610.06545; the area under the ROC curve in place of their accuracy.
"""

import numpy as np
import polars as pl
import torch

from touchstone.data.tables.schema import Schema
from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.privacy.intervals import Estimate, auroc
from touchstone.privacy.use.features import features

MOST = 25_000  # rows of each table
FOLDS = 3


def two_sample(
    schema: Schema, real: pl.DataFrame, synthetic: pl.DataFrame, seed: int = 0
) -> Estimate:
    """The AUC of gradient boosting that tells real rows from synthetic ones, with an interval.

    0.5 is best, as rows cannot be told apart; 1 is worst, as all can. Each row is judged by a
    classifier of the other thirds. Of both tables as many rows are drawn, at most 25,000.

    Args:
        schema: of both.
        real: rows that the generator was not trained on.
        synthetic: rows that it made.
        seed: of the draws and of the classifiers.

    Raises:
        UsageError: fewer than six rows of one of the two.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    number = min(len(real), len(synthetic), MOST)
    if number < 2 * FOLDS:
        raise UsageError(
            f"{len(real)} real rows and {len(synthetic)} synthetic ones: to tell them apart takes "
            f"{2 * FOLDS} of each"
        )
    generator = torch.Generator().manual_seed(derive(seed, "two_sample"))
    drawn = [
        features(schema, frame[torch.randperm(len(frame), generator=generator)[:number].numpy()])
        for frame in (real, synthetic)
    ]
    made = np.arange(2 * number) >= number
    state = derive(seed, "two_sample") % 2**32
    classifier = HistGradientBoostingClassifier(early_stopping=False, random_state=state)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=state)
    rows = torch.cat(drawn).numpy()
    likely = cross_val_predict(classifier, rows, made, cv=folds, method="predict_proba")[:, 1]
    scores = torch.from_numpy(likely)
    return auroc(scores[number:], scores[:number])
