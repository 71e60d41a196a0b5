"""Figures computed on the averaged generator's samples."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from touchstone.data.images import Images, quantize
from touchstone.draws import derive
from touchstone.gan import GAN, Batch
from touchstone.sampling import CHUNK, samples


class Metric(Protocol):
    """A figure that compares generated images with real ones; lower is better.

    Attributes:
        name: what the figure is called, its protocol in it (`fid10k_fashion`).
        generated: how many images it takes.
    """

    name: str
    generated: int

    def prepare(self, reference: Images, device: torch.device) -> None:
        """Computes once what it needs of the real images."""

    def update(self, images: Tensor) -> None:
        """Takes generated images, uint8 `(N, C, H, W)`."""

    def compute(self) -> float:
        """The figure over all images since `reset`, of all processes."""

    def reset(self) -> None:
        """Forgets the generated images."""


class Evaluation(Callback):
    """Computes metrics every so many images, and at the end.

    Args:
        metrics: the metrics; the first decides which checkpoint is the best.
        every: images from one evaluation to the next.

    Attributes:
        latest: each metric's last figure, by its name.
        at: the images at which it was computed.
    """

    def __init__(self, metrics: Mapping[str, Metric], every: int) -> None:
        self.metrics = list(metrics.values())
        self.every = every
        self.latest: dict[str, float] = {}
        self.at = -1

    def on_fit_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Prepares the metrics with the training split."""
        reference: Images = trainer.datamodule.images  # type: ignore[attr-defined]
        for metric in self.metrics:
            metric.prepare(reference, module.device)

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: dict[str, Tensor],
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Evaluates when it is due."""
        if not self.metrics or not module.passed(self.every):
            return
        made = samples(
            module.average.network,
            max(metric.generated for metric in self.metrics),
            seed=derive(module.seed, "evaluation"),
            device=module.device,
            share=module.share,
        )
        for metric in self.metrics:
            metric.reset()
        for number, images in enumerate(map(quantize, made)):
            first = (number * module.share.processes + module.share.rank) * CHUNK
            for metric in self.metrics:
                if metric.generated > first:
                    metric.update(images[: metric.generated - first])
        self.latest = {metric.name: metric.compute() for metric in self.metrics}
        self.at = module.images
        for logger in trainer.loggers:
            logger.log_metrics(self.latest, step=module.images)

    def state_dict(self) -> dict[str, Any]:
        """Keeps the last figures."""
        return {"latest": self.latest, "at": self.at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the last figures."""
        self.latest, self.at = dict(state_dict["latest"]), state_dict["at"]


def evaluation(trainer: Trainer) -> Evaluation | None:
    """The trainer's evaluation, if it has one."""
    found = [callback for callback in trainer.callbacks if isinstance(callback, Evaluation)]  # type: ignore[attr-defined]
    return found[0] if found else None
