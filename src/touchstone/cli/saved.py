"""Saved configurations: a run that goes on, and a run that starts from another's."""

import importlib.util
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from touchstone.errors import UsageError
from touchstone.tracking.run import Run

# What may differ in a run that goes on: none of it changes what an iteration does.
FREE = ("images", "every", "logger", "trainer", "debug", "runs_dir", "data_dir", "cache_dir")
# Groups that stand alone, so that one can take the place of another in a saved configuration.
INDEPENDENT = ("logger", "trainer")
# Whose classes and functions a saved configuration may call.
TRUSTED = ("touchstone.", "torch.optim.", "pytorch_lightning.trainer.")


def changed(run: Run, verb: str, composed: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """A run's saved configuration with the command line's changes.

    Args:
        run: whose configuration.
        verb: `resume`, which lets nothing change that an iteration depends on, or `rerun`.
        composed: the command line's own composition, which independent groups are taken from.
        overrides: the command line's words.

    Raises:
        UsageError: a change that cannot be made.
    """
    saved = settings_of(run)
    refuse_strangers(saved, run)
    OmegaConf.set_struct(saved, True)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if key in ("resume", "rerun"):
            continue
        if verb == "resume" and key.split(".")[0] not in FREE:
            raise UsageError(
                f"{override.input_line}: a run that is resumed keeps its settings, except "
                f"{', '.join(FREE)}. For a new run with other settings use rerun={run.name}"
            )
        _change(saved, composed, override)
    return saved


def settings_of(run: Run) -> DictConfig:
    """A run's saved configuration, as it was written.

    Raises:
        UsageError: where the file is damaged.
    """
    try:
        saved = OmegaConf.create(run.config)
        if not isinstance(saved, DictConfig):
            raise ValueError("it holds no settings")
    except (ValueError, YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{run.path}/config.yaml: damaged ({reason})") from error
    return saved


def refuse_strangers(saved: DictConfig, run: Run) -> None:
    """Refuses a configuration file that would call anything but parts of a GAN.

    What a command line composes is its user's own word; a file may be somebody else's. Its targets
    have to be touchstone's own, torch's optimizers, Lightning's Trainer, or code that is neither
    Python's nor installed beside it: the user's own parts.

    Raises:
        UsageError: names the target.
    """
    from hydra.utils import get_object

    for target in _targets(OmegaConf.to_container(saved)):
        try:
            home = get_object(target).__module__
        except (ImportError, ValueError, AttributeError) as error:
            raise UsageError(f"{run.path}/config.yaml: _target_={target}: {error}") from error
        if not (home.startswith(TRUSTED) or _is_own(home)):
            raise UsageError(
                f"{run.path}/config.yaml: _target_={target}: refused, since it is no part of a "
                "GAN, and a configuration that is read from a file may call nothing else"
            )


def _targets(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if "_target_" in content:
            yield str(content["_target_"])
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            yield from _targets(value)


def _is_own(module: str) -> bool:
    """Whether a module lies outside Python's own folders."""
    spec = importlib.util.find_spec(module.split(".")[0])
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return False
    paths = sysconfig.get_paths()
    folders = {
        Path(paths[kind]).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    return not any(Path(spec.origin).resolve().is_relative_to(folder) for folder in folders)


def _change(saved: DictConfig, composed: DictConfig, override: Override) -> None:
    key = override.key_or_group
    line = override.input_line
    if override.is_delete():
        raise UsageError(f"{line}: nothing can be taken out of a saved configuration")
    if key in INDEPENDENT:
        saved[key] = composed[key]
        return
    if isinstance(saved.get(key.split("/")[0]), DictConfig) and "." not in key:
        raise UsageError(
            f"{line}: a saved configuration keeps its parts ({key} is one); change single "
            f"settings ({key}.…), or compose a new run without rerun"
        )
    try:
        OmegaConf.update(saved, key, override.value(), force_add=override.is_add())
    except OmegaConfBaseException as error:
        raise UsageError(f"{line}: {str(error).splitlines()[0]}") from error
