import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import touchstone
from touchstone.cli.export import export
from touchstone.errors import UsageError

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_an_exported_generator_samples_as_the_run_does(
    cli: Cli, tiny_run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "generator.safetensors"
    done = cli("export", f"run={tiny_run.name}", f"runs_dir={tiny_run.parent}", f"to={path}")

    assert done.stdout == f"{path}\n"
    exported = touchstone.load(path)
    assert torch.equal(exported.sample(6, seed=2), touchstone.load(tiny_run).sample(6, seed=2))
    assert path.read_bytes() == (tiny_run / "generator.safetensors").read_bytes()
    assert list(path.parent.iterdir()) == [path]


def test_by_default_into_the_runs_own_folder(
    tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_run / "generator.safetensors"
    before = path.read_bytes()
    path.unlink()
    settings = {"run": str(tiny_run), "checkpoint": "last", "to": None, "runs_dir": "runs"}
    export(OmegaConf.create(settings))

    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("run", "checkpoint", "message"),
    [
        (None, "last", "run=null: name a run's folder"),
        ("nowhere", "last", "run=nowhere: no run, for it does not exist"),
        (".", "best", "best.ckpt: there is no such checkpoint"),
        (".", "first", "checkpoint=first: it has to be last or best"),
    ],
)
def test_what_cannot_be_exported_is_said(
    run: str | None, checkpoint: str, message: str, tiny_run: Path, tmp_path: Path
) -> None:
    settings = {
        "run": str(tiny_run) if run == "." else run,
        "checkpoint": checkpoint,
        "to": str(tmp_path / "generator.safetensors"),
        "runs_dir": "runs",
    }
    with pytest.raises(UsageError) as caught:
        export(OmegaConf.create(settings))
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []
