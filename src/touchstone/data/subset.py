"""A part of a split: fewer samples, those left out, or fewer labels."""

from typing import TypeVar

import torch
from torch import Tensor

from touchstone.data.split import Split
from touchstone.draws import derive
from touchstone.errors import UsageError

Whole = TypeVar("Whole", bound=Split)


def subset(split: Whole, number: int | None) -> Whole:
    """Takes `number` samples, as equally of the classes as can be; the same for every run.

    Args:
        split: of which.
        number: how many; None: all.

    Raises:
        UsageError: where there are not so many.
    """
    if number is None:
        return split
    return split.take(_chosen(split, number, "subset"))


def rest(split: Whole, number: int | None) -> Whole:
    """The samples that `subset` leaves out, in their order; of all, none.

    Args:
        split: of which.
        number: how many `subset` takes.

    Raises:
        UsageError: where there are not so many.
    """
    left = torch.ones(len(split), dtype=torch.bool)
    left[slice(None) if number is None else _chosen(split, number, "subset")] = False
    return split.take(left.nonzero().flatten())


def labelled(split: Whole, number: int | None) -> Whole:
    """Leaves `number` samples their labels, as equally of the classes as can be.

    The others' become -1. Which they are is the same for every run.

    Args:
        split: whose labels.
        number: how many; None: all.

    Raises:
        UsageError: where there are not so many.
    """
    if number is None:
        return split
    if split.labels is None:
        raise UsageError(f"labelled={number}: the data has no labels")
    chosen = _chosen(split, number, "labelled").to(split.device)
    labels = torch.full_like(split.labels, -1)
    labels[chosen] = split.labels[chosen]
    return split.relabel(labels)


def _chosen(split: Split, number: int, setting: str) -> Tensor:
    """The indices of `number` samples, int64, in ascending order."""
    if number > len(split):
        raise UsageError(f"{setting}={number}: the data has {len(split)} samples")
    generator = torch.Generator().manual_seed(derive(0, "subset"))
    order = torch.randperm(len(split), generator=generator)
    if split.labels is not None:
        of_class = torch.nn.functional.one_hot(split.labels.cpu()[order], len(split.classes))
        # A sample's number within its class: all classes' first come first.
        rank = (of_class.cumsum(0) * of_class).sum(1)
        order = order[rank.argsort(stable=True)]
    return order[:number].sort().values
