"""The curves of a run: losses, logits, gradients, learning rates, speed and memory."""

import resource
import sys
import time
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from touchstone.callbacks.evaluation import evaluation
from touchstone.cost import Energy
from touchstone.gan import GAN, Seen


class Curves(Callback):
    """Logs what an iteration shows, every so many images; between them nothing is read back.

    Args:
        every: images from one line to the next.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.seconds = 0.0  # of training, the evaluations left out
        self.joules: float | None = 0.0  # likewise; none where the device does not tell
        self.peak_memory = 0  # bytes; on a GPU likewise
        self._started: float | None = None
        self._last = (0, 0.0)

    def on_train_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Starts the clock."""
        self._last = (module.images, self.seconds)

    def on_train_batch_start(  # type: ignore[override]
        self, trainer: Trainer, module: GAN, batch: Any, batch_idx: int
    ) -> None:
        """Starts the clock if an evaluation has stopped it."""
        if self._started is None:
            device = trainer.strategy.root_device
            self._started = time.perf_counter()
            self._energy = Energy(device)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: Seen,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Logs what passes a multiple of `every`; stops the clock while an evaluation runs."""
        due = module.passed(self.every)
        figures = self._read(module, outputs) if due else {}
        evaluating = evaluation(trainer)
        if evaluating is not None and module.passed(evaluating.every):
            self._stop()
        if not due:
            return
        for name, optimizer in zip(("generator", "discriminator"), trainer.optimizers, strict=True):
            figures[f"learning_rate/{name}"] = float(optimizer.param_groups[0]["lr"])
        images, seconds = self._last
        now = self._elapsed()
        figures["speed/images_per_second"] = (module.images - images) / (now - seconds)
        figures["speed/seconds"] = now
        figures["memory/peak_gib"] = self.peak_memory / 2**30
        self._last = (module.images, now)
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=module.images)

    def on_train_end(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Stops the clock."""
        self._stop()

    def state_dict(self) -> dict[str, Any]:
        """Keeps the time spent, so that a resumed run goes on counting."""
        self._stop()
        return {"seconds": self.seconds, "joules": self.joules}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the time that was spent before."""
        self.seconds, self.joules = state_dict["seconds"], state_dict["joules"]

    def _read(self, module: GAN, outputs: Seen) -> dict[str, float]:
        """What the last iteration shows, read from the device at once."""
        norms = {
            f"gradient_norm/{name}": norm_of_gradient(network)
            for name, network in (
                ("generator", module.generator),
                ("discriminator", module.discriminator),
            )
        }
        # Of a clipped gradient, `outputs` has the norm that it had before.
        shown = {name: value.float().mean() for name, value in (norms | outputs).items()}
        figures = dict(zip(shown, torch.stack(list(shown.values())).tolist(), strict=True))
        self.peak_memory = max(self.peak_memory, peak_memory(module.device))
        return figures

    def _elapsed(self) -> float:
        """The seconds of training so far."""
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self.seconds + running

    def _stop(self) -> None:
        """Stops the clock until the next iteration begins."""
        if self._started is not None:
            if self._energy.device.type == "cuda":
                torch.cuda.synchronize(self._energy.device)
            self.seconds, self._started = self._elapsed(), None
            self.peak_memory = max(self.peak_memory, peak_memory(self._energy.device))
            drawn = self._energy.joules()
            if self.joules is not None:
                self.joules = None if drawn is None else self.joules + drawn


def norm_of_gradient(network: nn.Module) -> Tensor:
    """The norm of the gradient that a network's last step went by."""
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    return nn.utils.get_total_norm(gradients)


def peak_memory(device: torch.device) -> int:
    """The most memory that was in use so far, in bytes: the device's, on a CPU the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
