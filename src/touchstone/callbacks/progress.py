"""A progress bar in images."""

import sys
from typing import Any

from pytorch_lightning import Callback, Trainer
from torch import Tensor
from tqdm import tqdm

from touchstone.callbacks.evaluation import evaluation
from touchstone.gan import GAN


class Progress(Callback):
    """Shows images, rate, time left, both losses and the last figures, on standard error.

    Args:
        every: images from one look at the losses to the next; the bar itself moves by time.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._bar: tqdm | None = None

    def on_train_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Opens the bar where the run stands."""
        if trainer.is_global_zero:
            terminal = sys.stderr.isatty()
            self._bar = tqdm(
                total=module.budget,
                initial=module.images,
                desc="training",
                unit=" images",
                unit_scale=True,
                dynamic_ncols=True,
                mininterval=0.25 if terminal else 10.0,
                ncols=None if terminal else 0,
            )

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Moves the bar."""
        if self._bar is None:
            return
        if module.passed(self.every):
            losses = {"D": "loss/discriminator", "G": "loss/generator"}
            shown = {
                player: f"{float(outputs[name]):.3f}"
                for player, name in losses.items()
                if name in outputs  # a private run does not tell the discriminator's
            }
            if figures := evaluation(trainer):
                # Of a metric's figures the headline: a detection has hundreds.
                headlines = [name for name in figures.latest if "/" not in name]
                shown |= {name: f"{figures.latest[name]:.2f}" for name in headlines}
            self._bar.set_postfix(shown, refresh=False)
        self._bar.update(min(module.images, module.budget) - self._bar.n)

    def teardown(self, trainer: Trainer, module: GAN, stage: str) -> None:  # type: ignore[override]
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
