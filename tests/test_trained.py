import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import touchstone
from touchstone.errors import UsageError
from touchstone.networks.dcgan import Generator
from touchstone.trained import build, load, save


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be spoiled."""
    return Path(shutil.copytree(tiny_run, tmp_path / "runs" / "spoiled"))


def weights_in_checkpoint(run: Path, prefix: str) -> dict[str, Any]:
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def assert_equal_weights(network: nn.Module, weights: dict[str, Any]) -> None:
    state = network.state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weights[name]) for name in state)


def test_a_loaded_generator_is_the_averaged_one(tiny_run: Path) -> None:
    trained = touchstone.load(tiny_run)

    assert_equal_weights(trained.generator, weights_in_checkpoint(tiny_run, "average.network."))
    raw = weights_in_checkpoint(tiny_run, "generator.")
    assert not torch.equal(trained.generator.state_dict()["start.weight"], raw["start.weight"])
    assert trained.discriminator is not None
    assert_equal_weights(trained.discriminator, weights_in_checkpoint(tiny_run, "discriminator."))
    assert not trained.generator.training
    assert not trained.discriminator.training
    assert trained.images == 640
    assert trained.table is None


def test_samples_of_a_run(tiny_run: Path) -> None:
    trained = load(tiny_run)
    made = trained.sample(5, seed=3)

    assert made.shape == (5, 1, 32, 32)
    assert made.min() >= -1
    assert made.max() <= 1
    assert torch.allclose(trained.sample(2, seed=3), made[:2], rtol=0, atol=1e-6)
    assert not torch.allclose(trained.sample(5, seed=4), made, rtol=0, atol=1e-3)


def test_the_file_that_training_exports_is_the_same_generator(tiny_run: Path) -> None:
    exported = load(tiny_run / "generator.safetensors")

    assert_equal_weights(exported.generator, load(tiny_run).generator.state_dict())
    assert torch.equal(exported.sample(4), load(tiny_run).sample(4))
    assert not exported.generator.training
    assert exported.discriminator is None
    assert exported.images is None


def test_a_run_is_found_by_its_name(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(tiny_run.name, folder=tiny_run.parent).images == 640
    monkeypatch.chdir(tiny_run.parents[1])
    assert load(tiny_run.name).images == 640
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"run={tiny_run.name}: no run, for it does not exist"):
        load(tiny_run.name)


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("best", r"checkpoints/best\.ckpt: there is no such checkpoint"),
        ("worst", r"checkpoint=worst: it has to be last or best"),
        ("../last", r"checkpoint=\.\./last: it has to be last or best"),
    ],
)
def test_a_checkpoint_that_is_not_there(tiny_run: Path, checkpoint: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(tiny_run, checkpoint)


def test_saved_and_loaded(tmp_path: Path) -> None:
    configuration = {
        "_target_": "touchstone.networks.dcgan.Generator",
        "latent_size": 10,
        "resolution": 28,
        "channels": 3,
        "width": 4,
    }
    network = Generator(latent_size=10, resolution=28, channels=3, width=4).to(
        memory_format=torch.channels_last
    )
    path = tmp_path / "generator.safetensors"
    save(network, configuration, path)

    assert_equal_weights(load(path).generator, network.state_dict())
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["generator"]) == configuration
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_exported_file_can_be_read_by_whoever_reads_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    save(nn.Linear(2, 2), {}, path)
    (tmp_path / "other").touch()

    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_file_that_cannot_be_written_leaves_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    path.write_bytes(b"the former one")
    (tmp_path / f".{path.name}.partial").symlink_to("/dev/full")

    with pytest.raises(Exception, match="No space left"):
        save(nn.Linear(2, 2), {}, path)
    assert path.read_bytes() == b"the former one"


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.exec",
        "subprocess.Popen",
        "touchstone.trained.load",
        "touchstone.networks.dcgan",
        "touchstone.networks.dcgan.NoSuchNetwork",
        "no_such_package.Network",
        ".relative.Network",
        "Network",
        "",
    ],
)
def test_nothing_but_a_network_is_made(target: str, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    name = {"os.system": "command", "subprocess.Popen": "args"}.get(target, "source")
    with pytest.raises(UsageError, match=f"_target_={target}: "):
        build({"_target_": target, name: f"touch {mark}"})
    assert not mark.exists()


def test_an_exported_file_that_names_a_command_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    configuration = {"_target_": "os.system", "command": f"touch {mark}"}
    path = tmp_path / "generator.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"generator": json.dumps(configuration)})

    with pytest.raises(UsageError, match=r"_target_=os\.system: refused"):
        load(path)
    assert not mark.exists()


def test_a_runs_networks_that_name_a_command_are_refused(run: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    networks = json.loads((run / "networks.json").read_text())
    networks["generator"] = {"_target_": "os.system", "command": f"touch {mark}"}
    (run / "networks.json").write_text(json.dumps(networks))

    with pytest.raises(UsageError, match=r"_target_=os\.system: refused"):
        load(run)
    assert not mark.exists()


def linear(**changes: Any) -> str:
    return json.dumps(
        {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2} | changes
    )


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"another": "key"},
        {"generator": "{"},
        {"generator": "[1]"},
        {"generator": "null"},
        {"generator": linear(no_such_argument=1)},
        {"generator": linear(in_features=3)},  # weights of another shape
        {"generator": linear(), "table": "{}"},
    ],
)
def test_a_file_of_another_kind_is_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    save_file(nn.Linear(2, 2).state_dict(), path, metadata=metadata)

    with pytest.raises(
        UsageError,
        match=r"generator\.safetensors: (damaged, or no (generator|table)|its weights do not fit)",
    ):
        load(path)


def test_a_damaged_file_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    content = (tiny_run / "generator.safetensors").read_bytes()
    for number, damaged in enumerate((b"", b"text", content[:500], content[:-1])):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match=rf"{number}\.safetensors: damaged"):
            load(path)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(UsageError, match=r"folder\.safetensors: damaged"):
        load(tmp_path / "folder.safetensors")
    with pytest.raises(UsageError, match=r"absent\.safetensors: there is no such file"):
        load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"generator": null}'])
def test_a_run_with_spoiled_networks_is_refused(content: str | None, run: Path) -> None:
    if content is None:
        (run / "networks.json").unlink()
    else:
        (run / "networks.json").write_text(content)

    with pytest.raises(UsageError, match=r"networks\.json: "):
        load(run)


def test_a_run_whose_networks_are_of_another_size_is_refused(run: Path) -> None:
    networks = json.loads((run / "networks.json").read_text())
    networks["generator"]["width"] = 9
    (run / "networks.json").write_text(json.dumps(networks))

    with pytest.raises(UsageError, match=r"last\.ckpt: its weights do not fit"):
        load(run)


def test_networks_within_networks_are_made() -> None:
    """A head is a function of the features; a conversion wraps a generator."""
    head = {"_target_": "touchstone.networks.heads.Projection", "_partial_": True, "classes": 3}
    discriminator = build(
        {
            "_target_": "touchstone.networks.dcgan.Discriminator",
            "resolution": 8,
            "channels": 1,
            "width": 2,
            "head": head,
        }
    )
    assert discriminator.head.embedding.weight.shape == (3, 4 * 4 * 2)
    generator = {
        "_target_": "touchstone.networks.dcgan.Generator",
        "latent_size": 4,
        "resolution": 8,
        "channels": 1,
        "width": 2,
    }
    wrapped = build(
        {
            "_target_": "touchstone.networks.virtual_batch_norm.VirtualBatchNormalized",
            "network": generator,
            "size": 3,
        }
    )
    assert wrapped(torch.randn(2, 4)).shape == (2, 1, 8, 8)


def test_nothing_but_a_network_is_made_within_a_network(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    inner = {"_target_": "os.system", "command": f"touch {mark}"}
    with pytest.raises(UsageError, match=r"_target_=os\.system: refused"):
        build({"_target_": "touchstone.networks.dcgan.Generator", "latent_size": inner})
    assert not mark.exists()
