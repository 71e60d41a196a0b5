"""Samples that are rows of numbers: points of a plane, for the most part."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from touchstone.data.images import check_labels
from touchstone.errors import UsageError


@dataclass(frozen=True, eq=False)
class Points:
    """A split of a data set, whole; a `touchstone.data.split.Split`.

    Attributes:
        values: float32, `(N, F)`, about in [-1, 1].
        labels: int64, `(N,)`, indices of `classes`; None where the set has none.
        classes: the classes' names, in the order of the labels.

    Raises:
        UsageError: the values or labels have another type or shape, or a label has no class.
    """

    values: Tensor
    labels: Tensor | None
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.dtype != torch.float32 or self.values.ndim != 2:
            raise UsageError(
                f"data: points are {self.values.dtype} of shape {tuple(self.values.shape)}; "
                "they have to be float32 of shape (N, F)"
            )
        check_labels(self.labels, len(self), self.classes)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of one point, `(F,)`."""
        return tuple(self.values.shape[1:])

    @property
    def nbytes(self) -> int:
        """The memory that the points take."""
        return self.values.nbytes

    @property
    def device(self) -> torch.device:
        """Where the points lie."""
        return self.values.device

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Takes the points and the labels at `indices`, int64 on the points' device."""
        labels = None if self.labels is None else self.labels.index_select(0, indices)
        return self.values.index_select(0, indices), labels

    def take(self, indices: Tensor) -> "Points":
        """The split of the points at `indices` alone."""
        return Points(*self.gather(indices.to(self.device)), self.classes)

    def join(self, others: "Points") -> "Points":
        """The split of these points and then others of the same shape and classes."""
        labels = [split.labels for split in (self, others) if split.labels is not None]
        values = torch.cat([self.values, others.values])
        return Points(values, torch.cat(labels) if labels else None, self.classes)

    def relabel(self, labels: Tensor | None) -> "Points":
        """The same points with other labels."""
        return Points(self.values, labels, self.classes)

    def normalize(self, kept: Tensor) -> Tensor:
        """Points are kept as the networks take them."""
        return kept

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Takes the points and the labels at `indices`: what `gather` does."""
        return self.gather(indices)

    def to(
        self,
        device: torch.device | str,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> "Points":
        """Moves the points and labels to `device`; rows have no channels to lie last."""
        labels = None if self.labels is None else self.labels.to(device)
        return Points(self.values.to(device), labels, self.classes)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256, in hex, of the shape and the values."""
        digest = hashlib.sha256(f"points {tuple(self.values.shape)}".encode())
        digest.update(self.values.cpu().contiguous().numpy().data)
        return digest.hexdigest()
