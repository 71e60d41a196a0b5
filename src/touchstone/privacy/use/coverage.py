"""Whether rare groups are still there among synthetic rows."""

import itertools
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from touchstone.data.tables.encoding import numbered
from touchstone.data.tables.schema import Category, Schema
from touchstone.privacy.use.features import judged

RARE = 0.01  # the share of rows below which a value is rare
ENOUGH = 10  # real rows that a pair of values needs to be asked for


@dataclass(frozen=True)
class Coverage:
    """What of the real rows' values the synthetic ones have; of each None where there is none.

    Attributes:
        categories: the share of the categories' values that occur; in [0, 1], 1 is best.
        pairs: the share of the pairs of values of two categories, of those that ten real rows or
            more have, that occur; in [0, 1], 1 is best.
        rare: how frequent the values of less than 1 % of the real rows are, all together, over how
            frequent they are among the real ones; 0 or more, 1 is best, less says too rare.
        lost: the values that do not occur, as `column=value`, the most frequent first.
    """

    categories: float | None
    pairs: float | None
    rare: float | None
    lost: tuple[str, ...]


def coverage(
    schema: Schema, real: pl.DataFrame, synthetic: pl.DataFrame, least: int = ENOUGH
) -> Coverage:
    """Looks for the values of real rows among synthetic ones, which should be as many or more.

    Args:
        schema: of both; a missing value is one more value of its column.
        real: rows that the generator was trained on.
        synthetic: rows that it made.
        least: real rows of a pair of values.
    """
    categories = [column for column in judged(schema) if isinstance(column, Category)]
    names = [
        [f"{column.name}={value}" for value in (*column.values, *[None] * column.missing)]
        for column in categories
    ]
    values = [
        [numbered(column, frame[column.name]) for column in categories]
        for frame in (real, synthetic)
    ]
    sizes = [len(of_column) for of_column in names]
    single = [torch.cat([torch.empty(0), *map(_counts, of_frame, sizes)]) for of_frame in values]
    every_name = [name for of_column in names for name in of_column]
    there = single[0] > 0
    rare = there & (single[0] < RARE * len(real))
    lost = (there & (single[1] == 0)).nonzero().flatten().tolist()
    asked, found = 0, 0
    for one, other in itertools.combinations(range(len(names)), 2):
        joint = [
            _counts(of_frame[one] * sizes[other] + of_frame[other], sizes[one] * sizes[other])
            for of_frame in values
        ]
        asked += int((joint[0] >= least).sum())
        found += int(((joint[0] >= least) & (joint[1] > 0)).sum())
    shares = [
        float(counts[rare].sum()) / len(frame)
        for counts, frame in zip(single, (real, synthetic), strict=True)
    ]
    return Coverage(
        float((single[1][there] > 0).double().mean()) if there.any() else None,
        found / asked if asked else None,
        shares[1] / shares[0] if rare.any() else None,
        tuple(every_name[place] for place in sorted(lost, key=lambda place: -single[0][place])),
    )


def _counts(values: Tensor, size: int) -> Tensor:
    return values.bincount(minlength=size).double()
