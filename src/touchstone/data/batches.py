"""The batches of a run, whose order is a function of the seed and the images shown so far."""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from touchstone.data.split import Split
from touchstone.draws import Share, derive
from touchstone.errors import UsageError

Batch = tuple[Tensor, Tensor | None]
HELD = 2 * 2**30  # bytes of samples up to which they lie on the device

_AHEAD = 4  # iterations that a thread reads ahead


def check_batch_size(batch_size: int, images: int, processes: int = 1) -> None:
    """Refuses a global batch that `images` images or `processes` processes cannot give.

    Raises:
        UsageError: a batch larger than the data, or one that the processes do not divide.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size={batch_size}: it has to be 1 or more")
    if batch_size > images:
        raise UsageError(
            f"batch_size={batch_size}: the data has {images} images; "
            f"batch_size can be {images} at most"
        )
    if batch_size % processes:
        raise UsageError(
            f"batch_size={batch_size}: it is shared by {processes} processes; "
            f"it has to be a multiple of {processes}"
        )


class Order:
    """The endless order of `length` images: epoch after epoch, each a permutation of its own."""

    def __init__(self, length: int, seed: int, device: torch.device | str = "cpu") -> None:
        self._length, self._seed, self._device = length, seed, device
        self._epoch, self._permutation = -1, torch.empty(0, dtype=torch.int64)

    def between(self, start: int, stop: int) -> Tensor:
        """Gives the indices of the images at the places `start` to `stop`, int64, on the device."""
        parts = []
        while start < stop:
            epoch, offset = divmod(start, self._length)
            parts.append(self._of_epoch(epoch)[offset : offset + stop - start])
            start += len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _of_epoch(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            # Drawn on the CPU, so that the order is the same on every device.
            generator = torch.Generator().manual_seed(derive(self._seed, "order", epoch))
            self._permutation = torch.randperm(self._length, generator=generator).to(self._device)
            self._epoch = epoch
        return self._permutation


class Batches:
    """The samples of each iteration, from `start` images shown to `stop`.

    Each item is `(samples, labels)`: the `critic_steps` batches of one iteration, one after the
    other, and of each global batch the part of this process: samples `(critic_steps * batch_size /
    processes, ...)`, floats in [-1, 1] on `device`, labels int64 or None. Batches run on across
    the epochs' borders and drop nothing, so iterating from `start` equals the tail of iterating
    from 0, bit for bit.

    Samples of up to `memory` bytes lie on `device` as they are kept, images as uint8, and are
    gathered there; larger sets are read ahead by threads, in the same order and with the same
    values.

    Args:
        images: what to draw from.
        batch_size: images in a global batch, over all processes.
        critic_steps: batches in an iteration.
        seed: the run's seed.
        start: images shown so far.
        stop: the budget, in images; the last iteration may go beyond it.
        share: this process's part of each global batch.
        device: where the samples are wanted.
        workers: threads that read ahead; with 0, a batch is read when it is asked for.
        memory: the bytes of samples that may lie on the device.
        memory_format: in which samples lie that are gathered on the device.

    Raises:
        UsageError: a batch larger than the data, or one that the processes do not divide.
    """

    def __init__(
        self,
        images: Split,
        *,
        batch_size: int,
        critic_steps: int,
        seed: int,
        start: int,
        stop: int,
        share: Share | None = None,
        device: torch.device | str = "cpu",
        workers: int = 0,
        memory: int = HELD,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> None:
        self._share = share or Share()
        check_batch_size(batch_size, len(images), self._share.processes)
        self._batch_size, self._span = batch_size, critic_steps * batch_size
        self._start, self._stop = start, stop
        self._device, self._workers = torch.device(device), workers
        self._fits = images.nbytes <= memory
        self._images = images.to(self._device, memory_format) if self._fits else images
        ordered = getattr(
            self._images, "order", None
        )  # conditional rows have an order of their own
        self._order = (ordered and ordered(seed)) or Order(len(images), seed, self._images.device)

    def __len__(self) -> int:
        """The iterations from `start` to `stop`."""
        return max(0, math.ceil((self._stop - self._start) / self._span))

    def __iter__(self) -> Iterator[Batch]:
        return self._gathered() if self._fits else self._streamed()

    def _indices(self, iteration: int) -> Tensor:
        first = self._start + iteration * self._span
        order = self._order.between(first, first + self._span)
        if self._share.processes == 1:
            return order
        return torch.cat([self._share.of(step) for step in torch.split(order, self._batch_size)])

    def _gathered(self) -> Iterator[Batch]:
        for iteration in range(len(self)):
            yield self._images.batch(self._indices(iteration))

    def _streamed(self) -> Iterator[Batch]:
        # Threads, not processes: the copying of pixels lets go of the interpreter, and to hand a
        # batch from process to process takes several times as long as to read it.
        with ThreadPoolExecutor(max(1, self._workers)) as threads:
            reads = (threads.submit(self._read, self._indices(n)) for n in range(len(self)))
            ahead = deque(islice(reads, 1 + _AHEAD * self._workers))
            while ahead:
                kept, labels = ahead.popleft().result()
                if labels is not None:
                    labels = labels.to(self._device, non_blocking=True)
                here = kept.to(self._device, non_blocking=True)
                yield self._images.normalize(here), labels
                ahead.extend(islice(reads, 1))

    def _read(self, indices: Tensor) -> Batch:
        kept, labels = self._images.gather(indices)
        if self._device.type == "cuda":  # which copies by itself what is pinned
            return kept.pin_memory(), None if labels is None else labels.pin_memory()
        return kept, labels
