"""Where a run's figures and pictures go, each a function of the run that makes a Lightning logger.

A logger that can show pictures has `log_image(key, images, step)`, as Lightning's own for Weights &
Biases. The step is always `images`.
"""

import io
import netrc
import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from touchstone.errors import UsageError
from touchstone.job import leads
from touchstone.tracking.figures import Figure
from touchstone.tracking.run import Run


class Record(Logger):
    """Writes to the run's own folder: the record that every other part of touchstone reads."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run.name

    @property
    def version(self) -> str:
        """The run's folder has no versions."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The configuration lies in the folder already."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Appends a line."""
        self.run.append(step or 0, metrics)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        """Writes PIL images as `<key>/<images>.png`, from the second as `<images>_<number>.png`."""
        folder = self.run.path / key
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            suffix = f"_{number}" if number else ""
            image.save(folder / f"{step or 0:09d}{suffix}.png")

    @rank_zero_only
    def log_figures(self, figures: Sequence[Figure]) -> None:
        """Appends a line a figure, its protocol in it."""
        self.run.record(figures)


class WandB(WandbLogger):
    """Lightning's logger for Weights & Biases, with `images` as the axis of every figure."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs figures, or pictures, at so many images."""
        self.experiment.log({**metrics, "images": step})

    @rank_zero_only
    def log_figures(self, figures: Sequence[Figure]) -> None:
        """Keeps each figure's protocol, and what generated the images, in the run's summary."""
        for figure in figures:
            line = {key: value for key, value in figure.line().items() if key != "name"}
            self.experiment.summary[f"figures/{figure.name}"] = line


class TensorBoard(TensorBoardLogger):
    """Lightning's logger for TensorBoard, with pictures."""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kw: Any) -> None:
        """Adds the configuration as text: TensorBoard's own table of it is empty until the end."""
        text = "\n".join(f"    {key}: {value}" for key, value in dict(params).items())
        self.experiment.add_text("configuration", text)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        """Adds PIL images."""
        import numpy

        for number, image in enumerate(images):
            tag = f"{key}/{number}" if number else key
            pixels = numpy.asarray(image.convert("RGB"))
            self.experiment.add_image(tag, pixels, step or 0, dataformats="HWC")


class Trackio(Logger):
    """Writes to the local dashboard's database, from a thread of trackio's, with `images` as step.

    Args:
        experiment: trackio's own run.
    """

    def __init__(self, experiment: Any) -> None:
        super().__init__()
        self.experiment = experiment

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.experiment.name)

    @property
    def version(self) -> str:
        """The run's identity, which a resumed run keeps."""
        return str(self.experiment.id)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kw: Any) -> None:
        """Hands over the configuration, which goes with the first figures."""
        self.experiment.config.update(dict(params))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs figures at so many images."""
        self.experiment.log(dict(metrics), step=step or 0)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        """Keeps PIL images as PNG, each beside those of the other runs at as many images."""
        import trackio

        for number, image in enumerate(images):
            name = f"{key}/{number}" if number else key
            picture = trackio.Image(image, caption=f"{step or 0:,} images")
            self.experiment.log({name: picture}, step=step or 0)

    @rank_zero_only
    def log_figures(self, figures: Sequence[Figure]) -> None:
        """Keeps each figure's protocol, and what generated the images, as a report."""
        import trackio

        for figure in figures:
            lines = [f"- {key}: {value}" for key, value in figure.line().items()]
            text = "\n".join([f"### {figure.name}", *lines])
            report = {f"figures/{figure.name}": trackio.Markdown(text)}
            self.experiment.log(report, step=figure.images or 0)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Waits until all is written."""
        with redirect_stdout(io.StringIO()):
            self.experiment.finish()


def csv(run: Run) -> CSVLogger:
    """A table in `csv/metrics.csv`."""
    return CSVLogger(run.path, name="", version="csv")


def tensorboard(run: Run) -> TensorBoard:
    """Events in `tensorboard/`.

    Raises:
        UsageError: where TensorBoard is not installed.
    """
    try:
        return TensorBoard(run.path, name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise UsageError(
            "logger=tensorboard needs TensorBoard: pip install 'touchstone[tensorboard]'"
        ) from error


def wandb(
    run: Run,
    *,
    project: str,
    entity: str | None = None,
    group: str | None = None,
    tags: list[str] | None = None,
) -> WandB | None:
    """A run at Weights & Biases: online when a key is at hand, otherwise offline in `wandb/`.

    A tracker never fails a run: what cannot be reached is said, and the run goes on offline.
    A resumed run continues the same W&B run.
    """
    if not leads():
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_INIT_TIMEOUT", "30")
    import wandb

    def start(mode: str) -> Any:
        experiment = wandb.init(
            mode=mode,  # type: ignore[arg-type]
            dir=run.path,
            id=run.environment["id"],
            resume="allow",
            name=run.name,
            project=project,
            entity=entity,
            group=group,
            tags=tags,
            settings=wandb.Settings(console="off", disable_git=True),
        )
        experiment.define_metric("*", step_metric="images", step_sync=True)
        return experiment

    modes = [os.environ.get("WANDB_MODE") or ("online" if has_key() else "offline"), "offline"]
    for mode in dict.fromkeys(modes):
        if mode == "online":
            print("connecting to Weights & Biases", file=sys.stderr)
        try:
            return WandB(experiment=start(mode), project=project, save_dir=run.path)
        except Exception as error:  # whatever a tracker's client raises
            wandb.teardown()
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            print(f"Weights & Biases ({mode}) is left out: {reason}", file=sys.stderr)
    return None


def trackio(run: Run, *, project: str, group: str | None = None) -> Trackio | None:
    """A run in the local dashboard, whose database lies beside the runs, in `trackio/`.

    A tracker never fails a run: where trackio is not installed, or cannot be used, that is said.
    A resumed run continues the same one.
    """
    if not leads():
        return None
    folder = run.path.parent.resolve() / "trackio"
    os.environ["TRACKIO_DIR"] = str(folder)  # read once, when trackio is imported
    try:
        from trackio.run import Run as Base
        from trackio.utils import TRACKIO_DIR

        if folder != TRACKIO_DIR:
            raise RuntimeError(f"this process logs to {TRACKIO_DIR} already")
        folder.mkdir(exist_ok=True)

        class Experiment(Base):
            # Where a token of Hugging Face lies about, trackio would ask them whose it is.
            def _get_username(self) -> None:
                return None

        identity = run.environment["id"]
        # The class and not `trackio.init`, which finds a run to resume by its name.
        with redirect_stdout(io.StringIO()):
            experiment = Experiment(
                url=None, project=project, client=None, name=run.name, run_id=identity, group=group
            )
        return Trackio(experiment)
    except ModuleNotFoundError:
        reason = "it is not installed (pip install 'touchstone[dashboard]')"
    except Exception as error:  # whatever a tracker's client raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    print(f"trackio is left out: {reason}", file=sys.stderr)
    return None


def has_key() -> bool:
    """Whether a key for Weights & Biases is at hand: in the environment or in a netrc file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
