"""Ending a sweep's run early where others were better at the same point."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer
from torch import Tensor

from touchstone.callbacks.evaluation import evaluation
from touchstone.gan import GAN
from touchstone.tracking.run import Run


class Pruning(Callback):
    """The median rule of Vizier (Golovin et al. 2017, section 3.2.2), on the runs of a sweep.

    A run ends where its first figure is worse than the median of the others' at the same number of
    images. All read each other's records, so it works under any launcher.

    Args:
        sweep: the sweep's folder.
        others: how many other runs have to have come so far.
        after: images that every run is given.

    Attributes:
        pruned: whether the run was ended.
    """

    def __init__(self, sweep: str | Path, others: int = 4, after: int = 0) -> None:
        self.pruned = False
        self._jobs = Path(sweep) / "jobs"
        self._others, self._after = others, after

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        module: GAN,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Ends the run after an evaluation that the median of the others was better than."""
        figures = evaluation(trainer)
        if figures is None or figures.at != module.images or module.images >= module.budget:
            return
        name, figure = next(iter(figures.latest.items()))
        if trainer.is_global_zero and module.images >= self._after:
            others = list(self._at(module.images, name, Path(trainer.default_root_dir)))
            if len(others) >= self._others:
                median = statistics.median(others)
                self.pruned = figure < median if figures.higher_is_better else figure > median
        self.pruned = trainer.strategy.broadcast(self.pruned)
        if self.pruned:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt")
            trainer.should_stop = True

    def _at(self, images: int, name: str, own: Path) -> Iterator[float]:
        """The other runs' figures at so many images."""
        for file in self._jobs.glob("*.run"):
            path = Path(file.read_text())
            if path.resolve() == own.resolve():
                continue
            lines = (line for line in Run(path).metrics() if line["images"] == images)
            said = [line[name] for line in lines if line.get(name) is not None]
            if said:
                yield said[-1]
