"""The records of a private run: who is in a sample, and what the rest of the training sees."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from touchstone.data.batches import HELD
from touchstone.data.split import Split
from touchstone.privacy.secret import Secret


class Records:
    """Samples a split as the account of the privacy supposes.

    Args:
        split: the records; no labels are taken of them.
        rate: the probability with which a record is in a sample, by itself.
        secret: who is in the samples.
        device: where they are wanted.
    """

    def __init__(
        self, split: Split, rate: float, secret: Secret, device: torch.device | str = "cpu"
    ) -> None:
        self._split = split.to(device) if split.nbytes <= HELD else split
        self._rate, self._secret, self._device = rate, secret, torch.device(device)

    def sample(self, update: int) -> Tensor:
        """The Poisson sample of an update, `(n, ...)`, as the networks take it; n can be 0."""
        chances = self._secret.uniform(len(self._split), "sample", update)
        chosen = (chances < self._rate).nonzero().flatten().to(self._split.device)
        kept, _ = self._split.gather(chosen)
        return self._split.normalize(kept.to(self._device))


@dataclass(frozen=True, eq=False)
class Withheld:
    """A split that says how many records there are and gives zeros for them: a `Split`.

    What the step takes for its records is this, so that none of them can reach the generator's
    update, or a term of it.

    Attributes:
        number: of records.
        shape: of one.
        device: where the zeros lie.
    """

    number: int
    shape: tuple[int, ...]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    labels = None
    classes: tuple[str, ...] = ()
    nbytes = 0
    content_hash = "withheld"

    def __len__(self) -> int:
        return self.number

    def gather(self, indices: Tensor) -> tuple[Tensor, None]:
        """Gives a zero for every number of every record, `(n, *shape)`."""
        return torch.zeros(len(indices), *self.shape, device=self.device), None

    batch = gather

    def normalize(self, kept: Tensor) -> Tensor:
        """Gives the zeros as they are."""
        return kept

    def take(self, indices: Tensor) -> "Withheld":
        """Withholds so many."""
        return Withheld(len(indices), self.shape, self.device)

    def join(self, others: "Withheld") -> "Withheld":
        """Withholds both."""
        return Withheld(len(self) + len(others), self.shape, self.device)

    def relabel(self, labels: Tensor | None) -> "Withheld":
        """Withholds labels, too."""
        return self

    def to(
        self,
        device: torch.device | str,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> "Withheld":
        """Gives zeros on `device`."""
        return Withheld(self.number, self.shape, torch.device(device))
