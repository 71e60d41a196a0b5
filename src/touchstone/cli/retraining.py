"""A run's training once more, on other records: for shadow models, and for canaries."""

import copy
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from touchstone.cli import private
from touchstone.cli.game import build, flush_denormals, networks
from touchstone.cli.train import data_of, make_trainer, quieten, tell_of

if TYPE_CHECKING:
    from torch import nn

    from touchstone.data.split import Split

# What a run may be told without its generator becoming another.
APART = ("every", "logger", "callbacks", "metrics", "runs_dir", "data_dir", "cache_dir", "debug")


class Retraining:
    """Trains generators as a run's was trained, and keeps them: who asks again gets the same.

    A table's rows are encoded as the run encoded them.

    Args:
        saved: the run's settings.
        device: to train on.
        folder: for the generators. Of a private run they are no more to be given away than the
            records are.
        number: how many will be asked for, to say so.
    """

    def __init__(self, saved: DictConfig, device: str, folder: Path, number: int) -> None:
        self._saved, self._device, self._folder = saved, device, folder
        self._number, self._asked = number, 0

    def __call__(self, records: "Split", seed: int) -> "nn.Module":
        """Gives the averaged generator, in eval mode, of a training on records, all of them.

        Raises:
            DivergedError: a loss or weight that is not finite.
        """
        from touchstone.trained import load, save

        self._asked += 1
        settings = self._settings(records, seed)
        path = self._folder / f"{_name(settings, records)}.safetensors"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            print(f"training {self._asked} of {self._number}, like the run's", file=sys.stderr)
            save(self._trained(settings, records), networks(settings)["generator"], path)
        return load(path).generator

    def _settings(self, records: "Split", seed: int) -> DictConfig:
        from touchstone.data.tables.rows import Rows

        settings = copy.deepcopy(self._saved)
        kind, _, number = self._device.partition(":")
        devices = [int(number)] if number else 1
        OmegaConf.set_struct(settings, False)
        settings.update(seed=seed, subset=None)
        settings.trainer.update(accelerator=kind, devices=devices, num_nodes=1, strategy="auto")
        settings.trainer.update(profiler=None)
        if isinstance(records, Rows):
            tell_of(records, settings)
        return settings

    def _trained(self, settings: DictConfig, records: "Split") -> "nn.Module":
        from hydra.utils import instantiate

        from touchstone.data.subset import labelled

        quieten()
        flush_denormals()
        shown = labelled(records, settings.labelled)
        promise = private.promised(settings, shown, None, 0)
        gan = build(settings, promise.executor if promise else None)
        data = data_of(settings, records, shown, promise)
        kept = [settings.callbacks.get(name) for name in ("divergence", "progress")]
        watched = [instantiate(callback) for callback in kept if callback]
        trainer = make_trainer(settings, self._folder, [], watched)
        try:
            trainer.fit(gan, datamodule=data)
        except SystemExit:  # Lightning's, after Ctrl-C
            said = (
                f"{self._asked - 1} of {self._number} trainings are kept; to go on: the same words"
            )
            print(f"\n{said}", file=sys.stderr)
            raise KeyboardInterrupt from None
        return gan.average.network


def _name(settings: DictConfig, records: "Split") -> str:
    """A fingerprint of all that a training depends on."""
    kept = OmegaConf.masked_copy(settings, [str(key) for key in settings if key not in APART])
    text = f"{OmegaConf.to_yaml(kept, sort_keys=True)}{records.content_hash}"
    return hashlib.sha256(text.encode()).hexdigest()
