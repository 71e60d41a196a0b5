"""A run's data, as Lightning takes it."""

from typing import cast

import torch
from pytorch_lightning import LightningDataModule

from touchstone.data.batches import HELD, Batches, check_batch_size
from touchstone.data.split import Split
from touchstone.data.stretches import Stretches
from touchstone.draws import Share


class Data(LightningDataModule):
    """The training images of a run, and its batches from where the run stands.

    Args:
        images: the training split.
        shown: what of it the networks are shown; all by default.
        batch_size: images in a global batch.
        critic_steps: batches in an iteration.
        seed: of the run.
        budget: how many images the run is to show.
        workers: threads that read ahead images too large for the device's memory.
        memory: the size in bytes up to which images are held on the device.
        memory_format: in which the samples lie.

    Raises:
        UsageError: where the batch is larger than the data.
    """

    def __init__(
        self,
        images: Split,
        shown: Split | None = None,
        *,
        batch_size: int,
        critic_steps: int,
        seed: int,
        budget: int,
        workers: int = 2,
        memory: int = HELD,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> None:
        super().__init__()
        self.images = images
        self._shown = images if shown is None else shown
        check_batch_size(batch_size, len(self._shown))
        self._batch_size = batch_size
        self._critic_steps = critic_steps
        self._seed = seed
        self._budget = budget
        self._workers = workers
        self._memory = memory
        self._memory_format = memory_format

    def train_dataloader(self) -> Stretches:
        """The batches that are left, in stretches."""
        trainer = self.trainer
        assert trainer is not None
        return Stretches(self.batches(), agreed=trainer.strategy.broadcast)

    def batches(self) -> Batches:
        """The batches that are left: a resumed run begins where its checkpoint was written."""
        trainer = self.trainer
        assert trainer is not None
        return Batches(
            self._shown,
            batch_size=self._batch_size,
            critic_steps=self._critic_steps,
            seed=self._seed,
            start=cast(int, trainer.lightning_module.images),
            stop=self._budget,
            share=Share(trainer.global_rank, trainer.world_size),
            device=trainer.strategy.root_device,
            workers=self._workers,
            memory=self._memory,
            memory_format=self._memory_format,
        )
