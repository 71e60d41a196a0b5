"""Tables as metrics of a run: what its rows are worth, how like real ones they are, what they leak.

All go by the rows that a run is evaluated with, decoded as the training split was encoded, and by
the test split, which no generator is trained on.
"""

import statistics
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from touchstone.data.subset import subset
from touchstone.data.tables.rows import Rows
from touchstone.data.tables.schema import Schema
from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.metrics.sets import Sets, Stored
from touchstone.privacy.attacks.attack import Attack
from touchstone.privacy.attacks.density_ratio import DensityRatio
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.membership import membership
from touchstone.privacy.use.correlations import correlations
from touchstone.privacy.use.coverage import coverage
from touchstone.privacy.use.features import features
from touchstone.privacy.use.marginals import marginals, pairs
from touchstone.privacy.use.prediction import CLASSIFIERS, Prediction, labelled, prediction
from touchstone.privacy.use.two_sample import two_sample

MOST = 10_000  # rows of each kind that attacks are let at


class Utility:
    """What synthetic rows are worth in place of real ones; a `touchstone.metrics.metric.Metric`.

    Higher is better of all figures:

    - tstr: the AUC of gradient boosting trained on synthetic rows, on the test split; 0.5 is a
      guess, 1 is best. `tstr/low` and `/high` end its interval; `tstr/f1`, `tstr/accuracy`, and
      the other classifiers' AUC by their names; each of these after `tstr/real/` is of the same
      classifier trained on the training split: what is to be reached. See
      `touchstone.privacy.use.prediction`.
    - covered: the share of the categories' values that occur, and `covered/pairs` that of pairs,
      in [0, 1]; `covered/rare`: the rare ones' frequency over the real one, of which 1 is best and
      less too little. See `touchstone.privacy.use.coverage`.

    Args:
        subset: how many of the training rows the run is shown; all by default.
    """

    higher_is_better = True
    extractor = None
    dimensions = 1

    def __init__(self, subset: int | None = None) -> None:
        self._subset = subset
        self._of_real: dict[str, dict[str, Prediction]] = {}  # by the splits, each computed once

    def check(self, sets: Sets) -> None:
        """Refuses data that are no table, or that have no target or no test split."""
        train, test = (_rows(sets, name, "utility") for name in ("train", "test"))
        for rows in (train, test):
            labelled(rows.encoder.schema, rows.frame)

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The AUC, of three classifiers, beside real rows', and what is covered."""
        tables = Tables.of(sets, "utility", self._subset)
        if tables.real not in self._of_real:
            self._of_real[tables.real] = prediction(tables.schema, tables.train, tables.test)
        real = self._of_real[tables.real]
        made = prediction(tables.schema, tables.synthetic, tables.test)
        found = {"tstr": made[CLASSIFIERS[0]].auc.value}
        found |= _named("tstr", made) | _named("tstr/real", real)
        there = coverage(tables.schema, tables.train, tables.synthetic)
        shares = {"": there.categories, "/pairs": there.pairs, "/rare": there.rare}
        return found | {f"covered{key}": v for key, v in shares.items() if v is not None}


class Fidelity:
    """How far synthetic rows lie from real ones; a `touchstone.metrics.metric.Metric`.

    Lower is better of all figures; what the training split comes to, less than which is not to be
    had but by copying it, is under `/real`:

    - marginals: the mean distance of a column's values, `marginals/largest` that of one column;
      pairs: the mean distance of two columns'; all in [0, 1]. See
      `touchstone.privacy.use.marginals`.
    - correlations: the mean difference of two columns' association, `correlations/largest` that of
      one pair. See `touchstone.privacy.use.correlations`.
    - two_sample: the AUC of a classifier that tells the rows from the test split's, with the ends
      of its interval; 0.5 is best, 1 is worst. See `touchstone.privacy.use.two_sample`.

    Args:
        subset: how many of the training rows the run is shown; all by default.
    """

    higher_is_better = False
    extractor = None
    dimensions = 1

    def __init__(self, subset: int | None = None) -> None:
        self._subset = subset

    def check(self, sets: Sets) -> None:
        """Refuses data that are no table, or that have no test split."""
        for name in ("train", "test"):
            _rows(sets, name, "utility")

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The distances of columns, of pairs of columns, of their associations, and of rows."""
        tables = Tables.of(sets, "utility", self._subset)
        told = two_sample(tables.schema, tables.test, tables.synthetic)
        return {
            **distances(tables, tables.synthetic),
            **{f"{name}/real": value for name, value in distances(tables, tables.train).items()},
            "two_sample": told.value,
            "two_sample/low": told.low,
            "two_sample/high": told.high,
        }


class Leakage:
    """What synthetic rows tell of the training rows; a `touchstone.metrics.metric.Metric`.

    membership: the AUC by which the stronger of two attacks tells training rows from the test
    split's; 0.5 is best, as it is no more than a guess, 1 is worst. Both by name,
    `membership/density_ratio` and `membership/nearest`, with `/low` and `/high`, the ends of the
    interval; `/outliers`, the AUC of the rows that stand out; and `/control`, that of others who
    pose as members, which chance makes about 0.5. At most 10,000 rows of each kind take part. See
    `touchstone.privacy.membership`.

    Args:
        subset: how many of the training rows the run is shown; all by default.
    """

    higher_is_better = False
    extractor = None
    dimensions = 1

    def __init__(self, subset: int | None = None) -> None:
        self._subset = subset

    def check(self, sets: Sets) -> None:
        """Refuses data that are no table, or that have no test split."""
        for name in ("train", "test"):
            _rows(sets, name, "leakage")

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The AUC of both attacks, of all rows and of those that stand out, and the control's."""
        tables = Tables.of(sets, "leakage", self._subset)
        members, holdout, synthetic = (
            drawn(features(tables.schema, frame), name)
            for name, frame in (
                ("members", tables.train),
                ("holdout", tables.test),
                ("synthetic", tables.synthetic),
            )
        )
        attacks: dict[str, Attack] = {"density_ratio": DensityRatio(), "nearest": Nearest()}
        found: dict[str, float] = {"membership": 0.0}  # first, until it is known
        for attack, made in membership(members, holdout, synthetic, attacks).items():
            name, area = f"membership/{attack}", made.everyone.figures.auroc
            found |= {name: area.value, f"{name}/low": area.low, f"{name}/high": area.high}
            found[f"{name}/control"] = made.everyone.control.auroc.value
            if made.outliers is not None:
                found[f"{name}/outliers"] = made.outliers.figures.auroc.value
            found["membership"] = max(found["membership"], area.value)
        return found


@dataclass(frozen=True)
class Tables:
    """The frames that a run's rows are judged by.

    Attributes:
        schema: of all three.
        train: the rows that the generator was trained on.
        test: real rows that it was not.
        synthetic: those that it made.
        real: equal for equal rows of the first two.
    """

    schema: Schema
    train: pl.DataFrame
    test: pl.DataFrame
    synthetic: pl.DataFrame
    real: str

    @classmethod
    def of(cls, sets: Sets, metric: str, shown: int | None) -> "Tables":
        """Decodes what was generated; of the training rows those that the run is shown.

        Raises:
            UsageError: the data are no table, or have no test split.
        """
        train, test = (_rows(sets, name, metric) for name in ("train", "test"))
        train = subset(train, shown)
        synthetic = train.encoder.decode(sets.generated.pixels())
        real = f"{train.content_hash} {test.content_hash}"
        return cls(train.encoder.schema, train.frame, test.frame, synthetic, real)


def distances(tables: Tables, frame: pl.DataFrame) -> dict[str, float]:
    """How far a frame's columns, pairs of columns and associations lie from the test split's."""
    schema, test = tables.schema, tables.test
    found: dict[str, float] = {}
    if single := marginals(schema, test, frame).values():
        found |= {"marginals": statistics.fmean(single), "marginals/largest": max(single)}
    if double := pairs(schema, tables.train, test, frame).values():
        found["pairs"] = statistics.fmean(double)
    if (apart := correlations(schema, test, frame)) is not None:
        found |= {"correlations": apart.mean, "correlations/largest": apart.largest}
    return found


def drawn(rows: Tensor, name: str) -> Tensor:
    """At most 10,000 of the rows `(N, F)`, at random."""
    generator = torch.Generator().manual_seed(derive(0, name))
    return rows[torch.randperm(len(rows), generator=generator)[:MOST]]


def _named(name: str, by_classifier: dict[str, Prediction]) -> dict[str, float]:
    headline = by_classifier[CLASSIFIERS[0]]
    return {
        name: headline.auc.value,
        f"{name}/low": headline.auc.low,
        f"{name}/high": headline.auc.high,
        f"{name}/f1": headline.f1.value,
        f"{name}/accuracy": headline.accuracy.value,
        **{f"{name}/{other}": by_classifier[other].auc.value for other in CLASSIFIERS[1:]},
    }


def _rows(sets: Sets, name: str, metric: str) -> Rows:
    """A split as it is kept.

    Raises:
        UsageError: there is none, or it is of no table.
    """
    split = sets.split(name)
    if split is None or not isinstance(split.source, Stored):
        raise UsageError(f"metrics={metric}: it needs a run, or data=NAME, with splits")
    if not isinstance(split.source.images, Rows):
        raise UsageError(
            f"metrics={metric}: it is of tables, and the {name} split is none: choose data=adult, "
            "or data=table data.path=FILE.csv"
        )
    return split.source.images
