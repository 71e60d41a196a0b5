import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from touchstone.tracking.run import Run

pytest.importorskip("trackio", reason="trackio is not installed")

TINY = (
    "train",
    "data=digits",
    "model.width=8",
    "every.log=128",
    "every.evaluation=128",
    "metrics=none",
    "logger=trackio",
)

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

# A process of its own for each: trackio settles where it writes when it is imported.
START = """
import math, sys
from pathlib import Path
from PIL import Image
from touchstone.tracking import loggers
from touchstone.tracking.figures import Figure
from touchstone.tracking.run import Run

run = Run.create(Path(sys.argv[1]), "name", "", {})
"""


@pytest.fixture
def script(environment: dict[str, str], tmp_path: Path) -> Cli:
    """Runs Python with a run at hand, in a folder `runs`."""

    def run(text: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-c", START + text, str(tmp_path / "runs")],
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """A table of trackio's database, as SQLite itself reads it."""
    with sqlite3.connect(folder / "trackio" / "touchstone.db") as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"select * from {table} order by id")]


def logged(folder: Path) -> list[tuple[int, dict[str, Any]]]:
    """What was logged, each with its step."""
    return [(row["step"], json.loads(row["metrics"])) for row in rows(folder, "metrics")]


def test_a_run_and_what_resumes_it_are_one(
    cli: Cli, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "runs"
    done = cli(*TINY, "images=256", "logger.trackio.group=mine")
    (path,) = folder.glob("2*")
    run = Run(path)
    cli("train", f"resume={path}", "images=384")

    found = logged(folder)
    curves = [(step, item) for step, item in found if "loss/generator" in item]
    lines = list(run.metrics())
    assert [step for step, _ in curves] == [line["images"] for line in lines] == [128, 256, 384]
    for (step, item), line in zip(curves, lines, strict=True):
        assert item | {"images": step} == pytest.approx(line, rel=1e-6)

    identity = run.environment["id"]
    assert {row["run_id"] for row in rows(folder, "metrics")} == {identity}
    assert {row["run_name"] for row in rows(folder, "metrics")} == {run.name}
    (row,) = rows(folder, "configs")
    config = json.loads(row["config"])
    assert row["run_id"] == identity
    assert (config["model"]["width"], config["images"], config["_Group"]) == (8, 384, "mine")

    pictures = [(step, item["samples"]) for step, item in found if "samples" in item]
    assert [step for step, _ in pictures] == [128, 256, 384]
    for step, picture in pictures:
        kept = Image.open(folder / "trackio" / "media" / picture["file_path"]).convert("L")
        assert kept.tobytes() == Image.open(path / "samples" / f"{step:09d}.png").tobytes()
        assert picture["caption"] == f"{step} images"

    assert "rackio" not in done.stdout + done.stderr
    assert not list(Path(environment["HOME"]).rglob("*trackio*"))


def test_figures_pictures_and_no_numbers_without_a_word_or_a_connection(
    script: Cli, tmp_path: Path
) -> None:
    done = script(
        """
reached = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        reached.append(arguments[1:])
sys.addaudithook(hook)
logger = loggers.trackio(run, project="touchstone")
logger.log_metrics({"loss": math.nan, "other": -math.inf, "right": 0.5}, step=64)
logger.log_image("samples", [Image.new("L", (2, 2), 7), Image.new("RGB", (2, 2), 8)], step=1064)
logger.log_figures([Figure("fid10k_fashion", 1.5, {"extractor": "fashion"}, "abc", 64)])
logger.finalize("success")
print(reached)
""",
        HF_TOKEN="hf_of_somebody",  # whose name trackio would ask for
        HF_ENDPOINT="http://127.0.0.1:9",
    )
    (_, numbers), (_, first), (_, second), (step, figure) = logged(tmp_path / "runs")

    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert json.loads(rows(tmp_path / "runs", "configs")[0]["config"])["_Username"] is None
    assert numbers == {"loss": "NaN", "other": "-Infinity", "right": 0.5}
    assert [*first, *second] == ["samples", "samples/1"]
    assert first["samples"]["caption"] == "1,064 images"
    assert step == 64
    report = figure["figures/fid10k_fashion"]["_value"]
    assert "### fid10k_fashion\n" in report
    assert "- protocol: {'extractor': 'fashion'}\n- generator: abc\n- images: 64\n" in report


def test_what_cannot_be_used_is_said_and_left_out(script: Cli, tmp_path: Path) -> None:
    done = script("""
import os

def attempt():
    assert loggers.trackio(run, project="touchstone") is None

os.environ["LOCAL_RANK"] = "1"  # a job's further process, which logs nothing and says nothing
attempt()
del os.environ["LOCAL_RANK"]
sys.modules["trackio"] = None
attempt()
del sys.modules["trackio"]
assert not (run.path.parent / "trackio").exists()
folder = run.path.parent / "trackio"
folder.touch()
attempt()
folder.unlink()
run = Run.create(run.path.parent / "more", "name", "", {})
attempt()
""")
    missing, obstructed, elsewhere = done.stderr.splitlines()
    start = "trackio is left out: "
    assert missing == f"{start}it is not installed (pip install 'touchstone[dashboard]')"
    assert obstructed.startswith(f"{start}[Errno 17] File exists: ")
    assert elsewhere == f"{start}this process logs to {tmp_path / 'runs' / 'trackio'} already"
    assert done.stdout == ""
