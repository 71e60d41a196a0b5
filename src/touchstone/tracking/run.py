"""A run: one training job and its folder, which is its plain record.

```
runs/2026-11-22_14-03-59_dcgan_wgan_gp_fashion_mnist_s0/
  config.yaml            the composed configuration
  networks.json          what rebuilds the networks without the configuration
  environment.json       command, versions, git commit, machine
  metrics.jsonl          one line a logging interval, append-only
  figures.jsonl          one line a figure of an evaluation, with its protocol, append-only
  samples/000064000.png  grids from the same latents, named by images
  checkpoints/           last.ckpt and best.ckpt
  table.json             of a table: its columns, and how its rows are encoded
  secret                 of a private run, its owner's alone: what its noise comes from
  generator.safetensors  the averaged generator with its configuration
  summary.json           how it ended
```
"""

import datetime
import json
import math
import os
import platform
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from touchstone.errors import UsageError
from touchstone.tracking.figures import Figure

PACKAGES = ("touchstone", "torch", "torchvision", "pytorch-lightning", "hydra-core", "torchmetrics")


class Run:
    """A run's folder.

    Args:
        path: the folder, which `create` makes and `open` finds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls, folder: Path, name: str, config: str, networks: Mapping[str, Mapping[str, Any]]
    ) -> "Run":
        """Makes a run's folder, with its configuration and environment.

        Args:
            folder: where runs lie.
            name: what the run is, as `<model>_<loss>_<data>_s<seed>`; the time goes before it.
            config: the composed configuration, as YAML.
            networks: the generator's and the discriminator's classes and arguments.

        Raises:
            UsageError: where the folder cannot be written to.
        """
        started = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        number = 1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            while True:
                path = folder / (f"{started}_{name}" + (f"_{number}" if number > 1 else ""))
                try:
                    path.mkdir()  # the one step that tells two jobs of the same second apart
                    break
                except FileExistsError:
                    number += 1
            (path / "samples").mkdir()
            (path / "checkpoints").mkdir()
            (path / "config.yaml").write_text(config)
            (path / "networks.json").write_text(json.dumps(networks, indent=2) + "\n")
            (path / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n")
        except OSError as error:
            raise UsageError(f"runs_dir={folder}: cannot write a run there ({error})") from error
        return cls(path)

    @classmethod
    def open(cls, path: Path, *, folder: Path = Path("runs"), setting: str = "run") -> "Run":
        """Finds a run by its path, or by its name among the runs in `folder`.

        Args:
            path: the run's folder or name.
            folder: where runs lie.
            setting: what the user named it by, for the message.

        Raises:
            UsageError: where there is no run.
        """
        for candidate in (path, folder / path):
            if (candidate / "config.yaml").is_file():
                return cls(candidate)
        reason = "has no config.yaml" if path.exists() else "does not exist"
        raise UsageError(
            f"{setting}={path}: no run, for it {reason}; name a run's folder, as there are in "
            f"{folder}/"
        )

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def environment(self) -> dict[str, Any]:
        """What the run was started with; its `id` is the run's name at a tracker."""
        content: dict[str, Any] = json.loads((self.path / "environment.json").read_text())
        return content

    def configure(self, config: str) -> None:
        """Writes the configuration anew, whole: a resumed run may have another budget."""
        _write_whole(self.path / "config.yaml", config)

    @property
    def networks(self) -> dict[str, dict[str, Any]]:
        """The generator's and the discriminator's classes, as `_target_`, and arguments.

        Raises:
            UsageError: where the file cannot be read.
        """
        path = self.path / "networks.json"
        try:
            content = json.loads(path.read_text())
            return {part: dict(content[part]) for part in ("generator", "discriminator")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: missing or damaged ({error!r})") from error

    @property
    def config(self) -> str:
        """The composed configuration, as YAML."""
        return (self.path / "config.yaml").read_text()

    def checkpoint(self, which: str = "last") -> Path:
        """Where the checkpoint `last` or `best` lies."""
        return self.path / "checkpoints" / f"{which}.ckpt"

    @property
    def table(self) -> Path:
        """Of a table: its columns, and how its rows are encoded."""
        return self.path / "table.json"

    @property
    def generator(self) -> Path:
        """Where the averaged generator lies, with its configuration."""
        return self.path / "generator.safetensors"

    def append(self, images: int, metrics: Mapping[str, float]) -> None:
        """Adds a line to the record; a number that is not finite is written as null."""
        line = {"images": images} | {
            name: value if math.isfinite(value) else None for name, value in metrics.items()
        }
        append_line(self.path / "metrics.jsonl", line)

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Reads the record's lines; one that a kill cut short is passed over.

        A resumed run writes again what came after its checkpoint, so of two lines with the same
        `images` and the same quantity the later one holds.
        """
        return lines(self.path / "metrics.jsonl")

    def record(self, figures: Iterable[Figure]) -> None:
        """Adds figures with their protocols to the record, a line each."""
        for figure in figures:
            append_line(self.path / "figures.jsonl", figure.line())

    def figures(self) -> Iterator[Figure]:
        """Reads the figures that were recorded, in their order."""
        return (Figure(**line) for line in lines(self.path / "figures.jsonl"))

    @property
    def summary(self) -> dict[str, Any]:
        """How the run ended; empty while it has not."""
        path = self.path / "summary.json"
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return content

    def summarize(self, summary: Mapping[str, Any]) -> None:
        """Writes how the run ended, whole or not at all."""
        _write_whole(self.path / "summary.json", json.dumps(dict(summary), indent=2) + "\n")


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Adds a line of JSON to a file, after whatever a kill has left of the last one."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":  # a kill cut the last line short
                file.write(b"\n")
        file.write(json.dumps(line).encode() + b"\n")


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Reads the lines of JSON of a file, if it is there; one that was cut short is passed over."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def environment() -> dict[str, Any]:
    """What a run is started with: the command, versions, the git commit and the machine."""
    return {
        "id": os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4),  # given by a W&B agent
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in PACKAGES},
        },
        "git": git_state(Path(__file__).parent),
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that the code stands on and whether it was changed since; none outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if not git("ls-files", str(folder)):
            return None  # an installed package below somebody else's repository
        return {
            "commit": git("rev-parse", "HEAD"),
            "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        return None
