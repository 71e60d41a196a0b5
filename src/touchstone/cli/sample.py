"""`touchstone sample`: samples of a run, as pictures or arrays."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from touchstone.cli.front import enter
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn


def main() -> None:
    """Samples as the command line says."""
    enter("sample", sample)


def sample(settings: DictConfig) -> None:
    """Draws samples and writes them in the format asked for.

    Raises:
        UsageError: where a setting is wrong, or the run cannot be read.
    """
    for key, least in (("n", 2 if settings.format == "gif" else 1), ("seed", 0), ("steps", 1)):
        if type(settings[key]) is not int or settings[key] < least:
            raise UsageError(f"{key}={settings[key]}: it has to be a whole number, {least} or more")
    if settings.format not in WRITERS:
        raise UsageError(f"format={settings.format}: it has to be {' or '.join(WRITERS)}")
    ending = EXTENSIONS.get(settings.format)
    if settings.to and ending and Path(settings.to).suffix != f".{ending}":
        raise UsageError(
            f"to={settings.to}: for format={settings.format} it has to end in .{ending}"
        )
    if settings.run is None:
        raise UsageError("run=null: name a run's folder, or an exported generator's file")
    settings.run = str(settings.run)  # 2026 is a name as well

    from touchstone.trained import load

    trained = load(settings.run, settings.checkpoint, folder=settings.runs_dir)
    path = Path(settings.to) if settings.to else default_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[settings.format](trained.generator, settings, path)
    print(path)


def default_path(settings: DictConfig) -> Path:
    """In the run's folder, or beside the exported file, named by what it holds."""
    from touchstone.tracking.run import Run

    source = Path(settings.run)
    if source.suffix == ".safetensors":
        folder = source.parent
    else:
        folder = Run.open(source, folder=Path(settings.runs_dir)).path / "samples"
    name = f"{settings.checkpoint}_n{settings.n}_seed{settings.seed}"
    return folder / (name if settings.format == "png" else f"{name}.{EXTENSIONS[settings.format]}")


def drawn(generator: "nn.Module", settings: DictConfig) -> Iterator["Tensor"]:
    """The samples in batches, uint8 `(n, C, H, W)`, with progress where there are many."""
    from tqdm import tqdm

    from touchstone.data.images import quantize
    from touchstone.sampling import samples

    with tqdm(total=settings.n, unit=" samples", delay=2, disable=None) as bar:
        for batch in samples(generator, settings.n, seed=settings.seed):
            yield quantize(batch)
            bar.update(len(batch))


def write_grid(generator: "nn.Module", settings: DictConfig, path: Path) -> None:
    """Writes one picture of all samples."""
    import torch

    from touchstone.pictures import grid

    pixels = torch.cat(list(drawn(generator, settings)))
    grid(pixels, columns=math.ceil(math.sqrt(len(pixels)))).save(path)


def write_pngs(generator: "nn.Module", settings: DictConfig, path: Path) -> None:
    """Writes a picture a sample, named by its number, into the folder `path`."""
    from touchstone.pictures import picture

    path.mkdir(exist_ok=True)
    number = 0
    for batch in drawn(generator, settings):
        for pixels in batch:
            picture(pixels).save(path / f"{number:06d}.png")
            number += 1


def write_array(generator: "nn.Module", settings: DictConfig, path: Path) -> None:
    """Writes one array `samples`, uint8 `(n, H, W, C)`, as other libraries' metrics read it."""
    import numpy
    import torch

    pixels = torch.cat(list(drawn(generator, settings)))
    numpy.savez_compressed(path, samples=pixels.permute(0, 2, 3, 1).numpy())


def write_interpolation(generator: "nn.Module", settings: DictConfig, path: Path) -> None:
    """Writes a walk through n latents and back to the first, along great circles.

    Gaussian latents lie close to a sphere; a straight line between two leaves it (White 2016).
    """
    import torch

    from touchstone.data.images import quantize
    from touchstone.pictures import grid, save_animation
    from touchstone.sampling import latents

    points = latents(settings.n, int(generator.latent_size), settings.seed)  # type: ignore[arg-type]
    shares = torch.arange(settings.steps) / settings.steps
    walk = torch.cat(
        [
            between(start, end, shares)
            for start, end in zip(points, points.roll(-1, dims=0), strict=True)
        ]
    )
    with torch.inference_mode():
        frames = quantize(torch.cat([generator(part) for part in torch.split(walk, 250)]))
    save_animation([grid(frame[None], 1, gap=0, least=256) for frame in frames], path)


def between(start: "Tensor", end: "Tensor", shares: "Tensor") -> "Tensor":
    """Interpolates spherically between two latents (Shoemake 1985).

    Args:
        start: `(latent_size,)`.
        end: `(latent_size,)`.
        shares: of the way, `(steps,)` in [0, 1].

    Returns:
        The latents on the way, `(steps, latent_size)`.
    """
    import torch

    angle = torch.acos(torch.nn.functional.cosine_similarity(start, end, dim=0).clamp(-1, 1))
    share = shares[:, None]
    if angle.sin() < 1e-6:
        return torch.lerp(start, end, share)
    return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / angle.sin()


EXTENSIONS = {"grid": "png", "npz": "npz", "gif": "gif"}
WRITERS: dict[str, Callable[["nn.Module", DictConfig, Path], None]] = {
    "grid": write_grid,
    "png": write_pngs,
    "npz": write_array,
    "gif": write_interpolation,
}
