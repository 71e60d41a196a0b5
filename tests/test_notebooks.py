import base64
import csv
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import nbformat
import numpy as np
import polars as pl
import pytest
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

Execute: TypeAlias = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def execute(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Execute:
    """Runs a notebook from top to bottom in the test's folder; gives its outputs.

    In its text each word that is given is replaced by another.
    """
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # The kernel's `touchstone` is the one of the Python that runs the tests.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def run(name: str, words: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, Any]]:
        (path,) = (path for path in NOTEBOOKS if path.stem == name)
        text = path.read_text()
        for word, other in words.items():
            assert word in text
            text = text.replace(word, other)
        notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
        NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path)}},
        ).execute()
        return [output for cell in notebook.cells for output in cell.get("outputs", [])]

    return run


def pictures(outputs: list[dict[str, Any]]) -> list[Image.Image]:
    """Those that were shown."""
    shown = [
        output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]
    return [Image.open(BytesIO(base64.b64decode(one))) for one in shown]


def test_two_runs_are_trained_looked_at_and_compared(execute: Execute, tmp_path: Path) -> None:
    outputs = execute("train_look_compare", {"images=12_800": "images=1_280"})

    assert len(pictures(outputs)) == 2
    assert len(list((tmp_path / "runs").glob("*_s0"))) == 2


def test_genuine_pictures_lead_to_verdicts(execute: Execute, tmp_path: Path) -> None:
    outputs = execute("genuine_or_counterfeit")

    with (tmp_path / "verdicts" / "detections.csv").open() as file:
        lines = list(csv.DictReader(file))
    said = Counter((line["file"].split("-")[0], line["verdict"]) for line in lines)
    assert len(lines) == 5 * 200 + 10
    assert said["genuine", "genuine"] > 180  # one in twenty may be refused
    assert said["photocopy", "counterfeit"] > 190
    assert said["voted", "counterfeit"] > 190
    assert 120 < said["estimated", "counterfeit"] <= said["other_press", "counterfeit"] < 200
    assert said["blurred", "cannot tell"] == 10
    assert (tmp_path / "verdicts" / "detections.html").exists()

    codes, histograms, maps = pictures(outputs)
    for one in (codes, histograms, maps):
        assert np.asarray(one.convert("L")).std() > 20
    assert reddish(maps) > 0.02
    assert reddish(codes) == 0

    printed = [output["text"] for output in outputs if output.get("name") == "stdout"]
    _, area, rates = re.split(
        r"AUROC of the pixels: |asked for  refused  at most\n", "".join(printed)
    )
    assert 0.9 < float(area) < 1
    asked, refused, at_most = np.loadtxt(rates.replace("%", "").splitlines(), unpack=True)
    assert asked.tolist() == [1, 5, 10]
    np.testing.assert_allclose(refused, asked, atol=2)
    # Of Beta(k, 501 - k) the 95 % quantile, k being 5, 25 and 50.
    assert at_most.tolist() == [1.8, 6.7, 12.3]


def test_records_are_made_and_audited_and_privacy_is_promised(
    execute: Execute, tmp_path: Path
) -> None:
    pytest.importorskip("opacus")
    small = {
        "10_000": "1_000",
        "images=1_000_000": "images=12_500",
        "images=600_000": "images=12_800",
    }
    outputs = execute("private_records", small)

    printed = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    assert "email: an e-mail address" in printed
    assert re.search("patient +key +made anew", printed)

    people = pl.read_csv(tmp_path / "people.csv", try_parse_dates=True).drop("email")
    for name in ("made", "private"):
        frame = pl.read_csv(tmp_path / f"{name}.csv", try_parse_dates=True)
        assert frame.schema == people.schema
        assert frame["patient"].to_list() == list(range(1, 1_001))
        assert set(frame["job"]) <= set(people["job"])
    drivers = pl.read_parquet(tmp_path / "drivers.parquet")
    assert drivers.schema == people.schema
    assert len(drivers) == 200
    assert drivers["age"].is_between(40, 60).all()
    assert set(drivers["job"]) == {"driver"}
    assert set(drivers["sex"]) == {"female"}

    made, blurred, private = (
        json.loads((tmp_path / f"audit_{name}" / "audit.json").read_text())
        for name in ("made", "blurred", "private")
    )
    assert set(blurred["accused_by"]) == {"density_ratio", "kernel_density", "nearest"}
    assert blurred["figures"]["leakage/auc"] > 0.9
    for one in (made, private):
        assert one["figures"]["leakage/auc"] < 0.6
        assert one["figures"]["leakage/copies/exact"] < 0.01
    assert made["promise"] is None
    assert 2.9 < private["promise"]["epsilon"] <= 3
    assert private["figures"]["leakage/epsilon"] < private["promise"]["epsilon"]
    assert len(list(tmp_path.glob("audit_*/audit.html"))) == 3

    (secret,) = tmp_path.glob("runs/*/secret")
    assert secret.parent == max(tmp_path.glob("runs/*_mlp_table_*"))
    assert secret.read_bytes() not in (secret.parent / "generator.safetensors").read_bytes()
    for one in pictures(outputs):
        assert np.asarray(one.convert("L")).std() > 20
    assert len(pictures(outputs)) == 2


def reddish(picture: Image.Image) -> float:
    """The share of pixels that are red."""
    red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), dtype=int), 2, 0)
    return float(((red > green + 60) & (red > blue + 60)).mean())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_tells_nothing_of_a_machine(path: Path) -> None:
    assert path.stat().st_size < 300_000
    text = path.read_text()
    for word in ("/home/", "/root/", "/tmp/", "Traceback"):
        assert word not in text
