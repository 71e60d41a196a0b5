"""What a split of a data set is to those who train on it and measure by it."""

from typing import Protocol, Self

import torch
from torch import Tensor


class Split(Protocol):
    """A split of a data set, whole: images, or points.

    Samples are kept in a form of their own, images as uint8, and reach the networks as floats.
    """

    @property
    def labels(self) -> Tensor | None:
        """The samples' labels, int64 `(N,)`, indices of `classes`; -1 or None: there is none."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the labels."""

    @property
    def shape(self) -> tuple[int, ...]:
        """That of one sample: `(C, H, W)` of an image, `(F,)` of a point."""

    @property
    def nbytes(self) -> int:
        """The memory that the samples take as they are kept."""

    @property
    def device(self) -> torch.device:
        """Where the samples lie."""

    @property
    def content_hash(self) -> str:
        """Equal for equal samples, wherever they came from."""

    def __len__(self) -> int: ...

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Takes the samples, as they are kept, and the labels at `indices`, int64 `(n,)`."""

    def take(self, indices: Tensor) -> Self:
        """The split of the samples at `indices` alone, which may lie on another device."""

    def join(self, others: Self) -> Self:
        """The split of these samples and then others of the same kind."""

    def relabel(self, labels: Tensor | None) -> Self:
        """The same samples with other labels; -1 says that a sample has none."""

    def normalize(self, kept: Tensor) -> Tensor:
        """Maps samples as they are kept to the floats in [-1, 1] that the networks take."""

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Takes the samples, as the networks take them, and the labels at `indices`."""

    def to(
        self,
        device: torch.device | str,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> Self:
        """Moves the samples and labels to `device`; images lie there in `memory_format`."""
