"""A run's detectors, made from its configuration, its weights and its data."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException, MissingConfigException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from touchstone.cli.front import (
    configuration,
    no_such_part,
    plain,
    register_resolvers,
)
from touchstone.cli.front import explanation as reason
from touchstone.errors import UsageError

if TYPE_CHECKING:
    import torch

    from touchstone.authenticity.authenticator import Authenticator
    from touchstone.authenticity.reading import Reader
    from touchstone.data.split import Split

LIKENESS = "touchstone.authenticity.likeness.Likeness"


def load_detector(
    run: str | Path,
    detector: str | Sequence[str] | None = None,
    *,
    false_alarms: float = 0.01,
    explanation: str | None = None,
    checkpoint: str = "last",
    device: str = "auto",
    folder: str | Path = "runs",
    data_dir: str | Path | None = None,
) -> "Authenticator":
    """Loads what says of a picture whether it is genuine, as `touchstone detect` does.

    The first time the detector learns from the run's training images, which may take a minute; what
    it has learned is kept in the run's folder.

    Args:
        run: a run's folder or name; the run has held out training images (`subset=N`).
        detector: a name or several, files in `conf/detector/`; the first gives the verdict. By
            default those that the run was trained with, or `mahalanobis`.
        false_alarms: the share of genuine items that may be called counterfeit.
        explanation: what makes the maps: `own`, `integrated_gradients`, `occlusion` or `grad_cam`;
            by default the detector's own, otherwise occlusion.
        checkpoint: `last` or `best`.
        device: `auto`, `cpu`, `cuda` or `cuda:NUMBER`.
        folder: where runs lie, to find one by its name.
        data_dir: where data sets lie; by default as `TOUCHSTONE_DATA` says, or in the cache.

    Raises:
        UsageError: where there is no such run or detector, or they do not go together.
    """
    register_resolvers()
    names = [detector] if isinstance(detector, str) else detector
    words = [] if names is None else [f"detector=[{','.join(names)}]"]
    conf = configuration("detect")
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            settings = compose("detect", words)
    except MissingConfigException as error:
        raise UsageError(no_such_part(error, conf)) from error
    OmegaConf.set_struct(settings, False)
    settings.update(
        run=str(run),
        false_alarms=false_alarms,
        explanation=explanation,
        checkpoint=checkpoint,
        device=device,
        runs_dir=str(folder),
    )
    if data_dir is not None:
        settings.update(data_dir=str(data_dir))
    try:
        return authenticator(settings, words)
    except (InstantiationException, OmegaConfBaseException) as error:
        raise UsageError(reason(error)) from error


def authenticator(
    settings: DictConfig,
    words: Sequence[str],
    check: Callable[["Reader"], None] = lambda _: None,
) -> "Authenticator":
    """Makes a run's detectors, fitted and calibrated.

    Args:
        settings: of `conf/detect.yaml`.
        words: of the command line, which say whether a detector was named.
        check: refuses, before anything learns, what cannot be read as the run's samples.

    Raises:
        UsageError: where there is no such run or detector, or they do not go together.
    """
    from touchstone.authenticity.authenticator import Authenticator
    from touchstone.authenticity.explanation import EXPLANATIONS
    from touchstone.authenticity.fitted import Fitted, fitted
    from touchstone.authenticity.reading import Reader
    from touchstone.cli.saved import refuse_strangers, settings_of
    from touchstone.tracking.run import Run
    from touchstone.trained import load, weights_hash

    if settings.explanation not in (None, *EXPLANATIONS):
        raise UsageError(
            f"explanation={settings.explanation}: it has to be {' or '.join(EXPLANATIONS)}"
        )
    device = device_of(settings.device)
    run = Run.open(Path(str(settings.run)), folder=Path(settings.runs_dir))
    saved = settings_of(run)
    refuse_strangers(saved, run)
    saved.update(cache_dir=settings.cache_dir, data_dir=settings.data_dir)
    chosen = detectors(settings, saved, words)

    images = instantiate(saved.data.load)(split="train").to(device)
    reader = Reader(images.shape, saved.data.get("crop"))
    check(reader)
    genuine, held_out = divided(images, saved.get("subset"), settings)

    trained = load(run.path, settings.checkpoint)
    networks = [one.to(device) for one in (trained.generator, trained.discriminator) if one]
    source = {
        "weights": [weights_hash(network) for network in networks],
        "data": images.content_hash,
        "subset": len(genuine),
    }

    def learned(name: str, settings: DictConfig) -> Fitted:
        detector = instantiate(settings)
        detector.prepare(trained, images.shape)
        return fitted(
            detector.to(device),
            genuine,
            held_out,
            name=name,
            made_of=source | {"detector": plain(settings)},
            path=run.path / "detectors" / f"{name}.safetensors",
        )

    return Authenticator(
        {str(name): learned(str(name), one) for name, one in chosen.items()},
        learned("likeness", OmegaConf.create({"_target_": LIKENESS})),
        genuine,
        held_out,
        reader,
        device,
        settings.false_alarms,
        settings.explanation,
    )


def divided(images: "Split", number: int | None, settings: DictConfig) -> tuple["Split", "Split"]:
    """The training images that a run was shown, and the others, on which detectors are calibrated.

    Raises:
        UsageError: there are too few others, which is said before anything learns.
    """
    import torch

    from touchstone.authenticity.calibration import Calibration
    from touchstone.data.subset import rest, subset

    held_out = rest(images, number)
    if not len(held_out):
        raise UsageError(
            f"run={settings.run}: it was shown all of its {len(images):,} training images, and "
            "none is left to calibrate on: train it with a part of them, such as "
            f"subset={len(images) * 4 // 5}"
        )
    if not isinstance(settings.false_alarms, float | int):
        raise UsageError(f"false_alarms={settings.false_alarms}: it has to lie between 0 and 1")
    Calibration(torch.zeros(len(held_out))).threshold(settings.false_alarms)
    return subset(images, number), held_out


def detectors(settings: DictConfig, saved: DictConfig, words: Sequence[str]) -> DictConfig:
    """The detectors that are named, otherwise those that the run was trained with, if any.

    Raises:
        UsageError: where none is named, or one takes what the run's configuration has not.
    """
    overrides = OverridesParser.create().parse_overrides(list(words))
    named = any(one.key_or_group == "detector" for one in overrides)
    chosen = saved.get("detectors") if not named else None
    chosen = chosen or settings.detectors
    if not chosen:
        raise UsageError("detector=[]: name at least one")
    saved.detectors = chosen  # what they take of the data is the run's
    chosen = saved.detectors
    assert isinstance(chosen, DictConfig)
    for name, one in chosen.items():
        try:
            plain(one)
        except InterpolationKeyError as error:
            missing = str(error).splitlines()[0]
            raise UsageError(
                f"detector={name!s}: the run was trained on data without it: {missing}"
            ) from error
    return chosen


def device_of(name: str) -> "torch.device":
    """The device of this name; `auto`: the GPU where there is one.

    Raises:
        UsageError: where there is no such device.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device={name}: {str(error).splitlines()[0]}") from error
