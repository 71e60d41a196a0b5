"""Whether a classifier of synthetic rows treats groups of people as one of real rows does."""

from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from touchstone.data.tables.encoding import numbered
from touchstone.data.tables.schema import Category, Schema
from touchstone.errors import UsageError
from touchstone.privacy.intervals import Estimate
from touchstone.privacy.use.features import judged
from touchstone.privacy.use.prediction import of_target
from touchstone.privacy.use.resampling import Statistic, auc, estimate, share, spread

LEAST = 20  # test rows of a group, and of its positives, that a rate takes


@dataclass(frozen=True)
class Group:
    """What a group meets with, with 95 % intervals over the test rows.

    Attributes:
        rows: how many it has.
        selected: the share of them predicted positive, in [0, 1].
        tpr: the share of its positives predicted so, in [0, 1], 1 is best; None of fewer than 20.
        auc: of the prediction within the group; 0.5 is a guess, 1 is best; None as `tpr`, or of
            fewer than 20 negatives.
    """

    rows: int
    selected: Estimate
    tpr: Estimate | None
    auc: Estimate | None


@dataclass(frozen=True)
class Fairness:
    """How differently a classifier treats groups.

    Attributes:
        groups: by their value; those of fewer than 20 test rows are left out.
        demographic_parity: the largest share selected less the least; in [0, 1], 0 is best (Dwork
            et al. 2012).
        equal_opportunity: the largest true positive rate less the least; in [0, 1], 0 is best
            (Hardt et al. 2016); None where fewer than two groups have one.

    The differences are of the largest and the least, and so are over 0 by chance, too, the more so
    the smaller the groups: see the classifier of real rows beside it.
    """

    groups: dict[str, Group]
    demographic_parity: Estimate
    equal_opportunity: Estimate | None


def fairness(
    schema: Schema,
    groups: str,
    likely: Tensor,
    test: pl.DataFrame,
    *,
    positive: str | None = None,
    seed: int = 0,
) -> Fairness:
    """Compares how a classifier treats groups of the test rows.

    Args:
        schema: of the rows, with a target.
        groups: the category that says which group a row belongs to; a missing value is a group.
        likely: what the classifier says of the rows, `(N, C)`, as
            `touchstone.privacy.use.prediction.train` makes them.
        test: the N rows.
        positive: the target's value that people are selected for; by default the one that is rarest
            among the test rows.
        seed: of the intervals' samples.

    Raises:
        UsageError: groups by a column that is no category, or is the target; a value that the
            target does not have; fewer than two groups of 20 rows or more.
    """
    target = of_target(schema)
    categories = {column.name: column for column in judged(schema) if isinstance(column, Category)}
    column = categories.get(groups, target)
    if column == target:
        kinds = [name for name in categories if name != target.name]
        raise UsageError(f"groups={groups}: it has to be one of the categories {', '.join(kinds)}")
    if positive is not None and positive not in target.values:
        raise UsageError(f"positive={positive}: {target.name} is one of {', '.join(target.values)}")
    truth, members = (numbered(each, test[each.name]) for each in (target, column))
    there = truth < len(target.values)
    truth, members, likely = truth[there], members[there], likely[there]
    if positive is None:
        counts = truth.bincount(minlength=len(target.values))
        asked = int(counts.where(counts > 0, len(truth) + 1).argmin())
    else:
        asked = target.values.index(positive)
    selected, wanted, score = likely.argmax(1) == asked, truth == asked, likely[:, asked]

    names = (*column.values, *["missing"] * column.missing)
    inside = {name: members == number for number, name in enumerate(names)}
    inside = {name: rows for name, rows in inside.items() if _enough(rows)}
    if len(inside) < 2:
        raise UsageError(
            f"groups={groups}: of its values {len(inside)} have {LEAST} test rows or more; a "
            "comparison takes two"
        )
    selection, chances, statistics = [], [], dict[str, Statistic]()
    for name, rows in inside.items():
        statistics[f"selected {name}"] = share(selected, rows)
        selection.append(statistics[f"selected {name}"])
        if _enough(rows & wanted):
            statistics[f"tpr {name}"] = share(selected, rows & wanted)
            chances.append(statistics[f"tpr {name}"])
            if _enough(rows & ~wanted):
                statistics[f"auc {name}"] = within(rows, auc(score[rows], wanted[rows]))
    statistics["parity"] = spread(selection)
    if len(chances) > 1:
        statistics["opportunity"] = spread(chances)
    found = estimate(statistics, len(truth), seed)
    by_name = {
        name: Group(
            int(rows.sum()),
            found[f"selected {name}"],
            found.get(f"tpr {name}"),
            found.get(f"auc {name}"),
        )
        for name, rows in inside.items()
    }
    return Fairness(by_name, found["parity"], found.get("opportunity"))


def within(rows: Tensor, statistic: Statistic) -> Statistic:
    """A figure of some of the rows, bool `(N,)`, of the counts of all."""
    places = rows.nonzero().flatten()
    return lambda counts: statistic(torch.index_select(counts, 1, places))


def _enough(rows: Tensor) -> bool:
    return int(rows.sum()) >= LEAST
