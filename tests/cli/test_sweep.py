"""Sweeps: jobs in processes of their own, failures, kills, and going on."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from touchstone.cli.sweep import Job, part_of_machine, slot
from touchstone.tracking.run import Run

TINY = (
    "data=digits",
    "model.width=4",
    "batch_size=16",
    "images=64",
    "every.log=32",
    "every.evaluation=32",
    "metrics=brightness",
    "logger=none",
)
PARTS = """
import json, os
from pathlib import Path
import torch

class Brightness:
    higher_is_better = False
    extractor = None

    def check(self, sets):
        pass

    def __call__(self, sets):
        return {"brightness": sets.generated.pixels().float().mean()}


def telling(parameters, lr):
    rank = os.environ.get("LOCAL_RANK", "0")
    place = Path(os.environ["TOLD"]) / f"{os.environ['TOUCHSTONE_JOB'].split('/')[-1]}{rank}.json"
    place.write_text(json.dumps({"lr": lr, "threads": torch.get_num_threads()}))
    return torch.optim.SGD(parameters, lr=lr)
"""

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sweep(cli: Cli, tmp_path: Path) -> Cli:
    """Runs a sweep of tiny runs whose metric is a part of the user's own."""
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "told").mkdir()
    metrics = tmp_path / "mine" / "metrics"
    metrics.mkdir(parents=True)
    (metrics / "brightness.yaml").write_text(
        "figures:\n  brightness: {_target_: parts.Brightness}\n"
    )
    variables = {"PYTHONPATH": str(tmp_path), "TOLD": str(tmp_path / "told")}

    def run(*words: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
        return cli("train", "-m", "--config-dir", "mine", *TINY, *words, status=status, **variables)

    return run


def outcomes(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "jobs").glob("*.json"))]


def runs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if (path / "config.yaml").exists())


def test_a_failed_job_does_not_take_the_others_along(sweep: Cli, tmp_path: Path) -> None:
    done = sweep("loss=vanilla,hinge", "optimizer.lr=1e-3,-1", "sweep=grid", status=1)
    ended = outcomes(tmp_path / "runs" / "sweeps" / "grid")
    assert sorted(one["status"] for one in ended) == ["failed", "failed", "finished", "finished"]
    table = [line.split("  ")[0] for line in done.stdout.splitlines() if "  finished" in line]
    assert sorted(table) == ["loss=hinge optimizer.lr=0.001", "loss=vanilla optimizer.lr=0.001"]
    assert done.stdout.count("failed") == 2
    assert done.stdout.count("optimizer: Invalid learning rate: -1") == 2
    assert "Traceback" not in done.stderr

    made = runs(tmp_path / "runs")
    configs = [yaml.safe_load((run / "config.yaml").read_text()) for run in made]
    assert sorted(config["loss"]["name"] for config in configs) == ["hinge", "vanilla"]
    assert {config["sweep"] for config in configs} == {"grid"}
    # A process each: what the shell would have been told for that one run.
    for run in made:
        command = Run(run).environment["command"]
        assert "-m" not in command[1:]
        assert "sweep=grid" in command


def test_a_sweep_of_a_name_that_is_taken_is_gone_on_with(sweep: Cli, tmp_path: Path) -> None:
    sweep("seed=0", "sweep=mine")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.ckpt")}
    assert len(before) == 2
    refused = sweep("seed=0", "sweep=mine", status=1)
    assert "go on with it by resume=true" in refused.stderr
    assert "there is no such sweep" in sweep("sweep=other", "resume=true", status=1).stderr

    for path in (tmp_path / "runs/sweeps/mine/jobs").glob("*.json"):
        path.unlink()  # as if the runs had outlived a sweep that was killed
    done = sweep("seed=0,1", "sweep=mine", "resume=true")
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.ckpt")}
    assert before.items() < after.items()
    assert len(runs(tmp_path / "runs")) == 2
    assert sum("  finished" in line for line in done.stdout.splitlines()) == 2


def test_a_sweep_killed_in_its_middle_goes_on_where_it_was(
    environment: dict[str, str], tmp_path: Path
) -> None:
    words = [
        *("train", "-m", "data=digits", "model.width=4", "batch_size=16", "metrics=none"),
        *("logger=none", "images=4800", "every.checkpoint=160", "every.evaluation=4800"),
        *("seed=0,1,2", "sweep=grid"),
    ]
    command = [sys.executable, "-m", "touchstone", *words]
    sweep = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    folder = tmp_path / "runs"
    limit = time.monotonic() + 120

    def second_is_at_work() -> bool:
        return sum(1 for _ in folder.glob("*/checkpoints/last.ckpt")) == 2

    while not second_is_at_work():
        assert sweep.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.02)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    first, second = runs(folder)
    finished = (first / "checkpoints" / "last.ckpt").stat().st_mtime_ns

    done = subprocess.run(
        [*command, "resume=true"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "gone on with: " in done.stderr
    assert runs(folder)[:2] == [first, second]
    assert [Run(run).summary["status"] for run in runs(folder)] == ["finished"] * 3
    assert [Run(run).summary["images"] for run in runs(folder)] == [4800] * 3
    assert (first / "checkpoints" / "last.ckpt").stat().st_mtime_ns == finished
    assert {yaml.safe_load((run / "config.yaml").read_text())["seed"] for run in runs(folder)} == {
        0,
        1,
        2,
    }


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_launcher_of_several_jobs_at_once(sweep: Cli, tmp_path: Path, launcher: str) -> None:
    sweep("seed=0,1", f"launcher={launcher}", "sweep=grid")
    ended = outcomes(tmp_path / "runs" / "sweeps" / "grid")
    assert [one["status"] for one in ended] == ["finished", "finished"]
    assert all(0 < one["figure"] < 255 for one in ended)
    logs = list((tmp_path / "runs" / "sweeps" / "grid" / "jobs").glob("*.log"))
    assert len(logs) == 2
    assert all("brightness" in path.read_text() for path in logs)


def test_both_processes_of_a_job_have_the_hyperparameters_that_optuna_chose(
    sweep: Cli, tmp_path: Path
) -> None:
    optimizer = "{_target_: parts.telling, _partial_: true, lr: '${optimizer.lr}'}"
    (tmp_path / "mine" / "optimizer").mkdir()
    (tmp_path / "mine" / "optimizer" / "telling.yaml").write_text(
        f"lr: 0.001\ngenerator: {optimizer}\ndiscriminator: {optimizer}\n"
    )
    words = ("sweeper=optuna", "optimizer=telling", "trainer=ddp", "trainer.devices=2")
    ddp = ("trainer.accelerator=cpu", "optimizer.lr=tag(log,interval(1e-5,1e-1))", "sweep=study")
    sweep(*words, *ddp, "hydra.sweeper.n_trials=2")
    ended = outcomes(tmp_path / "runs" / "sweeps" / "study")
    assert [one["status"] for one in ended] == ["finished"] * 2
    told = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "told").iterdir()}
    keys = {name.rpartition(".")[0] for name in told}
    assert len(keys) == 2
    rates = [(told[f"{key}.0"]["lr"], told[f"{key}.1"]["lr"]) for key in keys]
    assert all(first == second for first, second in rates)
    assert len({first for first, _ in rates}) == 2

    # Two trials are done: one more is left of three.
    done = sweep(*words, *ddp, "hydra.sweeper.n_trials=3", "resume=true")
    assert len(outcomes(tmp_path / "runs" / "sweeps" / "study")) == 3
    assert sum("  finished" in line for line in done.stdout.splitlines()) == 3


@pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins.hydra_ray_launcher") is not None,
    reason="the launcher is installed",
)
def test_a_launcher_that_is_not_installed_is_named_with_what_installs_it(sweep: Cli) -> None:
    done = sweep("launcher=ray", "seed=0,1", status=1)
    assert done.stderr == (
        "touchstone: hydra/launcher=ray is not installed: pip install 'touchstone[ray]'\n"
    )


def test_a_run_that_is_pruned_says_so_and_is_no_failure(cli: Cli, tmp_path: Path) -> None:
    jobs = tmp_path / "runs" / "sweeps" / "mine" / "jobs"
    jobs.mkdir(parents=True)
    for number in range(4):
        other = Run.create(tmp_path / "others", "run", "", {})
        other.append(64, {"fid100_fashion": 0.5})
        (jobs / f"{number}.run").write_text(str(other.path))
    words = ("data=digits", "model.width=4", "batch_size=16", "images=256", "logger=none")
    protocol = ("protocol.generated=100", "every.evaluation=64", "pruning=median", "sweep=mine")
    done = cli("train", *words, *protocol)
    assert "ended early     at 64 images: half of the sweep's other runs were better" in done.stdout
    [run] = runs(tmp_path / "runs")
    assert (Run(run).summary["status"], Run(run).summary["images"]) == ("pruned", 64)


def test_a_job_is_known_by_its_words_in_any_order(tmp_path: Path) -> None:
    job = Job(tmp_path, ("a=1", "b=2"))
    assert job.key == Job(tmp_path, ("b=2", "a=1")).key
    assert job.key != Job(tmp_path, ("a=2", "b=1")).key
    assert job.run is None
    assert job.outcome == {}


def test_the_machine_is_divided_among_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = os.cpu_count() or 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7,8")
    assert part_of_machine(0, 2) == {
        "OMP_NUM_THREADS": str(max(1, cores // 2)),
        "CUDA_VISIBLE_DEVICES": "4,6,8",
    }
    assert part_of_machine(1, 2)["CUDA_VISIBLE_DEVICES"] == "5,7"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert part_of_machine(1, 2)["CUDA_VISIBLE_DEVICES"] == "3"

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with slot(tmp_path, 2) as first, slot(tmp_path, 2) as second:
        assert {first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]} == {"0", "1"}
    with slot(tmp_path, 2) as again:
        assert again["CUDA_VISIBLE_DEVICES"] == "0"
    with slot(tmp_path, 1) as whole:
        assert whole == {}
