"""`touchstone train`, which is `python train.py`: instantiates the parts and hands them over."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from touchstone.cli.checks import check
from touchstone.cli.front import enter, plain

if TYPE_CHECKING:
    from pytorch_lightning import Callback, Trainer

    from touchstone.data.images import Images
    from touchstone.gan import GAN
    from touchstone.tracking.run import Run

# Names the run to the further processes of a job, which Lightning starts with the same words.
RUN_VARIABLE = "TOUCHSTONE_RUN"


def main(conf: Path | None = None) -> None:
    """Trains as the command line says."""
    enter("train", train, conf)


def train(composed: DictConfig) -> None:
    """Trains a GAN: a new run, or one that goes on.

    Raises:
        UsageError: settings or files that cannot be used.
        DivergedError: a loss or weight that is not finite.
        InterruptionError: a signal; a checkpoint was written.
    """
    settings, run = chosen(composed)
    check(settings)
    quieten()

    from hydra.utils import instantiate

    from touchstone.data.module import Data
    from touchstone.errors import DivergedError, InterruptionError, UsageError
    from touchstone.tracking.loggers import Record
    from touchstone.tracking.run import Run

    start = images_at(run, settings.images) if run else 0
    try_trainer(settings)
    gan = build(settings)
    callbacks: dict[str, Callback] = dict(instantiate(settings.callbacks))
    images: Images = instantiate(settings.data.load)(split="train")
    data = Data(
        images,
        batch_size=settings.batch_size,
        critic_steps=settings.loss.critic_steps,
        seed=settings.seed,
        budget=settings.images,
    )
    text = OmegaConf.to_yaml(settings)
    if run is None:
        name = f"{settings.model.name}_{settings.loss.name}_{settings.data.name}_s{settings.seed}"
        networks = {part: plain(settings.model[part]) for part in ("generator", "discriminator")}
        run = Run.create(Path(settings.runs_dir), name, text, networks)
    else:
        run.configure(text)
    os.environ[RUN_VARIABLE] = str(run.path.resolve())
    announce(run, gan, images, start)

    trackers = {name: make(run) for name, make in instantiate(settings.logger).items()}
    loggers = [Record(run), *(logger for logger in trackers.values() if logger is not None)]
    for logger in loggers:
        logger.log_hyperparams(plain(settings))
    trainer = make_trainer(settings, run, loggers, list(callbacks.values()))
    status = "failed"
    try:
        checkpoint = run.checkpoint() if start else None
        trainer.fit(gan, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        status = "finished"
    except DivergedError as error:
        status = "diverged"
        raise DivergedError(f"{error}. {last_good(run)}") from error
    except OSError as error:
        place = shown(Path(error.filename or run.path))
        raise UsageError(f"{place}: {error.strerror or error}. {last_good(run)}") from error
    except InterruptionError:
        status = "interrupted"
        if trainer.is_global_zero:
            print(
                f"interrupted at {gan.images:,} images; to go on:\n"
                f"    python train.py resume={shown(run.path)}",
                file=sys.stderr,
            )
        raise
    finally:
        if trainer.is_global_zero:
            with suppress(OSError):  # a full disk, which is what the message should be about
                run.summarize(summary(gan, callbacks, trainer, status))
        for logger in loggers:
            logger.finalize("success" if status == "finished" else status)
        finish_wandb(status)
        os.environ.pop(RUN_VARIABLE, None)
    if trainer.is_global_zero:
        export(gan, run)
        conclude(run, trackers)


def chosen(composed: DictConfig) -> tuple[DictConfig, "Run | None"]:
    """The settings to train with, and the run to go on with, if any."""
    from hydra.core.hydra_config import HydraConfig

    from touchstone.errors import UsageError
    from touchstone.tracking.run import Run

    if RUN_VARIABLE in os.environ and os.environ.get("LOCAL_RANK", "0") != "0":
        run = Run(Path(os.environ[RUN_VARIABLE]))
        settings = OmegaConf.create(run.config)
        assert isinstance(settings, DictConfig)
        return settings, run
    if composed.resume and composed.rerun:
        raise UsageError("resume and rerun: name one of them, not both")
    verb = "resume" if composed.resume else "rerun" if composed.rerun else None
    if verb is None:
        return composed, None

    from touchstone.cli.saved import changed

    run = Run.open(Path(composed[verb]), folder=Path(composed.runs_dir), setting=verb)
    settings = changed(run, verb, composed, HydraConfig.get().overrides.task)
    return settings, run if verb == "resume" else None


def images_at(run: "Run", budget: int) -> int:
    """How many images a run's last checkpoint has seen; 0 where it was killed before its first.

    Raises:
        UsageError: where the checkpoint cannot be read, or the budget is spent.
    """
    from touchstone.errors import UsageError
    from touchstone.tracking.checkpoints import read

    if not run.checkpoint().exists():
        return 0
    images: int = read(run.checkpoint())["images"]
    if images >= budget:
        raise UsageError(
            f"resume={shown(run.path)}: the run has spent its budget of images={budget}; "
            f"to go on, give it more: images={2 * budget}"
        )
    return images


def build(settings: DictConfig) -> "GAN":
    """Makes the networks, their initial weights a function of the seed, and the game they play."""
    import torch
    from hydra.utils import instantiate

    from touchstone.draws import derive
    from touchstone.gan import GAN

    torch.manual_seed(derive(settings.seed, "weights"))
    memory_format = torch.channels_last if settings.channels_last else torch.contiguous_format
    if settings.trainer.precision == "16-mixed" and "fused" in settings.optimizer:
        # A fused step unscales inside itself, too late for the gradients to be clipped and logged.
        settings.optimizer.fused = None
    return GAN(
        instantiate(settings.model.generator).to(memory_format=memory_format),
        instantiate(settings.model.discriminator).to(memory_format=memory_format),
        instantiate(settings.loss.adversarial),
        penalties=dict(instantiate(settings.loss.penalties)),
        critic_steps=settings.loss.critic_steps,
        constraint=instantiate(settings.loss.constraint),
        optimizers={
            network: instantiate(settings.optimizer[network])
            for network in ("generator", "discriminator")
        },
        schedule=instantiate(settings.schedule),
        augmentation=instantiate(settings.augmentation),
        gradient_clip=settings.gradient_clip,
        average_half_life=settings.average_half_life,
        budget=settings.images,
        seed=settings.seed,
    )


def try_trainer(settings: DictConfig) -> None:
    """Lets Lightning judge the trainer's settings before anything is loaded or written.

    Raises:
        UsageError: where Lightning refuses them.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from touchstone.errors import UsageError

    try:
        instantiate(settings.trainer, logger=False, enable_checkpointing=False)
    except InstantiationException as error:
        keys = [key for key in settings.trainer if not key.startswith("_")]
        words = ", ".join(f"trainer.{key}={settings.trainer[key]}" for key in keys)
        raise UsageError(f"{words}: {error.__cause__}") from error


def make_trainer(
    settings: DictConfig, run: "Run", loggers: list[Any], callbacks: list["Callback"]
) -> "Trainer":
    """Makes Lightning's Trainer: what goes by steps and epochs there goes by images here."""
    from hydra.utils import instantiate

    from touchstone.tracking.checkpoints import Checkpoints

    trainer: Trainer = instantiate(
        settings.trainer,
        default_root_dir=run.path,
        max_epochs=1,
        logger=loggers,
        callbacks=callbacks,
        plugins=[Checkpoints()],
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return trainer


def summary(
    gan: "GAN", callbacks: dict[str, "Callback"], trainer: "Trainer", status: str
) -> dict[str, Any]:
    """How a run ended."""
    from touchstone.callbacks import Checkpointing, Curves, Evaluation
    from touchstone.callbacks.curves import peak_memory

    result: dict[str, Any] = {
        "status": status,
        "images": gan.images,
        "device": device_name(gan),
        "parameters": {
            name: sum(parameter.numel() for parameter in network.parameters())
            for name, network in (
                ("generator", gan.generator),
                ("discriminator", gan.discriminator),
            )
        },
        "peak_memory_gib": peak_memory(gan.device) / 2**30,
    }
    for callback in callbacks.values():
        match callback:
            case Evaluation():
                result["figures"] = callback.latest
            case Curves():
                result["seconds"] = callback.seconds
                result["images_per_second"] = gan.images / max(callback.seconds, 1e-9)
            case Checkpointing() if callback.best is not None:
                figure, images = callback.best
                result["best"] = {"figure": figure, "images": images}
    return result


def device_name(gan: "GAN") -> str:
    """What the networks lie on, as its maker calls it."""
    import platform

    import torch

    if gan.device.type == "cuda":
        return torch.cuda.get_device_name(gan.device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def export(gan: "GAN", run: "Run") -> None:
    """Writes the averaged generator with its configuration."""
    from touchstone.trained import save

    save(gan.average.network, run.networks["generator"], run.generator)


def last_good(run: "Run") -> str:
    """Where the checkpoint before a divergence lies."""
    if not run.checkpoint().exists():
        return "No checkpoint had been written yet"
    return f"The last good checkpoint is {shown(run.checkpoint())}"


def announce(run: "Run", gan: "GAN", images: "Images", start: int) -> None:
    """Says what begins, on standard error."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return
    begun = f"going on at {start:,} of" if start else "training for"
    print(
        f"{shown(run.path)}: {begun} {gan.budget:,} images, from {len(images):,} of "
        f"{'x'.join(str(size) for size in images.pixels.shape[1:])}",
        file=sys.stderr,
    )


def conclude(run: "Run", trackers: dict[str, Any]) -> None:
    """Says what a finished run reached, where it lies and how to look at it."""
    result = run.summary
    lines = [f"{name:16}{value:.2f}" for name, value in result.get("figures", {}).items()]
    if lines and "best" in result:
        best = result["best"]
        lines[0] += f"   (best {best['figure']:.2f} at {best['images']:,} images)"
    lines.append(f"{'run':16}{shown(run.path)}")
    grids = sorted((run.path / "samples").glob("*.png"))
    if grids:
        lines.append(f"{'samples':16}{shown(grids[-1])}")
    if trackers.get("wandb") is not None:
        experiment = trackers["wandb"].experiment
        if experiment.url:
            lines.append(f"{'dashboard':16}{experiment.url}")
        else:
            folder = shown(run.path / "wandb")
            lines.append(f"{'dashboard':16}wandb leet {folder}")
            lines.append(f"{'sync':16}wandb sync {shown(Path(experiment.dir).parent)}")
    elif "tensorboard" in trackers:
        lines.append(f"{'dashboard':16}tensorboard --logdir {shown(run.path / 'tensorboard')}")
    print("\n".join(lines))


def finish_wandb(status: str) -> None:
    """Ends W&B's run, or the next run of a sweep would be written into it."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish(exit_code=0 if status == "finished" else 1)


def shown(path: Path) -> Path:
    """A path as short as it can be written here."""
    path = path.resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def quieten() -> None:
    """Keeps Lightning's remarks on hardware and loaders out of the way of our own."""
    import logging
    import warnings

    import pytorch_lightning  # sets its own level when it is imported
    from lightning_fabric.utilities.warnings import PossibleUserWarning

    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    warnings.filterwarnings("ignore", category=FutureWarning, module=pytorch_lightning.__name__)
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
    for name in (pytorch_lightning.__name__, "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
