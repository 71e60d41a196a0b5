"""The curves of a run: losses, logits, gradients, learning rates, speed and memory."""

import resource
import sys
import time
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from touchstone.callbacks.evaluation import evaluation
from touchstone.cost import Energy
from touchstone.gan import GAN, Batch


class Curves(Callback):
    """Logs what an iteration shows, every so many images; between them nothing is read back.

    Args:
        every: images from one line to the next.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.seconds = 0.0  # of training, the evaluations left out
        self.joules: float | None = 0.0  # likewise; none where the device does not tell
        self._due = False
        self._gradient_norms: dict[str, Tensor] = {}
        self._started: float | None = None
        self._last = (0, 0.0)

    def on_train_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Starts the clock."""
        self._last = (module.images, self.seconds)

    def on_train_batch_start(  # type: ignore[override]
        self, trainer: Trainer, module: GAN, batch: Batch, batch_idx: int
    ) -> None:
        """Sees whether this iteration's gradients will be wanted."""
        if self._started is None:
            self._started = time.perf_counter()
            self._energy = Energy(trainer.strategy.root_device)
        after = module.images + len(batch[0]) * trainer.world_size
        self._due = after // self.every > module.images // self.every or after >= module.budget

    def on_before_optimizer_step(  # type: ignore[override]
        self, trainer: Trainer, module: GAN, optimizer: Optimizer
    ) -> None:
        """Takes the norm of the gradient, not yet clipped, of the network about to step."""
        if self._due:
            name = "generator" if optimizer is trainer.optimizers[0] else "discriminator"
            gradients = [
                parameter.grad
                for group in optimizer.param_groups
                for parameter in group["params"]
                if parameter.grad is not None
            ]
            self._gradient_norms[f"gradient_norm/{name}"] = nn.utils.get_total_norm(gradients)

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: dict[str, Tensor],
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Logs what passes a multiple of `every`; stops the clock while an evaluation runs."""
        evaluating = evaluation(trainer)
        if evaluating is not None and module.passed(evaluating.every):
            self._stop()
        if not self._due:
            return
        figures = {name: float(value.mean()) for name, value in outputs.items()}
        figures |= {name: float(value) for name, value in self._gradient_norms.items()}
        for name, optimizer in zip(("generator", "discriminator"), trainer.optimizers, strict=True):
            figures[f"learning_rate/{name}"] = optimizer.param_groups[0]["lr"]

        self._stop()
        images, seconds = self._last
        figures["speed/images_per_second"] = (module.images - images) / (self.seconds - seconds)
        figures["speed/seconds"] = self.seconds
        figures["memory/peak_gib"] = peak_memory(module.device) / 2**30
        self._last = (module.images, self.seconds)
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

    def _stop(self) -> None:
        """Stops the clock until the next iteration begins."""
        if self._started is not None:
            self.seconds += time.perf_counter() - self._started
            self._started = None
            drawn = self._energy.joules()
            if self.joules is not None:
                self.joules = None if drawn is None else self.joules + drawn


def peak_memory(device: torch.device) -> int:
    """The most memory that was in use so far, in bytes: the device's, on a CPU the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
