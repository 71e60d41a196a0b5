import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from touchstone.tracking import loggers
from touchstone.tracking.run import Run

KEY = "0123456789abcdef0123456789abcdef01234567"
TINY = (
    "train",
    "data=digits",
    "model.width=8",
    "images=256",
    "every.log=128",
    "every.evaluation=128",
    "metrics=none",
)

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs", "name", "seed: 0\n", {})


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with an empty home and no key."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(variable, raising=False)


def only(paths: Iterator[Path]) -> Path:
    (path,) = paths
    return path


def records(folder: Path) -> list[dict[str, Any]]:
    """What W&B itself reads in an offline run."""
    words = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_run_without_a_key_is_recorded_offline(cli: Cli, tmp_path: Path) -> None:
    done = cli(*TINY, "logger=wandb")
    run = Run(only((tmp_path / "runs").iterdir()))
    offline = only((run.path / "wandb").glob("offline-run-*"))
    found = records(offline)

    (config,) = (record["config"]["update"] for record in found if record["type"] == "config")
    assert config["loss"]["adversarial"]["_target_"] == "touchstone.losses.Vanilla"
    assert config["model"]["width"] == 8
    assert config["images"] == 256
    history = [record["history"]["item"] for record in found if record["type"] == "history"]
    curves = [item for item in history if "loss/generator" in item]
    assert [item["images"] for item in curves] == [128, 256]
    for item, line in zip(curves, run.metrics(), strict=True):
        for name, value in line.items():
            assert item[name] == pytest.approx(value, rel=1e-6), name
    (axis,) = (record["metric"] for record in found if record["type"] == "metric")
    assert (axis["glob_name"], axis["step_metric"]) == ("*", "images")
    (started,) = (record["run"] for record in found if record["type"] == "run")
    assert started["run_id"] == run.environment["id"]
    assert started["display_name"] == run.name
    assert started["project"] == "touchstone"

    kept = sorted((offline / "files" / "media" / "images").glob("samples_*.png"))
    own = sorted((run.path / "samples").glob("*.png"))
    assert len(kept) == len(own) == 2
    tiles = {Image.open(path).tobytes() for path in kept}
    assert tiles == {Image.open(path).tobytes() for path in own}

    shown = offline.relative_to(tmp_path)
    assert f"wandb sync {shown}\n" in done.stdout
    assert f"wandb leet {shown.parent}\n" in done.stdout


def test_figures_computed_afterwards_go_to_the_same_run(cli: Cli, tmp_path: Path) -> None:
    cli(*TINY, "logger=wandb", "sweep=mine")
    run = Run(only((tmp_path / "runs").iterdir()))
    cli("evaluate", f"run={run.path}", "protocol.generated=100", "metrics.interval=null")
    [figure] = run.figures()
    found = records(max((run.path / "wandb").glob("offline-run-*")))

    (started,) = (record["run"] for record in found if record["type"] == "run")
    assert started["run_id"] == run.environment["id"]
    assert started["run_group"] == "mine"  # the sweep's
    history = [record["history"]["item"] for record in found if record["type"] == "history"]
    [item] = [item for item in history if figure.name in item]
    assert item[figure.name] == pytest.approx(figure.value)
    assert item["images"] == 256
    summary = [record["summary"] for record in found if record["type"] == "summary"]
    assert figure.protocol["features"] in json.dumps(summary)
    assert str(figure.generator) in json.dumps(summary)


def test_csv_and_tensorboard_together(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(train(*TINY[1:], "logger=[csv,tensorboard]"))
    lines = list(run.metrics())

    header, *rows = (run.path / "csv" / "metrics.csv").read_text().splitlines()
    table = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    assert [row["step"] for row in table] == ["128", "256"]
    for row, line in zip(table, lines, strict=True):
        assert float(row["loss/generator"]) == line["loss/generator"]

    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    for name in lines[0].keys() - {"images"}:
        points = [(point.step, point.value) for point in events.Scalars(name)]
        assert points == [(line["images"], pytest.approx(line[name], rel=1e-6)) for line in lines]
    assert [image.step for image in events.Images("samples")] == [128, 256]
    (text,) = events.Tensors("configuration/text_summary")
    assert b"batch_size: 64" in text.tensor_proto.string_val[0]

    folder = (run.path / "tensorboard").relative_to(tmp_path)
    assert f"tensorboard --logdir {folder}\n" in capsys.readouterr().out
    assert not (run.path / "wandb").exists()


def test_a_key_without_a_network_fails_no_run_and_is_written_nowhere(
    cli: Cli, tmp_path: Path
) -> None:
    done = cli(
        *TINY,
        "logger=wandb",
        WANDB_API_KEY=KEY,
        WANDB_BASE_URL="http://127.0.0.1:9",  # where nobody listens
        WANDB_INIT_TIMEOUT="1",
    )
    run = Run(only((tmp_path / "runs").iterdir()))
    found = records(only((run.path / "wandb").glob("offline-run-*")))

    assert "Weights & Biases (online) is left out" in done.stderr
    assert run.summary["status"] == "finished"
    history = [record["history"]["item"] for record in found if record["type"] == "history"]
    assert {item["images"] for item in history} == {128, 256}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert KEY not in done.stdout + done.stderr


@pytest.mark.usefixtures("stranger")
def test_where_a_key_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert not loggers.has_key()

    (home / ".netrc").write_text(f"machine example.org login user password {KEY}\n")
    assert not loggers.has_key()
    (home / ".netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    assert loggers.has_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org/path")
    assert not loggers.has_key()
    (home / ".netrc").write_text(f"machine wandb.example.org login user password {KEY}\n")
    assert loggers.has_key()
    (home / ".netrc").write_text("no netrc at all")
    assert not loggers.has_key()

    monkeypatch.setenv("NETRC", str(home / "mine"))
    (home / "mine").write_text(f"machine wandb.example.org login user password {KEY}\n")
    assert loggers.has_key()
    monkeypatch.delenv("NETRC")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert loggers.has_key()


def test_the_record_writes_figures_and_pictures(run: Run) -> None:
    record = loggers.Record(run)
    record.log_metrics({"loss": 0.5, "bad": math.nan}, step=64)
    record.log_image("samples", [Image.new("L", (2, 2), 7), Image.new("L", (2, 2), 8)], step=64)

    assert list(run.metrics()) == [{"images": 64, "loss": 0.5, "bad": None}]
    assert (record.name, record.version) == (run.name, "")
    folder = run.path / "samples"
    names = ["000000064.png", "000000064_1.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert [Image.open(folder / name).getpixel((0, 0)) for name in names] == [7, 8]
