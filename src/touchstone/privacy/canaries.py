"""Canaries: made-up records, planted by coin, to see whether they can be told from the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from touchstone.draws import derive
from touchstone.errors import UsageError

TRIES = 20


@dataclass(frozen=True)
class Canaries:
    """Records that are nobody's.

    Attributes:
        records: all canaries, `(m, F)`.
        included: which of them are planted, each by a fair coin, bool `(m,)`.
    """

    records: Tensor
    included: Tensor

    @property
    def planted(self) -> Tensor:
        """Those that are trained on, beside the real records."""
        return self.records[self.included]


def canaries(records: Tensor, number: int, columns: Sequence[int], seed: int) -> Canaries:
    """Makes canaries unlike any record and unlike each other.

    Each column's value is one of those that occur, all equally likely, whatever the other columns
    hold: rare categories and values are as frequent as common ones, and what goes together in
    people does not. Steinke, Nasr and Jagielski 2023 (arXiv 2305.08846, section 6) have mislabelled
    and random examples for images; here the label is one column among others.

    Args:
        records: real ones, `(N, F)`.
        number: of canaries, about half of which are planted.
        columns: how many features each column has, in order; together F. Pixels have 1 each.
        seed: of the values and of the coins, to be kept from the attacker.

    Raises:
        UsageError: columns that do not make up the records, or values too few for so many records
            of new combinations.
    """
    if sum(columns) != records.shape[1]:
        raise UsageError(
            f"columns of {sum(columns)} features in all do not make up records of "
            f"{records.shape[1]}"
        )
    draws = torch.Generator().manual_seed(derive(seed, "canaries"))
    values = [torch.unique(column, dim=0) for column in torch.split(records, list(columns), 1)]
    known = {row.numpy().tobytes() for row in records}
    made: list[Tensor] = []
    for _ in range(TRIES):
        parts = [v[torch.randint(len(v), (number,), generator=draws)] for v in values]
        for row in torch.cat(parts, 1):
            if len(made) < number and row.numpy().tobytes() not in known:
                known.add(row.numpy().tobytes())
                made.append(row)
    if len(made) < number:
        raise UsageError(
            f"{number} canaries: the columns have values for {len(made)} new combinations that "
            "were found; ask for fewer"
        )
    included = torch.rand(number, generator=draws) < 0.5
    return Canaries(torch.stack(made), included)
