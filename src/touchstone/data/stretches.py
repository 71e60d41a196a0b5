"""A run's batches in stretches of a second, which the training step runs at once."""

import time
from collections.abc import Callable, Iterator
from itertools import islice

from touchstone.data.batches import Batch, Batches

LONGEST = 1.0  # seconds, about: how long a signal or the progress bar has to wait


class Stretches:
    """Iterates over iterators of batches, each going on where the one before was left.

    The first is of one batch; each is twice or half as long as the one before until they take half
    a second to a second. A stretch may be left early.

    Args:
        batches: of the whole run.
        agreed: gives every process the first one's answer.
    """

    def __init__(self, batches: Batches, agreed: Callable[[int], int]) -> None:
        self._batches = batches
        self._agreed = agreed

    def __len__(self) -> int:
        """The most stretches that there can be."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Iterator[Batch]]:
        batches = iter(self._batches)
        left, length = len(self._batches), 1

        def stretch() -> Iterator[Batch]:
            nonlocal left
            for batch in islice(batches, length):
                left -= 1
                yield batch

        while left > 0:
            started = time.perf_counter()
            yield stretch()
            seconds = time.perf_counter() - started
            if seconds > LONGEST:
                length = max(1, length // 2)
            elif seconds < LONGEST / 2:
                length = min(2 * length, len(self))
            length = self._agreed(length)
