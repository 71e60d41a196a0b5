"""Settings that can be judged before anything is loaded."""

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from touchstone.errors import UsageError


def check(settings: DictConfig) -> None:
    """Refuses settings of a training run that contradict themselves or make no sense.

    Raises:
        UsageError: names the first such setting, and what would be right.
    """
    for key, (right, is_right) in RULES.items():
        value = OmegaConf.select(settings, key)
        if isinstance(value, float) and value.is_integer():  # 1e6 is a whole number, too
            value = int(value)
            OmegaConf.update(settings, key, value)
        if not is_right(value):
            raise UsageError(f"{key}={value}: it has to be {right}")
    if settings.data.resolution is None and "resolution" in settings.model.generator:
        raise UsageError(
            f"model={settings.model.name}: it makes images, and data={settings.data.name} has "
            f"none; use model={'ctgan' if 'layout' in settings.data else 'mlp_plane'}"
        )
    normalization, allowed = settings.model.normalization, list(settings.loss.normalizations)
    if normalization not in allowed:
        combined = " with ".join(
            [f"loss={settings.loss.name}", *(f"penalty={name}" for name in settings.loss.penalties)]
        )
        raise UsageError(
            f"model.normalization={normalization}: the discriminator may not have it under "
            f"{combined}; use {' or '.join(f'model.normalization={name}' for name in allowed)}"
        )
    has = list(settings.model.get("normalizations", [normalization]))
    if "normalization" not in settings.model.discriminator and normalization not in has:
        raise UsageError(
            f"model.normalization={normalization}: the discriminator of model="
            f"{settings.model.name} has {' or '.join(has)}, by its design"
        )
    if "layout" in settings.model.generator and "layout" not in settings.data:
        raise UsageError(
            f"model={settings.model.name}: it makes rows of a table, and data={settings.data.name} "
            "is none; use data=adult, or data=table data.path=FILE"
        )
    pack = settings.model.get("pack", 1)
    if settings.batch_size % pack:
        raise UsageError(
            f"batch_size={settings.batch_size}: model.pack={pack} rows are judged at once; it has "
            f"to be a multiple of {pack}"
        )
    if settings.model.head.get("classes", 0) is None:
        raise UsageError(
            f"data.classes=null: model={settings.model.name} with its head is told the samples' "
            "classes: say how many there are, or use head=logit"
        )


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(least: float, *, open: bool = False) -> Callable[[Any], bool]:
    def is_right(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (value > least if open else value >= least)

    return is_right


def _or_null(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


_COUNT = ("a whole number, 1 or more", _whole(1))

RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "seed": ("a whole number, 0 or more", _whole(0)),
    "images": _COUNT,
    "batch_size": _COUNT,
    "micro_batch": (
        "auto, null or a whole number, 1 or more",
        lambda value: value in ("auto", None) or _whole(1)(value),
    ),
    "subset": ("null or a whole number, 1 or more", _or_null(_whole(1))),
    "labelled": ("null or a whole number, 1 or more", _or_null(_whole(1))),
    "average_half_life": ("a number of images, 0 or more", _number(0)),
    "gradient_clip": ("null or a number above 0", _or_null(_number(0, open=True))),
    "every.log": _COUNT,
    "every.evaluation": _COUNT,
    "every.checkpoint": _COUNT,
    "data.resolution": ("a whole number, 1 or more; null of points", _or_null(_whole(1))),
    "data.channels": (
        "1 (grey), 2 (grey, beside its template) or 3 (colour); null of points",
        lambda value: value in (1, 2, 3, None),
    ),
    "model.latent_size": _COUNT,
    "trainer.profiler": (
        "null, simple, advanced or pytorch",
        lambda value: value in (None, "simple", "advanced", "pytorch"),
    ),
    "model.width": _COUNT,
    "loss.critic_steps": _COUNT,
}
