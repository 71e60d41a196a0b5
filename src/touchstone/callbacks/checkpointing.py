"""Checkpoints: the last, the best, and one before leaving on a signal."""

import math
import operator
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from touchstone import processes
from touchstone.callbacks.evaluation import evaluation
from touchstone.errors import InterruptionError
from touchstone.gan import GAN


class Checkpointing(Callback):
    """Keeps `last.ckpt` every so many images, and `best.ckpt` by the first metric.

    On SIGTERM and Ctrl-C the stretch is finished, a checkpoint written and the run left, by all
    processes after the same iteration; a second signal leaves at once.

    They go to the folder `checkpoints` in the trainer's root.

    Args:
        every: images from one checkpoint to the next.

    Attributes:
        best: the best figure so far and the images at which it was reached.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, every: int) -> None:
        self.every = every
        self.best: tuple[float, int] | None = None
        self._received: int | None = None
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Listens for signals from here on."""
        if threading.current_thread() is threading.main_thread():
            self._handlers = {
                number: signal.signal(number, self._receive) for number in self.SIGNALS
            }

    def teardown(self, trainer: Trainer, module: GAN, stage: str) -> None:  # type: ignore[override]
        """Listens no longer."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Writes what is due; leaves if a signal has asked any process for it.

        Raises:
            InterruptionError: after a signal.
        """
        better = self._improved(trainer, module)
        # A signal from here on is the next stretch's.
        received = agreed(self._received, module.device)
        if better or received is not None or module.passed(self.every):
            folder = Path(trainer.default_root_dir) / "checkpoints"
            if better:
                # Before the last, which says what the best was: a run that is killed between the
                # two goes on from the former last, and comes to the best again.
                trainer.save_checkpoint(folder / "best.ckpt", weights_only=False)
            trainer.save_checkpoint(folder / "last.ckpt", weights_only=False)
        if received is not None:
            raise InterruptionError(received)

    def state_dict(self) -> dict[str, Any]:
        """Keeps what the best was."""
        return {"best": list(self.best) if self.best else None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up what the best was."""
        self.best = tuple(state_dict["best"]) if state_dict["best"] else None

    def _improved(self, trainer: Trainer, module: GAN) -> bool:
        """Whether this iteration was evaluated and is the best so far."""
        figures = evaluation(trainer)
        if figures is None or figures.at != module.images or not figures.chooses:
            return False
        figure = next(iter(figures.latest.values()))
        if math.isnan(figure):
            return False
        if self.best is not None:
            better = operator.gt if figures.higher_is_better else operator.lt
            if not better(figure, self.best[0]):
                return False
        self.best = (figure, module.images)
        return True

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        signal.signal(number, self._handlers[number])


def agreed(received: int | None, device: torch.device) -> int | None:
    """The signal that any of the processes has received, which can have come to one alone."""
    if processes.number() == 1:
        return received
    signals = torch.tensor(received or 0, device=device)
    torch.distributed.all_reduce(signals, torch.distributed.ReduceOp.MAX)
    return int(signals) or None
