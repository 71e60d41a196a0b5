import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from touchstone.cli.compare import compare
from touchstone.cli.front import register_resolvers
from touchstone.errors import UsageError

pytest.importorskip("plotly")

CONF = Path(__file__).parents[2] / "conf"
Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def settings(*words: str) -> DictConfig:
    """What Hydra composes of a command line's words."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("compare", overrides=list(words))


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three losses of three seeds, one of which is far from the others; a broken run."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    for loss, mean in (("hinge", 2.0), ("vanilla", 2.1), ("wgan_gp", 9.0)):
        for seed in range(3):
            write_run(folder / f"{loss}_s{seed}", loss, seed, mean + 0.1 * seed)
    (folder / "broken").mkdir()
    return folder


def write_run(path: Path, loss: str, seed: int, value: float, status: str = "finished") -> None:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(f"seed: {seed}\nsweep: null\nloss:\n  name: {loss}\n")
    environment = {"started": f"2026-11-0{seed + 1}T12:00:00", "versions": {"touchstone": "0"}}
    (path / "environment.json").write_text(json.dumps(environment))
    figures = [
        {
            "name": name,
            "value": value * factor,
            "protocol": {"seed": 0},
            "images": 1000,
            "higher_is_better": name.startswith("recall"),
        }
        for name, factor in (("fid10k_fashion", 1), ("recall10k_fashion", 0.1))
    ]
    (path / "figures.jsonl").write_text("".join(json.dumps(line) + "\n" for line in figures))
    (path / "summary.json").write_text(json.dumps({"status": status, "images": 1000}))


def test_all_runs_from_the_command_line(cli: Cli, tmp_path: Path) -> None:
    done = cli("compare")

    assert done.stderr == "left out: runs/broken: no run: it has no config.yaml\n"
    lines = done.stdout.splitlines()
    assert lines[0] == "fid10k_fashion: seed 0"
    assert lines[4].split()[:5] == ["|", "loss=hinge", "|", "3", "|"]
    assert "not distinct from the best" in lines[5]
    assert lines[6].split()[-2:] == ["|", "|"]  # no remark
    written = [f"comparison/{name}" for name in ("report.html", "leaderboard.csv")]
    assert lines[-4:] == [*written, "comparison/leaderboard.md", "comparison/leaderboard.tex"]
    assert done.stdout.startswith((tmp_path / "comparison/leaderboard.md").read_text())
    rows = list(csv.DictReader((tmp_path / "comparison/leaderboard.csv").open()))
    assert [row["group"] for row in rows] == ["loss=hinge", "loss=vanilla", "loss=wgan_gp"]
    assert float(rows[2]["mean"]) == pytest.approx(9.1)
    assert r"\bottomrule" in (tmp_path / "comparison/leaderboard.tex").read_text()
    report = (tmp_path / "comparison/report.html").read_text()
    assert "runs/broken" in report
    assert "loss=wgan_gp" in report


def test_a_run_as_training_leaves_it(train: Callable[..., Path], tmp_path: Path) -> None:
    words = ["data=digits", "model.width=8", "loss=wgan_gp", "images=640", "every.evaluation=320"]
    run = train(*words, "metrics=[swd]", "protocol.generated=200")

    compare(settings(f"runs=[{run}]"))

    report = (tmp_path / "comparison/report.html").read_text()
    iteration = json.loads((run / "summary.json").read_text())["multiply_adds"]["iteration"]
    # Which shows a batch of 64 at each of five updates of the critic.
    assert f'"multiply_adds":{iteration / (64 * 5)}' in report


def test_a_filter_needs_no_plus_sign(here: Cli, tmp_path: Path) -> None:
    words = ["where.loss=[hinge,wgan_gp]", "where.seed=[0,2]", "runs=runs/*_s*", "to=out/here"]
    done = here("compare", *words, "by=[loss]", "figure=recall")

    assert done.stderr == ""
    rows = list(csv.DictReader((tmp_path / "out/here/leaderboard.csv").open()))
    assert [(row["group"], row["seeds"]) for row in rows] == [
        ("loss=wgan_gp", "2"),
        ("loss=hinge", "2"),
    ]


def test_two_figures_are_drawn_over_each_other(tmp_path: Path) -> None:
    compare(settings("trade_off=[recall,fid]"))
    report = (tmp_path / "comparison/report.html").read_text()
    assert "<h3>recall10k_fashion over fid10k_fashion</h3>" in report


def test_nothing_to_compare_is_one_message(cli: Cli, tmp_path: Path) -> None:
    done = cli("compare", "runs=nowhere", status=1)

    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "left out: nowhere: there is no such run",
        "touchstone: runs=[nowhere]: nothing to compare; 1 left out",
    ]
    assert not (tmp_path / "comparison").exists()


@pytest.mark.parametrize(
    ("words", "seeds"),
    [
        (["since=2026-11-02"], ["2", "2", "2"]),
        (["until=2026-11-01"], ["1", "1", "1"]),
        (["since=2026-11-02", "until=2026-11-02"], ["1", "1", "1"]),
        (["runs=[hinge_s0,hinge_s1,wgan_gp_s0]"], ["2", "1"]),
        (["by=seed"], ["3", "3", "3"]),
        (["+where.loss=hinge"], ["3"]),
        (["+where.loss.name=hinge", "+where.seed=2"], ["1"]),
        (["sweep=grid"], ["1"]),
        (["tag=grid"], ["1"]),
        (["unfinished=true", "+where.loss=lecam"], ["1"]),
    ],
)
def test_which_runs_are_compared(
    runs: Path, tmp_path: Path, words: list[str], seeds: list[str]
) -> None:
    write_run(runs / "stopped", "lecam", 0, 3.0, status="interrupted")
    if "grid" in words[0]:
        config = runs / "hinge_s0" / "config.yaml"
        config.write_text(config.read_text().replace("sweep: null", "sweep: grid"))

    compare(settings(*words))

    rows = list(csv.DictReader((tmp_path / "comparison/leaderboard.csv").open()))
    assert [row["seeds"] for row in rows] == seeds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tag=none"], "runs=[runs]: nothing to compare; 1 left out, and none of the 9 others"),
        (
            ["+where.lss=hinge"],
            "where=lss: no run's configuration has such a key. Did you mean loss",
        ),
        (["by=model"], "by=model: no run's configuration has such a key."),
        (["since=today"], "since=today: it has to be a date"),
        (["figure=kid"], "runs=[runs]: nothing to compare; 10 left out"),
        (["trade_off=[fid,kid]"], "trade_off=[fid,kid]: no two runs of one protocol have both"),
        (["trade_off=fid"], "trade_off=[fid]: name two figures"),
        (["runs_dir=empty"], "runs=[empty]: nothing to compare; 1 left out"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        compare(settings(*words))

    assert str(caught.value).startswith(message)
    assert not (tmp_path / "comparison").exists()
