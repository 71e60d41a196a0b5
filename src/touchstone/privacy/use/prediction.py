"""Train on synthetic, test on real, beside train on real (Esteban et al. 2017, arXiv 1706.02633).

At most 50,000 rows of a table are trained on. Every classifier has scikit-learn's own settings;
logistic regression standardizes what it is trained on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from touchstone.data.tables.encoding import numbered
from touchstone.data.tables.schema import Category, Schema
from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.privacy.intervals import Estimate
from touchstone.privacy.use.features import features, judged
from touchstone.privacy.use.resampling import auc, estimate, f1, mean, share

MOST = 50_000  # rows that a classifier is trained on
CLASSIFIERS = ("gradient_boosting", "logistic_regression", "random_forest")

# Of a frame: how likely each value of the target is, float64 `(N, C)`.
Classifier: TypeAlias = Callable[[pl.DataFrame], Tensor]


@dataclass(frozen=True)
class Prediction:
    """How well a target is predicted, with 95 % intervals over the test rows.

    Attributes:
        auc: the area under the ROC curve, of more than two values the mean over each against the
            rest; 0.5 is a guess, 1 is best.
        f1: of the value that is rarer among the test rows, of more than two the mean over all;
            in [0, 1], 1 is best.
        accuracy: the share predicted as it is, in [0, 1]; 1 is best.
    """

    auc: Estimate
    f1: Estimate
    accuracy: Estimate


def prediction(
    schema: Schema, table: pl.DataFrame, test: pl.DataFrame, seed: int = 0
) -> dict[str, Prediction]:
    """Trains each classifier on a table, synthetic or real, and tests it on real rows.

    Args:
        schema: of both, with a target.
        table: rows to train on: those that a generator made, or those that it was trained on.
        test: real rows that are in neither.
        seed: of the classifiers, and of the intervals' samples.

    Returns:
        The figures by the names in `CLASSIFIERS`.

    Raises:
        UsageError: no target, or no rows that have one, or one value of it among the test rows.
    """
    return {
        name: predicted(schema, train(name, schema, table, seed)(test), test, seed)
        for name in CLASSIFIERS
    }


def train(name: str, schema: Schema, frame: pl.DataFrame, seed: int = 0) -> Classifier:
    """Trains a classifier of the target, the same for the same rows and seed.

    Args:
        name: one of `CLASSIFIERS`.
        schema: of the frame, with a target; rows without one teach nothing.
        frame: of more than 50,000 rows, as many of them drawn at random.
        seed: of the classifier and of that draw.

    Raises:
        UsageError: no target, or no rows that have one.
    """
    target, frame = of_target(schema), labelled(schema, frame)
    if len(frame) > MOST:
        generator = torch.Generator().manual_seed(derive(seed, "rows"))
        frame = frame[torch.randperm(len(frame), generator=generator)[:MOST].numpy()]
    labels = numbered(target, frame[target.name])
    known = torch.unique(labels)
    model = None
    if len(known) > 1:
        model = untrained(name, derive(seed, name) % 2**32)
        model.fit(features(schema, frame, target.name).numpy(), labels.numpy())

    def classifier(rows: pl.DataFrame) -> Tensor:
        if model is None:  # it has seen one value only
            return one_hot(known.expand(len(rows)), len(target.values)).double()
        likely = torch.zeros(len(rows), len(target.values), dtype=torch.float64)
        given = features(schema, rows, target.name).numpy()
        likely[:, known] = torch.from_numpy(model.predict_proba(given)).double()
        return likely

    return classifier


def predicted(schema: Schema, likely: Tensor, test: pl.DataFrame, seed: int = 0) -> Prediction:
    """Figures of what a classifier says of test rows.

    Args:
        schema: of the rows, with a target; rows without one do not count.
        likely: what it says, `(N, C)`.
        test: the N rows.
        seed: of the intervals' samples.

    Raises:
        UsageError: no target, or fewer than two values of it among the rows.
    """
    target = of_target(schema)
    truth = numbered(target, test[target.name])
    there = truth < len(target.values)
    truth, likely = truth[there], likely[there]
    counts = truth.bincount(minlength=len(target.values))
    present = counts.nonzero().flatten().tolist()
    if len(present) < 2:
        raise UsageError(
            f"data.target={target.name}: the test rows have {len(present)} of its values; to test "
            "a prediction takes two"
        )
    chosen = likely.argmax(1)
    asked = present if len(target.values) > 2 else [int(counts.argmin())]
    found = estimate(
        {
            "auc": mean([auc(likely[:, value], truth == value) for value in asked]),
            "f1": mean([f1(chosen == value, truth == value) for value in asked]),
            "accuracy": share(chosen == truth, torch.ones_like(truth, dtype=torch.bool)),
        },
        len(truth),
        seed,
    )
    return Prediction(**found)


def of_target(schema: Schema) -> Category:
    """The column to predict.

    Raises:
        UsageError: there is none.
    """
    if schema.target is None:
        raise UsageError(
            "data.target=null: name the column of categories that the table is used to predict"
        )
    column = next(column for column in judged(schema) if column.name == schema.target)
    assert isinstance(column, Category)
    return column


def labelled(schema: Schema, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows whose target is not missing.

    Raises:
        UsageError: there are none.
    """
    target = of_target(schema).name
    found = frame.filter(pl.col(target).is_not_null())
    if not len(found):
        raise UsageError(f"data.target={target}: none of the {len(frame)} rows has one")
    return found


def untrained(name: str, seed: int) -> Any:
    """A classifier of scikit-learn's, by its name among `CLASSIFIERS`."""
    if name == "gradient_boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        # It would stop by rows set apart class by class, of which one class may have too few.
        return HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
    if name == "random_forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(random_state=seed)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000, random_state=seed))
