import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import touchstone
from touchstone.cli.export import export
from touchstone.data.tables.encoding import Encoder
from touchstone.data.tables.schema import Category, Schema
from touchstone.errors import UsageError
from touchstone.tracking.run import Run
from touchstone.trained import build

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


def test_a_table_goes_with_its_generator(tmp_path: Path) -> None:
    table = Encoder(Schema((Category("sex", ("Female", "Male")),)), {})
    layout = [list(block) for block in table.layout]
    networks = {
        part: {
            "_target_": f"touchstone.networks.ctgan.{part.title()}",
            "layout": layout,
            "width": 4,
        }
        for part in ("generator", "discriminator")
    }
    networks["generator"]["noise"] = 3
    run = Run.create(tmp_path, "people", "data: {}", networks)
    parts = {"average.network.": "generator", "discriminator.": "discriminator"}
    state = {
        prefix + name: value
        for prefix, part in parts.items()
        for name, value in build(networks[part]).state_dict().items()
    }
    torch.save({"state_dict": state, "images": 640}, run.checkpoint())
    run.table.write_text(table.to_json())
    settings = {"run": str(run.path), "checkpoint": "last", "to": None, "runs_dir": "runs"}
    export(OmegaConf.create(settings))

    trained, exported = touchstone.load(run.path), touchstone.load(run.generator)
    assert trained.table == exported.table == table
    assert table.decode(exported.sample(9)).equals(table.decode(trained.sample(9)))

    run.table.write_text("{}")
    with pytest.raises(UsageError, match=r"table\.json: damaged, or no table"):
        touchstone.load(run.path)


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
