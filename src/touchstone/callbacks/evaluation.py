"""Figures computed on the averaged generator's samples."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pytorch_lightning import Callback, Trainer
from torch import Tensor

from touchstone.data.split import Split
from touchstone.gan import GAN
from touchstone.metrics.evaluation import Evaluated, check, evaluate, extractors
from touchstone.metrics.metric import Metric
from touchstone.metrics.protocol import Protocol
from touchstone.metrics.sets import Drawn, ImageSet, Sets, Splits
from touchstone.trained import weights_hash


class Evaluation(Callback):
    """Computes metrics every so many images, and at the end.

    Args:
        metrics: the metrics by name; the first figure of the first decides which checkpoint is the
            best, where a choice may be made by it.
        protocol: what they go by.
        every: images from one evaluation to the next.
        load: gives a split of the data.
        cache: the folder in which the real images' features are kept, for all runs.

    Attributes:
        latest: each figure's last value, by its name.
        at: the images at which it was computed.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        protocol: Protocol,
        every: int,
        load: Callable[..., Split],
        cache: str | None = None,
    ) -> None:
        self.metrics = dict(metrics)
        self.protocol = protocol
        self.every = every
        self.latest: dict[str, float] = {}
        self.at = -1
        self._load, self._cache = load, cache
        self._splits: Splits | None = None

    @property
    def higher_is_better(self) -> bool:
        """Of the first figure."""
        return next(iter(self.metrics.values())).higher_is_better

    @property
    def chooses(self) -> bool:
        """Whether a checkpoint may be chosen by the first figure."""
        return getattr(next(iter(self.metrics.values())), "chooses", True)

    def check(self, module: GAN, train: Split) -> None:
        """Refuses what cannot be evaluated, before anything is trained or written.

        Raises:
            UsageError: names the setting.
        """
        if self.metrics:
            check(self.metrics, self._sets(module, self._splits_of(module, train)))

    def on_fit_start(self, trainer: Trainer, module: GAN) -> None:  # type: ignore[override]
        """Has the reference's features computed."""
        if self.metrics:
            self._splits = self._splits_of(module, trainer.datamodule.images)  # type: ignore[attr-defined]
            self._splits(self.protocol.reference).extract(*extractors(self.metrics))

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Evaluates when it is due."""
        if self._splits is None or not module.passed(self.every):
            return
        generator = weights_hash(module.average.network)
        evaluated = list(
            evaluate(
                self.metrics,
                self.protocol,
                self._sets(module, self._splits),
                generator=generator,
                images=module.images,
            )
        )
        self.latest = {figure.name: figure.value for one in evaluated for figure in one.figures}
        self.at = module.images
        for logger in trainer.loggers:
            show(evaluated, logger, module.images)

    def state_dict(self) -> dict[str, Any]:
        """Keeps the last figures."""
        return {"latest": self.latest, "at": self.at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the last figures."""
        self.latest, self.at = dict(state_dict["latest"]), state_dict["at"]

    def _splits_of(self, module: GAN, train: Split) -> Splits:
        return Splits(self._load, device=module.device, cache=self._cache, train=train)

    def _sets(self, module: GAN, splits: Splits) -> Sets:
        reference = splits(self.protocol.reference)
        drawn = Drawn(
            module.average.network,
            self.protocol.generated,
            seed=self.protocol.seed,
            device=module.device,
            classes=reference.classes,
            **self.protocol.sampled_as(),
        )
        name = f"protocol.generated={self.protocol.generated}"
        generated = ImageSet(drawn, name, device=module.device)
        return Sets(generated, reference, splits, module.discriminator)


def show(evaluated: Iterable[Evaluated], logger: Any, images: int) -> None:
    """Gives a logger the figures, and their protocols and pictures if it can take them."""
    figures = [figure for one in evaluated for figure in one.figures]
    logger.log_metrics({figure.name: figure.value for figure in figures}, step=images)
    if hasattr(logger, "log_figures"):
        logger.log_figures(figures)
    if hasattr(logger, "log_image"):
        for name, picture in (item for one in evaluated for item in one.pictures.items()):
            logger.log_image(name, [picture], step=images)


def evaluation(trainer: Trainer) -> Evaluation | None:
    """The trainer's evaluation, if it has one."""
    found = [callback for callback in trainer.callbacks if isinstance(callback, Evaluation)]  # type: ignore[attr-defined]
    return found[0] if found else None
