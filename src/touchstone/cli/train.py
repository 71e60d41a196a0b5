"""`touchstone train`, which is `python train.py`: instantiates the parts and hands them over."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf

from touchstone import cli, job
from touchstone.cli import meeting, private, sweep
from touchstone.cli.checks import check
from touchstone.cli.front import enter, fail, plain
from touchstone.cli.game import (
    build,
    check_labels,
    fitting_micro_batch,
    flush_denormals,
    memory_format,
    networks,
)
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from pytorch_lightning import Callback, Trainer
    from pytorch_lightning.profilers import Profiler

    from touchstone.data.module import Data
    from touchstone.data.split import Split
    from touchstone.data.tables.rows import Rows
    from touchstone.tracking.run import Run

# Names the run to the further processes of a job, which Lightning starts with the same words.
RUN_VARIABLE = "TOUCHSTONE_RUN"
# How a run ends that has written a checkpoint; one that fails may do so before its first.
CHECKPOINTED = ("finished", "pruned", "interrupted")
# Whose errors are those of torch.compile.
COMPILERS = ("torch._dynamo", "torch._inductor")


def main(conf: Path | None = None) -> None:
    """Trains as the command line says; with `-m`, every run of a sweep."""
    if not {"-m", "--multirun"} & set(sys.argv):
        enter("train", train, conf)
        return
    try:
        folder, words = sweep.begin(sys.argv[1:])
    except UsageError as error:
        fail(str(error))
    sys.argv += words
    try:
        enter("train", train, conf, job=sweep.perform)
    except ValueError:  # a study none of whose trials came to a figure
        if not sweep.conclude(folder):
            raise
        sys.exit(1)
    except KeyboardInterrupt:
        sweep.conclude(folder)
        print(f"interrupted; to go on: the same words with sweep={folder.name} resume=true")
        sys.exit(130)
    sys.exit(sweep.conclude(folder))


def train(composed: DictConfig) -> None:
    """Trains a GAN: a new run, or one that goes on.

    Raises:
        UsageError: settings or files that cannot be used.
        DivergedError: a loss or weight that is not finite.
        InterruptionError: a signal; a checkpoint was written.
    """
    sweep.end_with_parent(started=RUN_VARIABLE in os.environ and not job.leads())
    settings, run = chosen(composed)
    check(settings)
    quieten()
    flush_denormals()

    from hydra.utils import instantiate

    from touchstone.callbacks import Evaluation, Pruning
    from touchstone.cli import report
    from touchstone.data.subset import labelled, subset
    from touchstone.data.tables.rows import Rows
    from touchstone.errors import DivergedError, InterruptionError
    from touchstone.tracking.loggers import Record
    from touchstone.tracking.run import Run
    from touchstone.trained import save

    start = images_at(run, settings.images) if run else 0
    judge = try_trainer(settings)
    private.check(settings, judge)
    images = training_split(settings, run)
    if settings.micro_batch == "auto":
        settings.micro_batch = fitting_micro_batch(settings, images, judge)
    check_labels(images, settings)
    shown = labelled(subset(images, settings.subset), settings.labelled)
    promise = private.promised(settings, shown, run, start)
    gan = build(settings, promise.executor if promise else None)
    callbacks: dict[str, Callback] = dict(instantiate(settings.callbacks))
    for callback in callbacks.values():
        if isinstance(callback, Evaluation):
            callback.check(gan, images)
    if promise:
        promise.check(gan)
        callbacks["spending"] = promise.spending(settings.every.evaluation)
    data = data_of(settings, images, shown, promise)
    text = OmegaConf.to_yaml(settings)
    if run is None:
        name = f"{settings.model.name}_{settings.loss.name}_{settings.data.name}_s{settings.seed}"
        run = Run.create(Path(settings.runs_dir), name, text, networks(settings))
        if isinstance(images, Rows):
            run.table.write_text(images.encoder.to_json())
    elif job.leads():
        run.configure(text)
    os.environ[RUN_VARIABLE] = str(run.path.resolve())
    if job.leads():
        meeting.appoint(run, Path(composed.runs_dir), sweep.identity())
        sweep.record_run(run.path)
    if promise:
        promise.keep(run)
    report.announce(run, gan, shown, start)

    trackers = {name: make(run) for name, make in instantiate(settings.logger).items()}
    loggers = [Record(run), *(logger for logger in trackers.values() if logger is not None)]
    for logger in loggers:
        logger.log_hyperparams(plain(settings))
    trainer = make_trainer(settings, run.path, loggers, list(callbacks.values()))
    status = "failed"
    try:
        checkpoint = run.checkpoint() if start else None
        with as_called():
            trainer.fit(gan, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        pruned = any(isinstance(one, Pruning) and one.pruned for one in callbacks.values())
        status = "pruned" if pruned else "finished"
    except DivergedError as error:
        status = "diverged"
        raise DivergedError(f"{error}. {report.last_good(run)}") from error
    except RuntimeError as error:
        if settings.trainer.compile and type(error).__module__.startswith(COMPILERS):
            reason = str(error).strip().splitlines()[0]
            raise UsageError(f"trainer.compile=true: {reason}; leave it out") from error
        if not lost(error):
            raise
        raise UsageError(
            f"another process of this run has ended ({str(error).splitlines()[0]}). "
            f"{report.last_good(run)}; to go on: resume={report.shown(run.path)}"
        ) from error
    except OSError as error:
        place = report.shown(Path(error.filename or run.path))
        raise UsageError(f"{place}: {error.strerror or error}. {report.last_good(run)}") from error
    except InterruptionError:
        status = "interrupted"
        if trainer.is_global_zero:
            report.say_interrupted(run, gan.images)
        raise
    finally:
        if trainer.is_global_zero:
            with suppress(OSError):  # a full disk, which is what the message should be about
                result = report.summary(gan, callbacks, status, settings.batch_size)
                if promise:
                    result["privacy"] = promise.summary(gan.images)
                run.summarize(result)
        for logger in loggers:
            logger.finalize("success" if status in ("finished", "pruned") else status)
        finish_wandb(status)
        os.environ.pop(RUN_VARIABLE, None)
    if trainer.is_global_zero:
        table = images.encoder if isinstance(images, Rows) else None
        save(gan.average.network, run.networks["generator"], run.generator, table)
        report.conclude(run, trackers)


def chosen(composed: DictConfig) -> tuple[DictConfig, "Run | None"]:
    """The settings to train with, and the run to go on with, if any."""
    from hydra.core.hydra_config import HydraConfig

    from touchstone.cli.saved import changed, settings_of
    from touchstone.tracking.run import Run

    if RUN_VARIABLE in os.environ and not job.leads():
        joined: Run | None = Run(Path(os.environ[RUN_VARIABLE]))
    else:
        joined = meeting.appointed(Path(composed.runs_dir), sweep.identity())
    if joined is not None:
        return settings_of(joined), joined
    if composed.resume and composed.rerun:
        raise UsageError("resume and rerun: name one of them, not both")
    verb = "resume" if composed.resume else "rerun" if composed.rerun else None
    if verb is None:
        return composed, None

    run = Run.open(Path(str(composed[verb])), folder=Path(composed.runs_dir), setting=verb)
    settings = changed(run, verb, composed, HydraConfig.get().overrides.task)
    return settings, run if verb == "resume" else None


@contextmanager
def as_called() -> Iterator[None]:
    """Lets Lightning start further processes by the words that this one was started by."""
    words = sys.argv
    sys.argv = cli.called or words
    try:
        yield
    finally:
        sys.argv = words


def training_split(settings: DictConfig, run: "Run | None") -> "Split":
    """Loads what is trained on, and fills in what of the settings the data alone can say."""
    from hydra.utils import instantiate

    from touchstone.data.tables.rows import Rows

    if "layout" not in settings.data:
        split: Split = instantiate(settings.data.load)(split="train")
        return split
    if settings.get("privacy"):
        settings.data.public = True
    # A run that goes on encodes its rows as it has done so far.
    kept = {"encoder": run.table} if run is not None and run.table.exists() else {}
    rows: Rows = instantiate(settings.data.load)(split="train", **kept)
    tell_of(rows, settings)
    return rows


def data_of(
    settings: DictConfig, images: "Split", shown: "Split", promise: "private.Promise | None"
) -> "Data":
    """The batches of a training; of a private one none, since its records are sampled apart.

    Args:
        settings: of the run.
        images: the training split.
        shown: what of it the networks are shown.
        promise: of privacy, if there is one.
    """
    from touchstone.data.module import Data

    return Data(
        promise.none_of(images) if promise else images,
        promise.withheld if promise else shown,
        batch_size=settings.batch_size,
        critic_steps=settings.loss.critic_steps,
        seed=settings.seed,
        budget=settings.images,
        memory_format=memory_format(settings),
    )


def tell_of(rows: "Rows", settings: DictConfig) -> None:
    """Sets what the networks are told of a table's rows."""
    settings.data.shape = list(rows.shape)
    settings.data.layout = [list(block) for block in rows.layout]
    settings.data.frequencies = rows.frequencies


def images_at(run: "Run", budget: int) -> int:
    """How many images a run's last checkpoint has seen; 0 where it was killed before its first.

    Raises:
        UsageError: where the checkpoint cannot be read or is lost, or the budget is spent.
    """
    from touchstone.tracking.reading import read

    if not run.checkpoint().exists():
        ended = run.summary
        if ended.get("status") in CHECKPOINTED and ended["images"]:
            raise UsageError(
                f"{run.checkpoint()}: missing, and the run, of {ended['images']:,} images, cannot "
                f"go on without it. For a new run with its settings use rerun={run.name}"
            )
        return 0
    images: int = read(run.checkpoint())["images"]
    if images >= budget:
        raise UsageError(
            f"resume={run.path}: the run has spent its budget of images={budget}; "
            f"to go on, give it more: images={2 * budget}"
        )
    return images


def try_trainer(settings: DictConfig) -> "Trainer":
    """Judges the trainer's settings, and lets Lightning, before anything is loaded or written.

    Returns:
        A trainer of these settings, which trains nothing.

    Raises:
        UsageError: where they cannot be had.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from touchstone.data.batches import check_batch_size

    try:
        made = instantiate(of_lightning(settings), logger=False, enable_checkpointing=False)
    except InstantiationException as error:
        keys = [key for key in map(str, of_lightning(settings)) if not key.startswith("_")]
        words = ", ".join(f"trainer.{key}={settings.trainer[key]}" for key in keys)
        raise UsageError(f"{words}: {error.__cause__}") from error
    if settings.trainer.cuda_graphs:
        graphs = "trainer.cuda_graphs=true"
        if made.strategy.root_device.type != "cuda":
            raise UsageError(f"{graphs}: it needs a CUDA device, and the run would be on a CPU")
        if made.world_size > 1:
            raise UsageError(f"{graphs}: it is for one device, and trainer.devices are several")
        if settings.trainer.precision == "16-mixed":
            raise UsageError(
                f"{graphs}: under trainer.precision=16-mixed the host decides at each step whether "
                "it is taken; use trainer.precision=bf16-mixed"
            )
    check_batch_size(settings.batch_size, settings.batch_size, made.world_size)
    share = settings.batch_size // made.world_size
    if isinstance(settings.micro_batch, int) and share % settings.micro_batch:
        raise UsageError(
            f"micro_batch={settings.micro_batch}: it has to divide the batch of a device, {share}"
        )
    return cast("Trainer", made)


def of_lightning(settings: DictConfig) -> DictConfig:
    """Those of the trainer's settings that are Lightning's."""
    own = ("compile", "cuda_graphs", "tf32", "sync_batchnorm")
    return OmegaConf.masked_copy(settings.trainer, [k for k in settings.trainer if k not in own])


def make_trainer(
    settings: DictConfig, folder: Path, loggers: list[Any], callbacks: list["Callback"]
) -> "Trainer":
    """Makes Lightning's Trainer: what goes by steps and epochs there goes by images here.

    Args:
        settings: of the run.
        folder: for what the profiler finds.
        loggers: of the run.
        callbacks: in this order.
    """
    from hydra.utils import instantiate

    from touchstone.tracking.checkpoints import Checkpoints

    trainer: Trainer = instantiate(
        of_lightning(settings),
        profiler=profiler(settings.trainer.profiler, folder),
        default_root_dir=folder,
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


def profiler(name: str | None, folder: Path) -> "Profiler | None":
    """Lightning's profiler of a name, which writes what it finds into a folder."""
    if name is None:
        return None
    from pytorch_lightning import profilers

    kinds = {
        "simple": profilers.SimpleProfiler,
        "advanced": profilers.AdvancedProfiler,
        "pytorch": profilers.PyTorchProfiler,
    }
    made: Profiler = kinds[name](dirpath=folder / "profile", filename=name)
    return made


def lost(error: RuntimeError) -> bool:
    """Whether it says that a process with which this one trains has gone."""
    from touchstone import processes

    words = ("Connection closed by peer", "Connection reset by peer", "NCCL", "Broken pipe")
    return processes.number() > 1 and any(word in str(error) for word in words)


def finish_wandb(status: str) -> None:
    """Ends W&B's run, or the next run of a sweep would be written into it."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish(exit_code=0 if status in ("finished", "pruned") else 1)


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
