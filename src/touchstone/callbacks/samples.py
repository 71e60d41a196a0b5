"""A grid of samples from the same latents, all through a run."""

from typing import Any

from pytorch_lightning import Callback, Trainer
from torch import Tensor

from touchstone.data.images import quantize
from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.gan import GAN
from touchstone.pictures import grid
from touchstone.sampling import samples


class Samples(Callback):
    """Shows the averaged generator's samples every so many images, at every logger that can.

    Args:
        every: images from one grid to the next.
        columns: samples a row; the grid is as high as it is wide.
    """

    def __init__(self, every: int, columns: int = 10) -> None:
        self.every = every
        self.columns = columns

    def on_fit_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Refuses samples that are no images.

        Raises:
            UsageError: names what shows them.
        """
        shape = trainer.datamodule.images.shape  # type: ignore[attr-defined]
        if len(shape) != 3:
            raise UsageError(
                f"callbacks=default: it shows images, and a sample of these data is of the shape "
                f"{shape}; use callbacks=points for points in the plane, callbacks=table for rows"
            )

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Makes the grid when it is due."""
        if not module.passed(self.every) or not trainer.is_global_zero:
            return
        made = samples(
            module.average.network,
            self.columns**2,
            seed=derive(module.seed, "samples"),
            device=module.device,
        )
        picture = grid(quantize(next(made)), self.columns)
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("samples", [picture], step=module.images)
