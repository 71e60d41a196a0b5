"""Trained networks, for programs and notebooks, without the trainer."""

import hashlib
import importlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialized
from torch import Tensor, nn

from touchstone.errors import UsageError
from touchstone.sampling import samples
from touchstone.truncation import sampled_as

if TYPE_CHECKING:
    from touchstone.data.tables.encoding import Encoder


@dataclass
class Trained:
    """A trained generator, and the discriminator where it was kept.

    Attributes:
        generator: the averaged generator, in eval mode.
        discriminator: in eval mode; none in an exported file.
        images: how many images it was trained with; none in an exported file.
        table: of a generator of a table's rows, what turns them into a frame: `table.decode(rows)`.
    """

    generator: nn.Module
    discriminator: nn.Module | None = None
    images: int | None = None
    table: "Encoder | None" = None

    def sample(
        self, number: int, seed: int = 0, *, truncation: float | None = None, standing: int = 0
    ) -> Tensor:
        """Draws samples in [-1, 1]: images `(number, C, H, W)`, or rows `(number, F)`.

        The first latents are the same for any number, and the first samples up to rounding.

        Args:
            number: how many.
            seed: of the latents.
            truncation: as in `touchstone.truncation.sampled_as`.
            standing: as in `touchstone.truncation.sampled_as`.

        Raises:
            UsageError: what the generator cannot be sampled by.
        """
        device = next(self.generator.parameters()).device
        generator = sampled_as(self.generator, seed=seed, truncation=truncation, standing=standing)
        return torch.cat(list(samples(generator, number, seed=seed, device=device)))


def load(path: str | Path, checkpoint: str = "last", *, folder: str | Path = "runs") -> Trained:
    """Loads what a run has trained, or an exported generator.

    Args:
        path: a run's folder or name, or a `.safetensors` file that was exported.
        checkpoint: `last` or `best`, of a run.
        folder: where runs lie, to find one by its name.

    Raises:
        UsageError: where there is no such run or file, or it cannot be read.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return _exported(path)
    return _checkpoint(path, checkpoint, Path(folder))


def save(
    generator: nn.Module,
    configuration: dict[str, Any],
    path: Path,
    table: "Encoder | None" = None,
) -> None:
    """Writes a generator and what rebuilds it to one safetensors file, enough to sample from.

    Args:
        generator: whose weights.
        configuration: its class as `_target_`, and the arguments it was made with.
        path: the file, written whole or not at all.
        table: of a generator of a table's rows, what turns them into a frame.
    """
    partial = path.with_name(f".{path.name}.partial")
    tensors = {name: value.contiguous() for name, value in generator.state_dict().items()}
    # Not by safetensors' own function, which lets nobody but the owner read the file.
    metadata = {"generator": json.dumps(configuration)}
    if table is not None:
        metadata["table"] = table.to_json()
    partial.write_bytes(serialized(tensors, metadata=metadata))
    partial.replace(path)


def build(configuration: dict[str, Any]) -> Any:
    """Makes a network from its class, `_target_`, and its arguments, which may be networks, too.

    With `_partial_`, what is made is a function of the arguments that are left, for another network
    to call.

    Raises:
        UsageError: where `_target_` is no network: nothing else that a file names is called.
    """
    arguments = {
        key: build(value) if isinstance(value, dict) and "_target_" in value else value
        for key, value in configuration.items()
    }
    target, partly = str(arguments.pop("_target_", "")), arguments.pop("_partial_", False)
    module, _, name = target.rpartition(".")
    try:
        network = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"_target_={target}: there is no such network ({error})") from error
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise UsageError(f"_target_={target}: refused, since it is no torch.nn.Module")
    return partial(network, **arguments) if partly else network(**arguments)


def weights_hash(network: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers, by which a figure names what made the images.

    The same for a network in training, its checkpoint and its exported file.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _exported(path: Path) -> Trained:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            configuration = dict(json.loads(metadata["generator"]))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise UsageError(f"{path}: damaged, or no generator of touchstone ({error})") from error
    return Trained(
        _restored(configuration, weights, path), table=_table(metadata.get("table"), path)
    )


def _checkpoint(path: Path, which: str, folder: Path) -> Trained:
    from touchstone.tracking.reading import read
    from touchstone.tracking.run import Run

    if which not in ("last", "best"):
        raise UsageError(f"checkpoint={which}: it has to be last or best")
    run = Run.open(path, folder=folder)
    file = run.checkpoint(which)
    content, networks = read(file), run.networks
    weights = content["state_dict"]
    return Trained(
        _restored(networks["generator"], _part(weights, "average.network."), file),
        _restored(networks["discriminator"], _part(weights, "discriminator."), file),
        content["images"],
        _table(run.table.read_text() if run.table.exists() else None, run.table),
    )


def _restored(configuration: dict[str, Any], weights: dict[str, Tensor], file: Path) -> nn.Module:
    """Makes a network, in eval mode, with the weights of a file."""
    try:
        network: nn.Module = build(configuration)
        network.load_state_dict(weights)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{file}: its weights do not fit {configuration.get('_target_')} as it was configured"
        ) from error
    return network.eval()


def _table(text: str | None, file: Path) -> "Encoder | None":
    """Reads a file's table, if it has one; of images there is no need for Polars."""
    if text is None:
        return None
    from touchstone.data.tables.encoding import Encoder

    try:
        return Encoder.from_json(text)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error


def _part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }
