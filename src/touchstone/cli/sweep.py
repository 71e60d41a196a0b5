"""A sweep: many runs from one command, each a process of its own; killed, it can be gone on with.

What Hydra calls a job, and runs inside itself, only starts `touchstone train` with the job's own
words and waits for it. So a job composes its own configuration, its further processes on other
devices repeat its words and not the sweep's, and whatever ends it ends it alone.

```
runs/sweeps/NAME/
  jobs/KEY.run           which run the job made, from its first moment on
  jobs/KEY.json          how it ended: there once the job is done
  jobs/KEY.log           what it printed, where several jobs run at once
  study.db               Optuna's
```
A job's KEY is a hash of its words, so that a sweep that is started again knows its jobs.
"""

import contextlib
import ctypes
import datetime
import fcntl
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from touchstone.errors import UsageError
from touchstone.job import leads

# Names a job's record, without its ending, to the process that trains.
JOB_VARIABLE = "TOUCHSTONE_JOB"
# Tells all processes that train for a job which it is, however each was started.
KEY_VARIABLE = "TOUCHSTONE_JOB_KEY"
DONE = ("finished", "pruned", "diverged")
OF_THE_SWEEP = ("resume", "launcher", "sweeper")  # words that say how jobs are run, not what


@dataclass(frozen=True)
class Job:
    """One of a sweep's runs.

    Attributes:
        folder: of the sweep.
        words: of the command line that trains.
    """

    folder: Path
    words: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """The same for the same words in any order."""
        text = "\0".join(sorted(self.words))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def file(self, ending: str) -> Path:
        """A part of the job's record."""
        return self.folder / "jobs" / f"{self.key}.{ending}"

    @property
    def run(self) -> Path | None:
        """The run that it has made, if it came to that."""
        with contextlib.suppress(OSError):
            path = Path(self.file("run").read_text())
            if (path / "config.yaml").is_file():
                return path
        return None

    @property
    def outcome(self) -> dict[str, Any]:
        """How it ended; nothing while it has not."""
        with contextlib.suppress(OSError, json.JSONDecodeError):
            content: dict[str, Any] = json.loads(self.file("json").read_text())
            return content
        return {}

    @property
    def summary(self) -> dict[str, Any]:
        """What its run says of how it ended; nothing where there is none."""
        with contextlib.suppress(OSError, json.JSONDecodeError):
            if self.run is not None:
                content: dict[str, Any] = json.loads((self.run / "summary.json").read_text())
                return content
        return {}

    def conclude(self, status: int, seconds: float) -> None:
        """Writes how it ended, from what the process that trained has left."""
        summary = self.summary
        ended = summary.get("status", "failed")
        if status and ended in ("finished", "pruned"):  # said of an earlier attempt
            ended = "failed"
        if ended == "interrupted" and status not in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            ended = "failed"
        figures = list(summary.get("figures", {}).values())
        outcome = {
            "words": self.words,
            "status": ended,
            "run": None if self.run is None else str(self.run),
            "figure": figures[0] if figures else None,
            "seconds": seconds,
            "reason": self._reason(status) if ended == "failed" else None,
        }
        partial = self.file("partial")
        partial.write_text(json.dumps(outcome))
        partial.replace(self.file("json"))

    def _reason(self, status: int) -> str:
        with contextlib.suppress(OSError):
            return self.file("reason").read_text()
        return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def perform(settings: DictConfig) -> float | None:
    """Does what Hydra has composed as a job of a multirun.

    Returns:
        The run's first figure, for a sweeper that seeks; None where there is none.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    words = tuple(
        word for word in hydra.overrides.task if word.partition("=")[0] not in OF_THE_SWEEP
    )
    job = Job(Path(hydra.sweep.dir), words)
    if not leads():  # another of the tasks that Slurm started for this job
        follow(job, hydra)
        return None
    job.file("lock").parent.mkdir(parents=True, exist_ok=True)
    with job.file("lock").open("w") as lock:
        # Held by the process that trains as well: should this one be killed, the next waits for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not job.outcome and job.summary.get("status") in DONE:  # it outlived its sweep
            job.conclude(0, job.summary["seconds"])
        if job.outcome.get("status") not in DONE:
            start(job, hydra, lock)
    figure: float | None = job.outcome.get("figure")
    return figure


def start(job: Job, hydra: Any, lock: IO[str]) -> None:
    """Trains, in a process of its own, what a job's words say, or goes on with its run."""
    job.file("json").unlink(missing_ok=True)
    job.file("reason").unlink(missing_ok=True)
    words = job.words if job.run is None else (f"resume={job.run}",)
    number = int(hydra.launcher.get("n_jobs", 1))
    with slot(job.folder, number) as place, contextlib.ExitStack() as files:
        output = None  # what one job at a time says is seen; several would talk at once
        if not hydra.launcher._target_.endswith(".BasicLauncher"):
            output = files.enter_context(job.file("log").open("ab"))
        say(f"{'begun' if job.run is None else 'gone on with'}: {' '.join(shown(job.words))}")
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "touchstone", "train", *sources(hydra), *words],
            env={**os.environ, JOB_VARIABLE: str(job.file("")), KEY_VARIABLE: job.key, **place},
            stdout=output,
            stderr=output,
            pass_fds=(lock.fileno(),),
        )
        try:
            process.wait()
        finally:
            if process.poll() is None:  # Ctrl-C reached it as well: it writes its checkpoint
                process.wait()
            job.conclude(process.returncode, time.perf_counter() - started)
            say(f"{job.outcome['status']}: {' '.join(shown(job.words))}")


def follow(job: Job, hydra: Any) -> None:
    """Takes part in a job that another task has the charge of."""
    command = [sys.executable, "-m", "touchstone", "train", *sources(hydra), *job.words]
    subprocess.run(command, env={**os.environ, KEY_VARIABLE: job.key}, check=False)


def identity() -> list[str]:
    """What makes a training the same when it is started again: its job, or its words."""
    return [os.environ[KEY_VARIABLE]] if KEY_VARIABLE in os.environ else sys.argv[1:]


def say(line: str) -> None:
    """Tells of a job, whatever process it is started from."""
    print(line, file=sys.stderr, flush=True)


def sources(hydra: Any) -> Iterator[str]:
    """The flags that name folders of configuration, as this command was given them."""
    for source in hydra.runtime.config_sources:
        if source.provider == "command-line":
            yield from ("--config-dir", source.path)


@contextlib.contextmanager
def slot(folder: Path, number: int) -> Iterator[dict[str, str]]:
    """Takes one of `number` equal shares of the machine, and gives the variables that say so."""
    if number <= 1:
        yield {}
        return
    place = folder / "slots"
    place.mkdir(exist_ok=True)
    while True:
        for share in range(number):
            with (place / str(share)).open("w") as held:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield part_of_machine(share, number)
                return
        time.sleep(0.2)


def part_of_machine(share: int, number: int) -> dict[str, str]:
    """The cores and devices of one of `number` jobs that run at once."""
    cores = max(1, (os.cpu_count() or 1) // number)
    variables = {"OMP_NUM_THREADS": str(cores)}
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    # Counted without torch, which takes seconds and is of no other use here.
    found = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    devices = named.split(",") if named else [str(number) for number in range(found)]
    if devices:
        mine = devices[share::number] or [devices[share % len(devices)]]
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
    return variables


def begin(words: Sequence[str]) -> tuple[Path, list[str]]:
    """Makes a sweep's folder, or finds it again.

    Args:
        words: of the command line.

    Returns:
        The folder, and the words that tell Hydra of it.

    Raises:
        UsageError: the name is taken, or there is nothing to go on with.
    """
    given = dict(word.partition("=")[::2] for word in words)
    name = given.get("sweep") or datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    runs = given.get("runs_dir") or os.environ.get("TOUCHSTONE_RUNS", "runs")
    folder = Path(runs) / "sweeps" / name
    match given.get("resume", "null"):
        case "null" | "false":
            if any((folder / "jobs").glob("*")):
                raise UsageError(
                    f"sweep={name}: {folder} is there already; go on with it by resume=true, or "
                    "choose another name"
                )
        case "true":
            if not folder.is_dir():
                raise UsageError(f"sweep={name}: there is no such sweep to go on with ({folder})")
        case other:
            raise UsageError(f"resume={other}: a sweep goes on by sweep=NAME resume=true")
    (folder / "jobs").mkdir(parents=True, exist_ok=True)
    return folder, [f"hydra.sweep.dir={folder}", f"sweep={name}"]


def conclude(folder: Path) -> int:
    """Prints a table of the jobs, and gives the exit status: 1 where one has failed."""
    outcomes = [json.loads(path.read_text()) for path in sorted((folder / "jobs").glob("*.json"))]
    outcomes.sort(key=lambda outcome: (outcome["figure"] is None, outcome["figure"] or math.inf))
    common = set.intersection(*(set(outcome["words"]) for outcome in outcomes)) if outcomes else ()
    rows = [("job", "status", "figure", "minutes", "")]
    for outcome in outcomes:
        words = [word for word in outcome["words"] if word not in common]
        figure = outcome["figure"]
        rows.append(
            (
                " ".join(words) or " ".join(shown(outcome["words"])),
                outcome["status"],
                "" if figure is None else f"{figure:.4g}",
                f"{outcome['seconds'] / 60:.1f}",
                outcome["reason"] or "",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    print()
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[4]]).rstrip())
    begun = {path.stem for path in (folder / "jobs").glob("*.run")}
    if cut := len(begun - {path.stem for path in (folder / "jobs").glob("*.json")}):
        print(f"and {cut} cut off")
    print(f"\nsweep  {folder}")
    return 1 if any(outcome["status"] not in DONE for outcome in outcomes) else 0


class Study(Callback):
    """Takes an Optuna study up again: a trial that was cut off is asked for once more."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Leaves as many trials to do as there are left, the one that was cut off first."""
        settings = config.hydra.sweeper
        if not (Path(config.hydra.sweep.dir) / "study.db").exists():
            return
        import optuna

        study = optuna.load_study(study_name=settings.study_name, storage=settings.storage)
        for trial in study.trials:
            if trial.state == optuna.trial.TrialState.RUNNING:
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                study.enqueue_trial(trial.params)
        done = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
        with read_write(config):
            settings.n_trials = max(0, settings.n_trials - done)
            # Seeded as before, the sampler would begin with what it began with.
            settings.sampler.seed += len(study.trials)


def shown(words: Sequence[str]) -> list[str]:
    """A job's words, without the sweep's name."""
    return [word for word in words if not word.startswith("sweep=")]


def record_run(path: Path) -> None:
    """Tells the sweep, in a job's own process, which run it has made."""
    if JOB_VARIABLE in os.environ:
        Path(os.environ[JOB_VARIABLE] + "run").write_text(str(path.resolve()))


def record_reason(message: str) -> None:
    """Tells the sweep, in a job's own process, why it cannot be done."""
    if JOB_VARIABLE in os.environ:
        with contextlib.suppress(OSError):
            Path(os.environ[JOB_VARIABLE] + "reason").write_text(message)


def end_with_parent(started: bool) -> None:
    """Has a process be ended should the one that started it be killed.

    The job of a sweep gets SIGTERM and writes a checkpoint. A run's further process gets SIGKILL:
    without the first it would wait for it for ever, in the middle of an iteration.

    Args:
        started: whether this is a run's further process, started by the first.
    """
    if sys.platform == "linux" and (started or JOB_VARIABLE in os.environ):
        set_parent_death_signal = 1
        number = signal.SIGKILL if started else signal.SIGTERM
        ctypes.CDLL(None).prctl(set_parent_death_signal, number)
