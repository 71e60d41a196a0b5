import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from omegaconf import OmegaConf

from touchstone.cli.case_of_run import Trainings
from touchstone.cli.retraining import Retraining
from touchstone.data import digits
from touchstone.data.images import content_hash
from touchstone.data.split import Split
from touchstone.data.tables import table
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.audit import Sides, looked_for
from touchstone.tracking.run import Run
from touchstone.trained import load

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
Train = Callable[..., Path]
FILES = ("real=real.csv", "synthetic=synthetic.csv", "holdout=holdout.csv")


def people(number: int, seed: int) -> pl.DataFrame:
    draws = torch.Generator().manual_seed(seed)
    ages = torch.randint(18, 90, (number,), generator=draws)
    wages = (100 * torch.randn(number, generator=draws) + ages).round()
    towns = torch.randint(3, (number,), generator=draws)
    ill = ages + 30 * torch.randn(number, generator=draws) > 50
    return pl.DataFrame(
        {
            "number": range(seed * 10_000, seed * 10_000 + number),
            "age": ages.numpy(),
            "wage": wages.long().numpy(),
            "town": [("Ulm", "Bonn", "Jena")[int(town)] for town in towns],
            "ill": [("no", "yes")[int(one)] for one in ill],
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables of people: members, others, and what copies or never saw the members."""
    people(300, 1).write_csv(tmp_path / "real.csv")
    people(500, 2).write_csv(tmp_path / "holdout.csv")
    people(300, 3).write_csv(tmp_path / "synthetic.csv")
    people(300, 1).write_parquet(tmp_path / "copies.parquet")
    return tmp_path


def told(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "audit.json").read_text())
    return content


def test_tables_that_others_made(folder: Path, here: Cli) -> None:
    done = here("audit", *FILES, "target=ill", "groups=town", "sensitive=[ill,wage]", "to=out")
    first, *points, page, content = done.stdout.splitlines()
    assert first.startswith("No leak")
    assert [point.split(".")[0] for point in points] == [
        "- Membership",
        "- Membership of outliers",
        "- Sensitive columns",
        "- Lower bound on epsilon",
        "- Use",
    ]
    assert (page, content) == ("out/audit.html", "out/audit.json")
    said = told(folder / "out")
    assert said["verdict"] == first
    assert said["accused_by"] == []
    assert said["promise"] is None
    assert said["figures"]["leakage/nearest/auc"] < 0.6
    assert {"use/tstr/gradient_boosting/auc", "use/fairness/demographic_parity"} <= said[
        "figures"
    ].keys()
    assert (
        said["protocol"]
        | {
            "members": 300,
            "holdout": 500,
            "synthetic": 300,
            "asked_members": 300,
            "asked_others": 250,
            "attackers_own": 250,
            "seed": 0,
            "files": dict(word.split("=") for word in FILES),
        }
        == said["protocol"]
    )
    assert said["marginals"].keys() == {"age", "wage", "town", "ill"}  # the number is a key
    text = (folder / "out" / "audit.html").read_text()
    assert "Audit of synthetic.csv" in text
    assert not re.search(r"https?:|<script|url\(", text)


def test_copies_are_accused_loudly_though_their_file_is_of_another_kind(
    folder: Path, here: Cli
) -> None:
    done = here("audit", FILES[0], FILES[2], "synthetic=copies.parquet")
    assert done.stdout.startswith("These records give people away: an attacker can tell, almost")
    said = told(folder)  # beside the synthetic records
    assert said["figures"]["leakage/auc"] >= 0.9
    assert said["figures"]["leakage/copies/exact"] == 1
    assert "nearest" in said["accused_by"]
    # No more than is asked for is looked at, and the same each time.
    here("audit", FILES[0], FILES[2], "synthetic=copies.parquet", "records=100", "synthetics=200")
    cut = told(folder)
    names = ("asked_members", "asked_others", "attackers_own", "synthetic")
    assert [cut["protocol"][name] for name in names] == [100, 100, 100, 200]
    here("audit", FILES[0], FILES[2], "synthetic=copies.parquet", "records=100", "synthetics=200")
    assert told(folder) == cut


def test_arrays_of_pictures(tmp_path: Path, here: Cli) -> None:
    draws = np.random.default_rng(0)
    kinds = {key: draws.integers(0, 256, (60, 8, 8, 1), np.uint8) for key in ("real", "holdout")}
    kinds["synthetic"] = kinds["real"]
    for key, pixels in kinds.items():
        np.savez(tmp_path / f"{key}.npz", samples=pixels)
    words = [f"{key}={key}.npz" for key in kinds]
    done = here("audit", *words, "to=out")
    assert done.stdout.startswith("These records give people away")
    said = told(tmp_path / "out")
    assert said["protocol"]["features"] == 64
    assert said["figures"]["leakage/nearest/auc"] == 1
    assert not [name for name in said["figures"] if name.startswith("use/")]
    done = here("audit", *words, "target=ill", status=1)
    assert done.stderr == "touchstone: target=ill: the records are no table: leave target out\n"


def test_large_pictures_are_compared_by_an_extractors_features(
    tmp_path: Path, train: Train, here: Cli
) -> None:
    size = ("data.resolution=64", "model.width=4")  # pictures of 4,096 numbers
    run = train("data=digits", *size, "images=64", "batch_size=16", "subset=80")
    here("audit", f"run={run.name}", "to=run")
    protocol = told(tmp_path / "run")["protocol"]
    assert protocol["features"] == 64
    assert protocol["extractor"]
    assert protocol["attacks"].endswith("nearest,discriminator")

    draws = np.random.default_rng(0)
    for key in ("real", "holdout"):
        pixels = draws.integers(0, 256, (40, 36, 36, 3), np.uint8)
        np.savez(tmp_path / f"{key}.npz", samples=pixels)
    words = ["real=real.npz", "synthetic=real.npz", "holdout=holdout.npz"]
    here("audit", *words, "extractor=fashion", "to=arrays")
    said = told(tmp_path / "arrays")
    assert said["protocol"]["features"] == 64
    assert said["figures"]["leakage/nearest/auc"] == 1
    done = here("audit", *words, "extractor=fashio", status=1)
    assert done.stderr.startswith("touchstone: extractor=fashio is unknown")


def test_a_run_of_pictures(tiny_run: Path, tmp_path: Path, here: Cli) -> None:
    run = tmp_path / "runs" / "digits"
    shutil.copytree(tiny_run, run)
    config = OmegaConf.load(run / "config.yaml")
    config.update(subset=300)
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config))
    done = here("audit", "run=digits", "records=150", "shadows=4")
    page, content = done.stdout.splitlines()[-2:]
    assert re.fullmatch(r"runs/digits/audits/[\d_-]+/audit.html", page)
    said = told(tmp_path / Path(content).parent)
    assert said["protocol"]["members"] == said["protocol"]["synthetic"] == 300
    assert said["protocol"]["subset"] == 300
    assert said["protocol"]["attacks"].endswith("nearest,discriminator")
    # The same figures stand in the run's record, each with its protocol.
    figures = {figure.name: figure for figure in Run(run).figures()}
    assert {name: figure.value for name, figure in figures.items()} == said["figures"]
    assert figures["leakage/shadow/auc"].protocol["shadows"] == 4
    headline = figures["leakage/discriminator/auc"]
    assert headline.images == 640
    assert headline.generator
    assert headline.protocol["data"] == said["protocol"]["data"]
    assert not headline.higher_is_better
    last = list(Run(run).metrics())[-1]
    assert last["leakage/auc"] == said["figures"]["leakage/auc"]

    done = here("audit", "run=digits", "canaries=100", status=1)
    assert done.stderr.splitlines()[-1] == "touchstone: canaries=100: they are rows of a table"

    # A private run has promised something, and does not give away its discriminator.
    summary = Run(run).summary | {"privacy": {"epsilon": 2.5, "delta": 1e-4}}
    Run(run).summarize(summary)
    config.update(privacy={"epsilon": 3, "delta": 1e-4})
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config))
    done = here("audit", "run=digits", "records=150", "to=private")
    said = told(tmp_path / "private")
    assert said["promise"] == {"epsilon": 2.5, "delta": 1e-4}
    assert said["protocol"]["delta"] == 1e-4
    assert said["protocol"]["attacks"] == "density_ratio,kernel_density,nearest"
    assert "that of a private run is not released" in said["notes"][0]
    assert "where 2.5 was promised" in done.stdout


def test_generators_are_trained_like_the_run_s(folder: Path, train: Train, here: Cli) -> None:
    people(300, 1).write_csv(folder / "people.csv")
    words = ["data=table", "data.path=people.csv", "data.target=ill", "model=mlp_table"]
    run = train(
        *words, "model.width=8", "loss=vanilla", "batch_size=20", "images=400", "subset=200"
    )
    again = ["audit", f"run={run.name}", "records=40", "shadows=4", "canaries=20"]
    own = {"TOUCHSTONE_CACHE": str(folder / "cache")}
    done = here(*again, "to=first", **own)
    assert [line for line in done.stderr.splitlines() if line.startswith("training ")] == [
        f"training {number} of 5, like the run's" for number in range(1, 6)
    ]
    said = told(folder / "first")
    assert (said["protocol"]["shadows"], said["protocol"]["canaries"]) == (4, 20)
    assert 0 <= said["figures"]["leakage/shadow/auc"] <= 1
    assert {
        f"leakage/canaries/{name}/auc" for name in said["protocol"]["attacks"].split(",")[:3]
    } <= set(said["figures"])
    # What was trained is kept: nothing is trained twice, and the figures are the same.
    done = here(*again, "to=second", **own)
    assert "training " not in done.stderr
    assert told(folder / "second")["figures"] == said["figures"]


def test_a_shadow_model_is_trained_on_all_members_but_those_left_out(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members, holdout = (digits.load(split=split) for split in ("train", "test"))
    taken = Sides(torch.zeros(9, 1024), torch.zeros(9, 1024), torch.zeros(3, 1024))
    settings = {"shadows": 4, "canaries": 0, "cache_dir": str(tmp_path), "device": "cpu", "seed": 0}
    seen: list[tuple[str, int]] = []

    def trained(self: Retraining, records: Split, seed: int) -> torch.nn.Module:
        seen.append((records.content_hash, seed))
        return load(tiny_run).generator

    monkeypatch.setattr(Retraining, "__call__", trained)
    more = Trainings(OmegaConf.create(settings), OmegaConf.create(), members, holdout, taken)
    made = more.shadows().train(torch.tensor([3, 1]), torch.tensor([5, 2]), 7)
    assert made.shape == (3, 1024)
    kept = torch.tensor([0, 2, *range(4, len(members))])
    pixels = torch.cat([members.pixels[kept], holdout.pixels[torch.tensor([5, 2])]])
    assert seen == [(content_hash(pixels), 7)]


def test_canaries_are_asked_about_as_they_were_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(600, 1).write_csv(tmp_path / "people.csv")
    members, holdout = (
        table.load(tmp_path / "people.csv", split, cache=tmp_path) for split in ("train", "test")
    )
    taken = Sides(members.values, holdout.values, members.values)
    settings = {"shadows": 0, "canaries": 100, "cache_dir": str(tmp_path), "device": "cpu"}
    monkeypatch.setattr(Trainings, "_made", lambda self, records, seed: records.values)  # a copier
    saved = OmegaConf.create(settings | {"seed": 0})
    more = Trainings(saved, OmegaConf.create(), members, holdout, taken)
    found = looked_for(more.planting(), {"nearest": Nearest()}, 1e-5, 0.95)
    assert found["nearest"].area.value == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name either run=RUN, or real=…, synthetic=… and holdout=…, to be audited"),
        (FILES[:2], "holdout=null: name records of the same kind that the generator was not tr"),
        (FILES[1:], "real=null: name the records that the generator was trained on"),
        ([FILES[0], FILES[2]], "synthetic=null: name the records that the generator made"),
        (["run=x", FILES[0]], "real=…: a run is audited with its own data: leave real out"),
        (["run=x", "target=ill"], "target=…: a run is audited with its own data"),
        (["run=x"], "run=x: no run, for it does not exist"),
        ([*FILES, "records=1"], "records=1: it has to be a whole number, 2 or more"),
        ([*FILES, "shadows=16"], "shadows=16: only a run can be trained once more"),
        (["run=x", "shadows=3"], "shadows=3: it has to be 0, or a whole number of 4 or more"),
        (["run=x", "canaries=true"], "canaries=True: it has to be 0, or a whole number of 20 or"),
        ([*FILES, "sensitive=ill"], "sensitive=ill: it has to be a list of columns, as [ill]"),
        ([*FILES, "sensitive=[il]"], "sensitive=il: it has to be a column that varies"),
        ([*FILES, "target=il"], "target=il: there is no such column"),
        ([*FILES[:2], "holdout=none.csv"], "holdout=none.csv: there is no such file"),
        ([*FILES[:2], "holdout=real.csv"], "holdout=real.csv: these are the very records of re"),
        ([*FILES[:2], "holdout=other.csv"], "holdout=other.csv has no column age, wage"),
        ([*FILES[:2], "holdout=folder"], "real=real.csv, synthetic=synthetic.csv, holdout=fol"),
        ([*FILES, "++columns.wage.kind=cat"], "columns.wage.kind=cat: it has to be one of"),
        ([*FILES, "groups=town"], "groups=town: fairness is of a prediction: name a target=…"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: list[str], message: str, folder: Path, here: Cli
) -> None:
    people(20, 4).select("number", "town", "ill").write_csv(folder / "other.csv")
    (folder / "folder").mkdir()
    done = here("audit", *words, status=1)
    assert done.stderr.splitlines()[-1].startswith(f"touchstone: {message}")
    assert not list(folder.rglob("audit.*"))


def test_help_helps(cli: Cli) -> None:
    done = cli("audit", "--help")
    assert "touchstone audit run=RUN" in done.stdout
    assert "records: 5000" in done.stdout
