"""A run that is killed, interrupted or finished goes on, bit for bit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

SETTINGS = [
    "model=dcgan",
    "loss=wgan_gp",
    "penalty=[lecam]",
    "schedule=cosine",
    "augmentation=instance_noise",
    "model.width=8",
    "data=digits",
    "logger=none",
    "protocol.generated=100",
    "every.log=320",
    "every.evaluation=6400",
    "every.checkpoint=960",
]
BUDGET = "images=32000"
CLOCKS = ("seconds", "speed/", "memory/")


def leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and value of a checkpoint, by its place."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, f"{name}/{key}")
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from leaves(value, f"{name}/{index}")
    else:
        yield name, content


def state(run: Path, which: str = "last") -> dict[str, Any]:
    """What a run came to: all but clocks, and Lightning's count of optimizers' steps."""
    content = torch.load(run / "checkpoints" / f"{which}.ckpt", weights_only=True)
    return {
        name: value
        for name, value in leaves(content)
        if name != "/global_step" and not name.endswith(CLOCKS[0])
    }


def record(run: Path) -> dict[int, dict[str, float]]:
    """The record's quantities by images, of two lines for the same the later one."""
    merged: dict[int, dict[str, float]] = {}
    for text in (run / "metrics.jsonl").read_text().splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # cut short by a kill
        quantities = {key: value for key, value in line.items() if not key.startswith(CLOCKS)}
        merged.setdefault(line["images"], {}).update(quantities)
    return merged


def assert_equal(one: Path, other: Path) -> None:
    """Two runs came to the same, bit for bit."""
    for which in ("last", "best"):
        first, second = state(one, which), state(other, which)
        assert first.keys() == second.keys()
        for name, value in first.items():
            given = second[name]
            assert torch.equal(value, given) if torch.is_tensor(value) else value == given, name
    assert record(one) == record(other)
    pictures = sorted(path.name for path in (one / "samples").glob("*.png"))
    assert pictures == sorted(path.name for path in (other / "samples").glob("*.png"))
    for name in pictures:
        assert (one / "samples" / name).read_bytes() == (other / "samples" / name).read_bytes()


class Job:
    """A training process that can be killed."""

    def __init__(self, folder: Path, environment: dict[str, str], *words: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "touchstone", "train", *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def run(self) -> Path:
        (run,) = (self.folder / "runs").iterdir()
        return run

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Waits until the condition holds; False where the process has ended before."""
        while self.process.poll() is None:
            if condition():
                return True
            time.sleep(0.001)
        return False

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        _, said = self.process.communicate()
        return self.process.returncode, said


@pytest.fixture(scope="module")
def unbroken(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    job = Job(folder, environment, *SETTINGS, BUDGET)
    assert job.process.wait() == 0
    return job.run


def test_ten_kills_change_nothing(
    unbroken: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """SIGKILL at ten random moments, one of them while a checkpoint is being written."""
    moments = random.Random(0)
    runs = tmp_path / "runs"

    def checkpointed() -> int:
        times = [path.stat().st_mtime_ns for path in runs.glob("*/checkpoints/last.ckpt")]
        return max(times, default=0)

    def writing() -> bool:
        return any(runs.glob("*/checkpoints/.last.ckpt.partial"))

    def start() -> Job:
        begun = list(runs.glob("*/config.yaml"))
        words = [f"resume={begun[0].parent}"] if begun else [*SETTINGS, BUDGET]
        return Job(tmp_path, environment, *words)

    for _ in range(2):  # at any time at all, perhaps before the run has a folder
        job = start()
        time.sleep(moments.uniform(0, 6))
        job.end(signal.SIGKILL)
    for _ in range(7):  # somewhere between two checkpoints
        job, before = start(), checkpointed()
        assert job.wait_for(lambda before=before: checkpointed() > before)  # type: ignore[misc]
        time.sleep(moments.uniform(0, 0.4))
        job.end(signal.SIGKILL)
    caught = False
    while not caught:  # in the middle of writing one; the file may just have got its name
        job = start()
        (partial := next(runs.glob("*/checkpoints")) / ".last.ckpt.partial").unlink(missing_ok=True)
        assert job.wait_for(writing)
        job.end(signal.SIGKILL)
        caught = partial.exists()

    job = start()
    assert job.process.wait() == 0
    assert len(list(runs.iterdir())) == 1
    assert_equal(unbroken, job.run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_a_checkpoint_and_says_how_to_go_on(
    unbroken: Path, environment: dict[str, str], tmp_path: Path, number: int
) -> None:
    job = Job(tmp_path, environment, *SETTINGS, BUDGET, "every.checkpoint=1000000")
    lines = tmp_path / "runs"
    assert job.wait_for(lambda: any(path.stat().st_size for path in lines.glob("*/metrics.jsonl")))
    status, said = job.end(number)
    assert status == 128 + number
    assert f"touchstone train resume=runs/{job.run.name}" in said
    assert "Traceback" not in said
    images = torch.load(job.run / "checkpoints" / "last.ckpt", weights_only=True)["images"]
    assert 0 < images < 32000
    assert json.loads((job.run / "summary.json").read_text())["status"] == "interrupted"

    last = Job(tmp_path, environment, f"resume={job.run}", "every.checkpoint=960")
    assert last.process.wait() == 0
    assert_equal(unbroken, last.run)


def test_a_finished_run_goes_on_with_more(train: Callable[..., Path]) -> None:
    settings = ["data=digits", "model.width=8", "batch_size=16", "every.log=16"]
    whole = train(*settings, "images=96")
    part = train(*settings, "images=48")
    assert train(f"resume={part}", "images=96") == part
    assert_equal_weights(whole, part)
    assert (part / "config.yaml").read_text() == (whole / "config.yaml").read_text()


def assert_equal_weights(one: Path, other: Path) -> None:
    first, second = state(one), state(other)
    for name, value in first.items():
        if torch.is_tensor(value):
            assert torch.equal(value, second[name]), name


def test_a_run_killed_before_its_first_checkpoint_starts_again(train: Callable[..., Path]) -> None:
    settings = ["data=digits", "model.width=8", "batch_size=16"]
    whole = train(*settings, "images=32")
    killed = train(*settings, "images=16")
    (killed / "checkpoints" / "last.ckpt").unlink()
    (killed / "summary.json").unlink()
    assert train(f"resume={killed}", "images=32") == killed
    assert_equal_weights(whole, killed)


def test_rerun_starts_a_new_run_from_the_saved_configuration(train: Callable[..., Path]) -> None:
    settings = ["data=digits", "batch_size=16", "images=32", "loss=hinge", "model.width=4"]
    first = train(*settings)
    again = train(f"rerun={first}")
    assert again != first
    assert_equal_weights(first, again)
    wider = train(f"rerun={first}", "model.width=8", "seed=3")
    assert wider.name.endswith("_dcgan_hinge_digits_s3")
    networks = json.loads((wider / "networks.json").read_text())
    assert networks["generator"]["width"] == networks["discriminator"]["width"] == 8


@pytest.fixture
def finished(tiny_run: Path, tmp_path: Path) -> Path:
    """A finished run of one's own, to be spoiled."""
    return Path(shutil.copytree(tiny_run, tmp_path / "runs" / tiny_run.name))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resume={run}"], "spent its budget of images=640; to go on, give it more: images=1280"),
        (["resume={run}", "seed=1"], "seed=1: a run that is resumed keeps its settings"),
        (["resume={run}", "loss=hinge"], "loss=hinge: a run that is resumed keeps its settings"),
        (["rerun={run}", "loss=hinge"], "loss=hinge: a saved configuration keeps its parts"),
        (["rerun={run}", "~model.width"], "~model.width: nothing can be taken out"),
        (["resume={run}/samples"], "no run, for it has no config.yaml"),
        (["resume=nowhere"], "resume=nowhere: no run, for it does not exist"),
        (["resume=true"], "resume=True: no run, for it does not exist"),
        (["rerun=3"], "rerun=3: no run, for it does not exist"),
        (["resume={run}", "rerun={run}"], "resume and rerun: name one of them, not both"),
    ],
)
def test_what_cannot_go_on_is_refused(
    train: Callable[..., Path],
    finished: Path,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    train(*(word.format(run=finished) for word in words), status=1)
    said = capfd.readouterr().err
    assert message in said
    assert said.count("\n") == 1, said
    assert before == {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "target", ["os.system", "builtins.eval", "torch.load", "touchstone.tracking.run.subprocess.run"]
)
def test_a_configuration_from_a_file_calls_parts_alone(
    train: Callable[..., Path], finished: Path, capfd: pytest.CaptureFixture[str], target: str
) -> None:
    config = (finished / "config.yaml").read_text()
    (finished / "config.yaml").write_text(
        config.replace("_target_: touchstone.losses.Vanilla", f"_target_: {target}")
    )
    train(f"rerun={finished}", status=1)
    assert f"_target_={target}: refused" in capfd.readouterr().err


def test_the_pictures_named_at_the_end_are_the_runs_own(
    train: Callable[..., Path], finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    samples = finished / "samples"
    for name in ("000000640.png", "last_n9_seed0.png", "last_n9_seed0.gif", "animation.gif"):
        (samples / name).touch()
    train(f"resume={finished}", "images=704")
    rows = [line.split() for line in capfd.readouterr().out.splitlines()]
    named = [words for words in rows if words and words[0] in ("samples", "animation")]
    place = f"runs/{finished.name}/samples"
    assert named == [["samples", f"{place}/000000704.png"], ["animation", f"{place}/animation.gif"]]


@pytest.mark.parametrize("damage", ["{{{", "- a list", "a: ${"])
@pytest.mark.parametrize("words", [["train", "resume={run}"], ["evaluate", "run={run}"]])
def test_a_damaged_configuration_is_refused(
    here: Cli, finished: Path, words: list[str], damage: str
) -> None:
    (finished / "config.yaml").write_text(damage)
    said = here(*(word.format(run=finished) for word in words), status=1).stderr
    assert said.startswith(f"touchstone: {finished}/config.yaml: damaged (")
    assert said.count("\n") == 1, said


@pytest.mark.parametrize("lost", ["checkpoints/last.ckpt", "checkpoints"])
@pytest.mark.parametrize("status", ["finished", "interrupted"])
def test_a_lost_checkpoint_is_refused(
    train: Callable[..., Path],
    finished: Path,
    capfd: pytest.CaptureFixture[str],
    lost: str,
    status: str,
) -> None:
    summary = finished / "summary.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"status": status}))
    (finished / lost).rename(finished.parent.parent / "lost")
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    train(f"resume={finished}", "images=1280", status=1)
    said = capfd.readouterr().err
    assert f"{finished / 'checkpoints' / 'last.ckpt'}: missing" in said
    assert said.count("\n") == 1, said
    assert before == {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_run_that_failed_before_its_first_checkpoint_starts_again(
    train: Callable[..., Path], finished: Path, status: str
) -> None:
    summary = finished / "summary.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"status": status}))
    (finished / "checkpoints" / "last.ckpt").unlink()
    assert train(f"resume={finished}") == finished
    assert json.loads(summary.read_text())["status"] == "finished"


@pytest.mark.parametrize("damage", ["truncated", "text", "code"])
def test_a_bad_checkpoint_is_refused(
    train: Callable[..., Path], finished: Path, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    checkpoint = finished / "checkpoints" / "last.ckpt"
    match damage:
        case "truncated":
            checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
        case "text":
            checkpoint.write_text("not a checkpoint")
        case "code":
            torch.save({"images": 16, "bomb": os.system}, checkpoint)
    train(f"resume={finished}", "images=1280", status=1)
    said = capfd.readouterr().err
    assert str(checkpoint) in said
    assert "Traceback" not in said
