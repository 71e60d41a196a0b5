import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from touchstone.errors import UsageError
from touchstone.tracking.run import Run, environment, git_state

NETWORKS: dict[str, dict[str, Any]] = {
    "generator": {"_target_": "a.G"},
    "discriminator": {"_target_": "a.D", "width": 2},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs", "dcgan_vanilla_digits_s0", "seed: 0\n", NETWORKS)


def test_a_new_run(run: Run, tmp_path: Path) -> None:
    assert run.path.parent == tmp_path / "runs"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_dcgan_vanilla_digits_s0", run.name)
    assert run.config == "seed: 0\n"
    assert run.networks == NETWORKS
    assert run.summary == {}
    assert list(run.metrics()) == []
    assert sorted(entry.name for entry in run.path.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "environment.json",
        "networks.json",
        "samples",
    ]


def test_what_a_run_was_started_with(run: Run) -> None:
    found = run.environment

    assert re.fullmatch(r"[0-9a-f]{8}", found["id"])
    assert found["command"] == [Path(sys.argv[0]).name, *sys.argv[1:]]
    assert found["versions"]["python"].split(".")[:2] == [str(n) for n in sys.version_info[:2]]
    assert {"touchstone", "torch", "pytorch-lightning"} <= found["versions"].keys()
    assert environment()["id"] != found["id"]


CREATE = """
import sys
from pathlib import Path
from typing import Any
from touchstone.tracking.run import Run
sys.stdin.readline()
for number in range(5):
    print(Run.create(Path("runs"), "same", f"{sys.argv[1]}-{number}", {}).path)
"""


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, str(job)],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for job in range(8)
    ]
    for job in jobs:
        assert job.stdin is not None
        job.stdin.write("go\n")
        job.stdin.flush()
    folders = [line for job in jobs for line in job.communicate()[0].split()]

    assert len(set(folders)) == 40
    assert {str(path.relative_to(tmp_path)) for path in (tmp_path / "runs").iterdir()} == set(
        folders
    )
    written = [Run(tmp_path / folder).config for folder in folders]
    assert written == [f"{job}-{number}" for job in range(8) for number in range(5)]
    assert len({Run(tmp_path / folder).environment["id"] for folder in folders}) == 40


@pytest.mark.parametrize("folder", ["occupied", "occupied/below"])
def test_a_folder_that_cannot_be_written_to(folder: str, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")

    with pytest.raises(UsageError, match=f"runs_dir={tmp_path / folder}: cannot write a run there"):
        Run.create(tmp_path / folder, "name", "", NETWORKS)
    assert (tmp_path / "occupied").read_text() == "a file"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_place_that_not_even_root_can_write_to() -> None:
    with pytest.raises(UsageError, match="runs_dir=/proc/runs: cannot write a run there"):
        Run.create(Path("/proc/runs"), "name", "", NETWORKS)


def test_a_run_is_opened_by_its_path_and_by_its_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Run.open(run.path).path == run.path
    assert Run.open(Path(run.name), folder=tmp_path / "runs").path == run.path
    monkeypatch.chdir(tmp_path)
    assert Run.open(Path(run.name)).config == "seed: 0\n"


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"run={tmp_path}: no run, for it has no config\.yaml"):
        Run.open(tmp_path)
    with pytest.raises(UsageError, match=r"resume=nowhere: no run, for it does not exist.* all/$"):
        Run.open(Path("nowhere"), folder=Path("all"), setting="resume")


def test_the_record_is_appended_to(run: Run) -> None:
    run.append(64, {"loss": 0.1, "logits/real": -2.0})
    run.append(128, {"loss": float("nan"), "fid": float("inf")})

    assert list(run.metrics()) == [
        {"images": 64, "loss": 0.1, "logits/real": -2.0},
        {"images": 128, "loss": None, "fid": None},
    ]
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["images"] for line in lines] == [64, 128]


@pytest.mark.parametrize("cut", [1, 12, -1])
def test_a_line_that_a_kill_cut_short_costs_no_other(run: Run, cut: int) -> None:
    run.append(64, {"loss": 0.1})
    whole = '{"images": 128, "loss": 0.2}'
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write(whole[:cut])

    assert [line["images"] for line in run.metrics()] == [64]
    run.append(192, {"loss": 0.3})
    run.append(256, {"loss": 0.4})
    assert [line["images"] for line in run.metrics()] == [64, 192, 256]


def test_a_last_line_without_its_end_is_kept(run: Run) -> None:
    (run.path / "metrics.jsonl").write_text('{"images": 64}')
    run.append(128, {})

    assert [line["images"] for line in run.metrics()] == [64, 128]


def test_a_line_of_the_record_costs_little_however_long_it_is(run: Run) -> None:
    (run.path / "metrics.jsonl").write_text('{"images": 1}\n' * 1000)
    run.append(2, {})

    assert (run.path / "metrics.jsonl").read_text() == '{"images": 1}\n' * 1000 + '{"images": 2}\n'


def test_the_summary_and_the_configuration_are_written_whole(run: Run) -> None:
    before = sorted(entry.name for entry in run.path.iterdir())
    run.summarize({"status": "interrupted", "images": 64})
    run.summarize({"status": "finished", "images": 128})
    run.configure("seed: 0\nimages: 128\n")

    assert run.summary == {"status": "finished", "images": 128}
    assert run.config == "seed: 0\nimages: 128\n"
    assert sorted(entry.name for entry in run.path.iterdir()) == sorted([*before, "summary.json"])


def test_a_summary_that_cannot_be_written_leaves_the_former(run: Run) -> None:
    run.summarize({"status": "interrupted"})
    (run.path / ".summary.json.partial").symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left"):
        run.summarize({"status": "finished"})
    assert run.summary == {"status": "interrupted"}


def test_where_things_lie(run: Run) -> None:
    assert run.checkpoint() == run.path / "checkpoints" / "last.ckpt"
    assert run.checkpoint("best") == run.path / "checkpoints" / "best.ckpt"
    assert run.generator == run.path / "generator.safetensors"


def test_the_state_of_git(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    assert git_state(tmp_path) is None
    git("init")
    (tmp_path / "code.py").write_text("a = 1\n")
    assert git_state(tmp_path) is None  # nothing of it is in git: somebody else's repository
    git("add", "code.py")
    git("commit", "-m", "one")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "changed": False}
    (tmp_path / "code.py").write_text("a = 2\n")
    state = git_state(tmp_path)
    assert state is not None
    assert state["changed"]
