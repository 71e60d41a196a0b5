"""The split of a table that a run trains on, and the order that shows it rare values often."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import polars as pl
import torch
from torch import Tensor

from touchstone.data.tables.encoding import Encoder, Layout
from touchstone.draws import derive

BLOCK = 8_192  # places of an order that are drawn at once


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table, whole; a `touchstone.data.split.Split`.

    A row is shown by one of its categories, the condition: index `k N + n` is row n, and its label
    the value of the k-th category among all the values of all categories. The indices up to N are
    the rows in order, by their first category.

    Attributes:
        frame: the rows as the file has them, N of them.
        values: as the networks take them, float32 `(N, F)`.
        encoder: turns the one into the other.
        conditions: what each category's value is among all of them, int64 `(K, N)`; K is 0 where
            rows are shown by none.
    """

    frame: pl.DataFrame
    values: Tensor
    encoder: Encoder
    conditions: Tensor

    @classmethod
    def of(cls, frame: pl.DataFrame, encoder: Encoder, *, conditional: bool = False) -> "Rows":
        """Encodes a frame; conditional, its rows are shown by their categories.

        Raises:
            UsageError: a value that the encoder's schema does not have.
        """
        values = encoder.encode(frame)
        found, offset = [], 0
        for name, (kind, size) in zip(encoder.places, encoder.layout, strict=True):
            if kind == "category" and conditional:
                found.append(values[:, encoder.places[name]].argmax(dim=1) + offset)
                offset += size
        empty = torch.empty(0, len(frame), dtype=torch.int64)
        return cls(frame, values, encoder, torch.stack(found) if found else empty)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def labels(self) -> None:
        """None: a row has many values, and none of them is its class."""

    @property
    def classes(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def layout(self) -> Layout:
        """The blocks of a row."""
        return self.encoder.layout

    @property
    def frequencies(self) -> list[float]:
        """How likely each condition is where rows are sampled, `(C,)`: a column, then its value."""
        if not len(self.conditions):
            return []
        number = sum(size for kind, size in self.layout if kind == "category")
        counts = self.conditions.flatten().bincount(minlength=number)
        return [float(share) for share in counts / counts.sum()]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of one row, `(F,)`."""
        return tuple(self.values.shape[1:])

    @property
    def nbytes(self) -> int:
        """The memory that the encoded rows take."""
        return self.values.nbytes

    @property
    def device(self) -> torch.device:
        """Where the encoded rows lie."""
        return self.values.device

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Takes the rows and their conditions at `indices`, int64 on the rows' device."""
        places = indices % len(self)
        labels = None
        if len(self.conditions):
            labels = self.conditions.flatten().index_select(0, indices)
        return self.values.index_select(0, places), labels

    def take(self, indices: Tensor) -> "Rows":
        """The split of the rows at `indices` alone."""
        frame = self.frame[indices.cpu().numpy()]
        indices = indices.to(self.device)
        return Rows(frame, self.values[indices], self.encoder, self.conditions[:, indices])

    def join(self, others: "Rows") -> "Rows":
        """The split of these rows and then others, encoded alike."""
        return Rows(
            pl.concat([self.frame, others.frame]),
            torch.cat([self.values, others.values]),
            self.encoder,
            torch.cat([self.conditions, others.conditions], 1),
        )

    def relabel(self, labels: Tensor | None) -> "Rows":
        """The same rows: they have no labels that could be others."""
        return self

    def normalize(self, kept: Tensor) -> Tensor:
        """Rows are kept as the networks take them."""
        return kept

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Takes the rows and the conditions at `indices`: what `gather` does."""
        return self.gather(indices)

    def to(
        self,
        device: torch.device | str,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> "Rows":
        """Moves the encoded rows and the conditions to `device`; rows have no channels."""
        return Rows(self.frame, self.values.to(device), self.encoder, self.conditions.to(device))

    def order(self, seed: int) -> "BySampling | None":
        """The order that a run shows conditional rows in; None where any will do."""
        return BySampling(self.conditions, seed) if len(self.conditions) else None

    @cached_property
    def content_hash(self) -> str:
        """SHA-256, in hex, of the rows as the file has them, however they are encoded."""
        return hashlib.sha256(self.frame.write_csv().encode()).hexdigest()


class BySampling:
    """The endless order of training by sampling (Xu et al. 2019, arXiv 1907.00503, section 4.3).

    For each place: a category, all as likely; one of its values, by the logarithm of how often it
    occurs; a row that has it. What is drawn for a place is a function of the seed and the place.

    Args:
        conditions: int64 `(K, N)`, as in `Rows`.
        seed: of the run.
    """

    def __init__(self, conditions: Tensor, seed: int) -> None:
        self._seed, self._device = seed, conditions.device
        self._columns, self._rows = conditions.shape
        kept = conditions.cpu()
        # Rows sorted by their value, column by column, and where each value's rows begin.
        self._sorted = kept.argsort(dim=1, stable=True)
        self._values = [column.bincount() for column in kept]
        self._starts = [counts.cumsum(0) - counts for counts in self._values]
        self._block, self._drawn = -1, torch.empty(0, dtype=torch.int64)

    def between(self, start: int, stop: int) -> Tensor:
        """Gives the indices at the places `start` to `stop`, int64, on the device."""
        parts = []
        while start < stop:
            block, offset = divmod(start, BLOCK)
            parts.append(self._of_block(block)[offset : offset + stop - start])
            start += len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _of_block(self, block: int) -> Tensor:
        if block != self._block:
            generator = torch.Generator().manual_seed(derive(self._seed, "order", block))
            columns = torch.randint(self._columns, (BLOCK,), generator=generator)
            draws = torch.rand(BLOCK, dtype=torch.float64, generator=generator)
            found = torch.empty(BLOCK, dtype=torch.int64)
            for column, counts in enumerate(self._values):
                here = columns == column
                weights = (counts.double() + 1).log()
                values = (
                    torch.multinomial(
                        weights, int(here.sum()), replacement=True, generator=generator
                    )
                    if bool(here.any())
                    else torch.empty(0, dtype=torch.int64)
                )
                places = self._starts[column][values] + (draws[here] * counts[values]).long()
                found[here] = column * self._rows + self._sorted[column][places]
            self._drawn, self._block = found.to(self._device), block
        return self._drawn
