"""The discriminator's logit of every record by itself, for who attacks with it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from touchstone.errors import UsageError


class Logits:
    """What a run's discriminator says of records, each by itself; for `attacks.discriminator`.

    A discriminator that judges packs gets a pack of the record alone. One of conditional rows is
    asked once by every category of the row, and the mean is taken.

    Args:
        discriminator: in eval mode.
        shape: of a sample.
        layout: the blocks of a table's row, where samples are rows.

    Raises:
        UsageError: it judges a sample by its label.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        shape: tuple[int, ...],
        layout: Sequence[tuple[str, int]] = (),
    ) -> None:
        self._discriminator, self._shape, self._layout = discriminator, shape, layout
        self._pack = int(getattr(discriminator, "pack", 1))
        self._conditional = bool(getattr(discriminator, "conditions", 0))
        mixing = (getattr(module, "mixes_samples", False) for module in discriminator.modules())
        self._alone = self._pack == 1 and any(mixing)
        try:
            self(torch.zeros(2, torch.Size(shape).numel()))
        except (TypeError, AssertionError) as error:
            raise UsageError(
                "the discriminator judges a sample by its label, which a record has not"
            ) from error

    @torch.no_grad()
    def __call__(self, records: Tensor) -> Tensor:
        """Logits `(N,)` of samples `(N, F)`, each flattened."""
        samples = records.view(len(records), *self._shape)
        parts = torch.split(samples, 1) if self._alone else [samples]
        return torch.cat([self._judged(part) for part in parts])

    def _judged(self, samples: Tensor) -> Tensor:
        packs = samples.repeat_interleave(self._pack, 0)
        if not self._conditional:
            logits: Tensor = self._discriminator(packs)
            return logits.flatten()
        verdicts = [
            self._discriminator(packs, condition.repeat_interleave(self._pack))
            for condition in self._conditions(samples)
        ]
        return torch.stack(verdicts).mean(0)

    def _conditions(self, rows: Tensor) -> list[Tensor]:
        """What each category's value is among all categories' values, `(N,)` a category."""
        found, start, offset = list[Tensor](), 0, 0
        for kind, size in self._layout:
            stop = start + size + (kind == "number")
            if kind == "category":
                found.append(rows[:, start:stop].argmax(1) + offset)
                offset += size
            start = stop
        return found
