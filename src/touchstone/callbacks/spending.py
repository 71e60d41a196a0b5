"""What a private run has spent of its budget."""

from collections.abc import Callable
from typing import Any

from pytorch_lightning import Callback, Trainer

from touchstone.gan import GAN


class Spending(Callback):
    """Logs epsilon, as `privacy/epsilon`, every so many images.

    Args:
        epsilon: what is spent at so many images; it may take seconds.
        every: images from one look to the next.
    """

    def __init__(self, epsilon: Callable[[int], float], every: int) -> None:
        self.epsilon = epsilon
        self.every = every

    def on_train_batch_end(self, trainer: Trainer, module: GAN, *_: Any) -> None:  # type: ignore[override]
        """Logs what is due."""
        if module.passed(self.every) and trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(
                    {"privacy/epsilon": self.epsilon(module.images)}, step=module.images
                )
