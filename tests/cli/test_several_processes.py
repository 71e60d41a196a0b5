"""A run of two processes: signals, deaths, restarts, and going on as one."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

MODEL = ["data=digits", "logger=none", "metrics=none", "model=dcgan", "model.width=4"]
SETTINGS = [
    *MODEL,
    "loss=hinge",
    "model.normalization=layer",
    "schedule=cosine",
    "batch_size=16",
    "images=16000",
    "every.log=160",
    "every.checkpoint=160",
    "trainer.accelerator=cpu",
]
TWO = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts a process in the test's folder, which is ended with all that it has started."""
    started: list[subprocess.Popen[str]] = []

    def run(*command: str, **variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=environment | variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        for pid in (process.pid, *children(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def children(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    own = [number for number in numbers if status(number)[1:2] == [str(pid)]]
    return own + [later for child in own for later in children(child)]


def alive(pid: int) -> bool:
    return status(pid)[:1] not in ([], ["Z"])


def status(pid: int) -> list[str]:
    """A process's state, its parent and more; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def the_run(folder: Path) -> Path:
    (run,) = (folder / "runs").glob("2*")
    return run


def images(folder: Path) -> int:
    """The images of the last line that the run has written."""
    try:
        lines = (the_run(folder) / "metrics.jsonl").read_text().splitlines()
        return int(json.loads(lines[-1])["images"])
    except (OSError, ValueError, IndexError):
        return 0


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def state(run: Path) -> dict[str, Any]:
    return dict(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True))


def test_a_signal_stops_both_after_the_same_iteration_and_one_goes_on(
    start: Start, tmp_path: Path
) -> None:
    process = start("touchstone", "train", *SETTINGS, *TWO)
    wait_until(lambda: images(tmp_path) >= 320)
    second = [pid for pid in children(process.pid) if alive(pid)]
    process.send_signal(signal.SIGTERM)  # to the first alone
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "interrupted at" in said
    wait_until(lambda: not any(map(alive, second)), 10)

    shown = state(the_run(tmp_path))["images"]
    assert 320 <= shown < 16000
    budget = f"images={shown + 160}"
    alone = ["trainer=default", "trainer.accelerator=cpu"]
    process = start("touchstone", "train", f"resume={the_run(tmp_path)}", *alone, budget)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert state(the_run(tmp_path))["images"] == shown + 160
    assert f"going on at {shown:,}" in said


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_death_ends_the_other_process_with_a_message(
    start: Start, tmp_path: Path, which: str
) -> None:
    process = start("touchstone", "train", *SETTINGS, *TWO, "images=1600000")
    wait_until(lambda: images(tmp_path) >= 320)
    (second,) = [
        pid
        for pid in children(process.pid)
        if b"train" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(process.pid if which == "first" else second, signal.SIGKILL)
    started = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    wait_until(lambda: not alive(second), 60)
    assert time.monotonic() - started < 60
    if which == "second":
        # Lightning looks after its processes every five seconds, and may be the first to see it.
        assert "another process of this run has ended" in said or process.returncode == -9
        assert "Traceback" not in said


def test_torchrun_starts_a_run_again_where_it_was(start: Start, tmp_path: Path) -> None:
    process = start(
        *("torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=2"),
        *("-m", "touchstone", "train", *SETTINGS, *TWO, "images=4800"),
        # Without it a restarted process may be given the addresses of the dead ones.
        TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1",
    )
    wait_until(lambda: images(tmp_path) >= 320)
    wait_until(lambda: (the_run(tmp_path) / "checkpoints" / "last.ckpt").exists())
    victim = children(process.pid)[-1]
    os.kill(victim, signal.SIGKILL)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert re.search(r"going on at [\d,]+ of 4,800", said)
    run = the_run(tmp_path)  # the only one
    assert state(run)["images"] == 4800
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"


def test_srun_starts_processes_that_find_each_other(
    start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {
        **{"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "127.0.0.1"},
        **{"SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "1"},
        **{"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
    }
    words = [*SETTINGS, *TWO, "images=320", "trainer.devices=1", "trainer.num_nodes=2"]
    tasks = [
        start(
            *("touchstone", "train", *words),
            **shared,
            **{"SLURM_PROCID": str(n), "SLURM_NODEID": str(n), "SLURM_LOCALID": "0"},
        )
        for n in range(2)
    ]
    said = [task.communicate(timeout=120)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert state(the_run(tmp_path))["images"] == 320
    assert "training for 320 images" in said[0]
    assert said[1].strip() == ""  # one of them speaks for the job


def test_a_job_s_name_is_one_run_s(cli: Callable[..., Any], here: Callable[..., Any]) -> None:
    job = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "mine"}
    job |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "LOCAL_WORLD_SIZE": "1"}
    words = [*SETTINGS, "trainer.devices=1", "images=32"]
    cli("train", *words, **job)
    other = here("train", *words, "seed=1", status=1, **job)
    assert "torchrun-mine is already that of" in other.stderr
    again = here("train", *words, status=1, **job)
    assert "has spent its budget" in again.stderr


def test_processes_without_a_name_are_refused(cli: Callable[..., Any]) -> None:
    first = cli("train", *SETTINGS, status=1, RANK="0", LOCAL_RANK="0", WORLD_SIZE="2")
    assert first.stderr.startswith("touchstone: processes that others started have to know")
    second = cli("train", *SETTINGS, status=1, RANK="1", LOCAL_RANK="1", WORLD_SIZE="2")
    assert second.stderr == ""  # the first of the processes speaks for all


def test_the_tasks_of_a_sweep_s_job_train_together(start: Start, tmp_path: Path) -> None:
    """As submitit has srun run a job's function in every task; one has the charge of the job."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {
        **{"SLURM_JOB_ID": "78", "SLURM_JOB_NAME": "submitit", "SLURM_NODELIST": "127.0.0.1"},
        **{"SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "1"},
        **{"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "SLURM_LOCALID": "0"},
    }
    words = [*SETTINGS, *TWO, "images=320", "trainer.devices=1", "trainer.num_nodes=2", "sweep=s"]
    first = start("touchstone", "train", "-m", *words, **shared, SLURM_PROCID="0", SLURM_NODEID="0")
    wait_until(lambda: (tmp_path / "runs" / "sweeps" / "s" / "jobs").is_dir())
    other = {"SLURM_PROCID": "1", "SLURM_NODEID": "1"}
    second = start("touchstone", "train", "-m", *words, "resume=true", **shared, **other)
    said = [task.communicate(timeout=120)[1] for task in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    (outcome,) = (tmp_path / "runs" / "sweeps" / "s" / "jobs").glob("*.json")
    assert json.loads(outcome.read_text())["status"] == "finished"
    assert state(the_run(tmp_path))["images"] == 320


def test_processes_meet_in_runs_dir_wherever_the_run_lies(start: Start, tmp_path: Path) -> None:
    words = [*SETTINGS, "trainer.devices=1", "images=320"]
    begun = start("touchstone", "train", *words, "runs_dir=elsewhere")
    _, said = begun.communicate(timeout=100)
    assert begun.returncode == 0, said
    (run,) = (tmp_path / "elsewhere").glob("2*")
    process = start(
        *("torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *("-m", "touchstone", "train", f"resume={run}", "images=480", *TWO),
    )
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert state(run)["images"] == 480
