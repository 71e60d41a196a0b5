"""`touchstone evaluate`: figures of a run, or of images that others made, by a named protocol."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from touchstone.cli.front import enter
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from touchstone.metrics.evaluation import Evaluated
    from touchstone.metrics.protocol import Protocol
    from touchstone.metrics.sets import Sets
    from touchstone.tracking.run import Run


def main() -> None:
    """Evaluates as the command line says."""
    enter("evaluate", evaluate)


def evaluate(settings: DictConfig) -> None:
    """Computes the figures asked for, prints them and keeps them with their protocol.

    Raises:
        UsageError: where a setting is wrong, or images or a run cannot be read.
    """
    OmegaConf.set_struct(settings, False)  # the data come from the run, or from the command line
    if (settings.run is None) == (settings.fake is None):
        raise UsageError(
            "name either run=RUN, or fake=FOLDER with real=FOLDER or data=NAME, to be evaluated"
        )
    with several_processes(settings):
        if settings.run is not None:
            evaluate_run(settings)
        else:
            evaluate_images(settings)


def evaluate_run(settings: DictConfig) -> None:
    """Evaluates the averaged generator of a checkpoint, and adds to the run's record."""
    from touchstone.callbacks.evaluation import show
    from touchstone.metrics.sets import Drawn, ImageSet, Sets
    from touchstone.tracking.run import Run
    from touchstone.trained import load, weights_hash

    run = Run.open(Path(str(settings.run)), folder=Path(settings.runs_dir))
    saved = take_up(settings, run)
    trained = load(run.path, settings.checkpoint)
    generator = trained.generator.to(settings.device)
    discriminator = trained.discriminator and trained.discriminator.to(settings.device)
    protocol = protocol_of(settings)
    splits = splits_of(settings)
    reference = splits(protocol.reference)
    drawn = Drawn(
        generator,
        protocol.generated,
        seed=protocol.seed,
        device=settings.device,
        classes=reference.classes,
        **protocol.sampled_as(),
    )
    name = f"protocol.generated={protocol.generated}"
    made = ImageSet(drawn, name, device=settings.device)
    sets = Sets(made, reference, splits, discriminator)
    evaluated = computed(
        settings, protocol, sets, generator=weights_hash(generator), images=trained.images
    )
    with trackers(run, saved) as loggers:
        for one in evaluated:
            tell(one)
            for logger in loggers:
                show([one], logger, trained.images or 0)
            tell_pictures(run.path / name / f"{trained.images:09d}.png" for name in one.pictures)


def evaluate_images(settings: DictConfig) -> None:
    """Evaluates images that others made, and adds to the record in the folder asked for."""
    from touchstone.data import external
    from touchstone.metrics.sets import ImageSet, Sets, Stored
    from touchstone.tracking.run import append_line

    if (settings.real is None) == (settings.get("data") is None):
        raise UsageError(
            "fake=…: name what it is compared with, by either real=FOLDER or data=NAME"
        )

    for key, value in protocol_of(settings).sampled_as().items():
        raise UsageError(
            f"protocol.{key}={value}: fake=… is there already: leave protocol.{key} out"
        )

    def pictures(setting: str) -> ImageSet:
        images = external.load(
            str(settings[setting]),
            settings.cache_dir,
            setting=setting,
            resolution=settings.resolution,
        )
        name = f"{setting}={settings[setting]}"
        return ImageSet(Stored(images), name, device=settings.device, cache=settings.cache_dir)

    fake = pictures("fake")
    OmegaConf.update(settings, "protocol.generated", len(fake))
    if settings.real is not None:
        OmegaConf.update(settings, "protocol.reference", "all")
        sets = Sets(fake, pictures("real"))
    else:
        splits = splits_of(settings)
        sets = Sets(fake, splits(settings.protocol.reference), splits)
    for one in computed(settings, protocol_of(settings), sets):
        tell(one)
        if settings.to is not None and rank() == 0:
            folder = Path(str(settings.to))
            folder.mkdir(parents=True, exist_ok=True)
            for figure in one.figures:
                append_line(folder / "figures.jsonl", figure.line())
            for name, picture in one.pictures.items():
                path = folder / f"{name.replace('/', '_')}.png"
                picture.save(path)
                tell_pictures([path])


def take_up(settings: DictConfig, run: "Run") -> DictConfig:
    """Takes the run's data, and its protocol where the command line names no other.

    Returns:
        The run's saved configuration.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from touchstone.cli.saved import refuse_strangers, settings_of

    saved = settings_of(run)
    refuse_strangers(saved, run)
    if settings.get("data") is not None or settings.real is not None:
        raise UsageError("run=… is evaluated with the data that it was trained on: leave out data=")
    words = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    OmegaConf.update(settings, "data", saved.data)
    settings.subset = saved.get("subset")
    settings.detectors = settings.detectors or saved.get("detectors", {})
    if "protocol" in saved and not any(word.key_or_group == "protocol" for word in words):
        settings.protocol = saved.protocol
        for word in words:
            if word.key_or_group.startswith("protocol."):
                OmegaConf.update(settings, word.key_or_group, word.value())
    return saved


def protocol_of(settings: DictConfig) -> "Protocol":
    """The protocol that the settings state."""
    from touchstone.metrics.protocol import Protocol

    stated = settings.protocol
    # The protocol of a run of an earlier version says nothing of the last two.
    truncation, standing = stated.get("truncation"), stated.get("standing", 0)
    return Protocol(stated.generated, stated.reference, stated.seed, truncation, standing)


def splits_of(settings: DictConfig) -> Any:
    """The splits of the data that the settings name."""
    from hydra.utils import instantiate

    from touchstone.metrics.sets import Splits

    return Splits(instantiate(settings.data.load), device=settings.device, cache=settings.cache_dir)


def computed(
    settings: DictConfig, protocol: "Protocol", sets: "Sets", **source: Any
) -> Iterator["Evaluated"]:
    """The figures of each metric that the settings name."""
    from hydra.utils import instantiate

    from touchstone.metrics.evaluation import evaluate

    metrics = dict(instantiate(settings.metrics.figures))
    if not metrics:
        raise UsageError("metrics=none: name at least one metric")
    return evaluate(metrics, protocol, sets, **source)


def tell(evaluated: "Evaluated") -> None:
    """Prints figures, from the first process."""
    if rank() == 0:
        for figure in evaluated.figures:
            print(f"{figure.name:40}{figure.value:12.5g}", flush=True)


def tell_pictures(paths: Iterable[Path]) -> None:
    """Prints where pictures lie, from the first process."""
    from touchstone.cli.report import shown

    for path in paths:
        print(f"{'picture':40}{shown(path)}", flush=True)


@contextmanager
def trackers(run: "Run", saved: DictConfig) -> Iterator[list[Any]]:
    """The run's own record and, for the time that figures come, the trackers that it had."""
    from hydra.utils import instantiate

    from touchstone.cli.train import finish_wandb
    from touchstone.tracking.loggers import Record

    if rank() > 0:
        yield []
        return
    made = [make(run) for make in instantiate(saved.logger).values()]
    loggers = [Record(run), *(logger for logger in made if logger is not None)]
    try:
        yield loggers
    finally:
        for logger in loggers:
            logger.finalize("success")
        finish_wandb("finished")


@contextmanager
def several_processes(settings: DictConfig) -> Iterator[None]:
    """Chooses the device, and joins the processes that torchrun started, if it did."""
    import torch
    from torch import distributed

    number = int(os.environ.get("WORLD_SIZE", "1"))
    if settings.device == "auto":
        here = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        settings.device = here if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(settings.device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device={settings.device}: {reason}") from error
    if number == 1:
        yield
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        distributed.barrier()  # none leaves while another may still be reading from it
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ.get("RANK", "0"))
