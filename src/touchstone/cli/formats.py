"""What `touchstone sample` writes: formats by name, of images and of tables."""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy
import torch
from omegaconf import DictConfig
from PIL.Image import Image
from torch import Tensor, nn
from tqdm import tqdm

from touchstone.cli.front import plain
from touchstone.data.images import quantize
from touchstone.data.tables.writing import write
from touchstone.errors import UsageError
from touchstone.pictures import grid, picture, save_animation
from touchstone.sampling import CHUNK, Sampler
from touchstone.sheets.arithmetic import arithmetic
from touchstone.sheets.groups import classes, experts, numbered
from touchstone.sheets.interpolation import rows, walk
from touchstone.sheets.traversal import traversal
from touchstone.synthesis import Synthesis

Source = TypeVar("Source", Sampler, Synthesis)
Write: TypeAlias = Callable[[Sampler, DictConfig, Path], None]
Check: TypeAlias = Callable[[nn.Module, DictConfig], None]


def write_grid(sampler: Sampler, settings: DictConfig, path: Path) -> None:
    """Writes one picture of all samples."""
    pixels = torch.cat(list(drawn(sampler, settings.n)))
    grid(pixels, columns=math.ceil(math.sqrt(len(pixels)))).save(path)


def write_pngs(sampler: Sampler, settings: DictConfig, path: Path) -> None:
    """Writes a picture a sample, named by its number, into the folder `path`."""
    path.mkdir(exist_ok=True)
    number = 0
    for batch in drawn(sampler, settings.n):
        for pixels in batch:
            picture(pixels).save(path / f"{number:06d}.png")
            number += 1


def write_array(sampler: Sampler, settings: DictConfig, path: Path) -> None:
    """Writes one array `samples`, uint8 `(n, H, W, C)`, as other libraries' metrics read it."""
    pixels = torch.cat(list(drawn(sampler, settings.n)))
    numpy.savez_compressed(path, samples=pixels.permute(0, 2, 3, 1).numpy())


def write_walk(sampler: Sampler, settings: DictConfig, path: Path) -> None:
    """Writes an animation that leads through n samples and back to the first."""
    save_animation(walk(sampler, settings.n, settings.steps), path)


def write_table(synthesis: Synthesis, settings: DictConfig, path: Path) -> None:
    """Writes n rows as they are made, and says how many of those made fit, if not all."""
    tally = (0, 0)
    with tqdm(total=settings.n, unit=" rows", delay=2, disable=None) as bar:

        def watch(made: int, fitting: int) -> None:
            nonlocal tally
            tally = (made, fitting)
            bar.update(min(fitting, settings.n) - bar.n)

        write(synthesis.frames(settings.n, watch), path)
    if synthesis.clauses:
        made, fitting = tally
        asked = " ".join(map(str, synthesis.clauses))
        print(f"{asked}: {fitting:,} of the {made:,} rows made fit", file=sys.stderr)


def drawn(sampler: Sampler, number: int) -> Iterator[Tensor]:
    """The samples in batches, uint8 `(n, C, H, W)`, with progress where there are many."""
    with tqdm(total=number, unit=" samples", delay=2, disable=None) as bar:
        for first in range(0, number, CHUNK):
            batch = sampler.of(range(first, min(first + CHUNK, number)))
            yield quantize(batch)
            bar.update(len(batch))


def sheet(of: Callable[[Sampler, DictConfig], Image]) -> Write:
    """Writes the picture that a function gives of samples and settings."""

    def write(sampler: Sampler, settings: DictConfig, path: Path) -> None:
        of(sampler, settings).save(path)

    return write


def able_to(method: str, models: str) -> Check:
    """Lets generators pass that have a method, whose latents it then sets."""

    def check(generator: nn.Module, settings: DictConfig) -> None:
        if not hasattr(generator, method):
            raise UsageError(
                f"format={settings.format}: only a generator of {models} can be shown so"
            )
        if settings.truncation is not None and not hasattr(generator, "truncation"):
            raise UsageError(
                f"truncation={settings.truncation}: format={settings.format} sets the latents "
                "itself: leave truncation=null"
            )

    return check


def conditional(generator: nn.Module, settings: DictConfig) -> None:
    """Lets generators pass that know classes."""
    if not getattr(generator, "classes", 0):
        raise UsageError(f"format={settings.format}: the generator knows no classes")


def terms(generator: nn.Module, settings: DictConfig) -> None:
    """Lets sums pass that have terms, each a group of samples' numbers."""
    for key in ("plus", "minus"):
        groups = plain(settings)[key]
        of_numbers = isinstance(groups, list) and all(
            isinstance(group, list)
            and group
            and all(type(number) is int and number >= 0 for number in group)
            for group in groups
        )
        if not of_numbers:
            raise UsageError(
                f"{key}={groups}: it has to be groups of samples' numbers, which format=numbered "
                "shows, as [[3,17,25],[4,8,15]]"
            )
    if not (settings.plus or settings.minus):
        raise UsageError(
            "format=arithmetic: name groups of samples, "
            "as plus=[[3,17,25],[4,8,15]] minus=[[1,2,3]]"
        )


def anything(generator: nn.Module, settings: DictConfig) -> None:
    """Lets all pass."""


@dataclass(frozen=True)
class Format(Generic[Source]):
    """A way to show samples.

    Attributes:
        write: samples, by the settings, to a file or into a folder.
        ending: of the file's name; a folder's is empty.
        number: `n` where the settings leave it open.
        least: the smallest `n`.
        check: refuses a generator or settings that cannot be shown so.
    """

    write: Callable[[Source, DictConfig, Path], None]
    ending: str = ".png"
    number: int = 64
    least: int = 1
    check: Check = anything


IMAGES: dict[str, Format[Sampler]] = {
    "grid": Format(write_grid),
    "png": Format(write_pngs, ending=""),
    "npz": Format(write_array, ending=".npz"),
    "gif": Format(write_walk, ending=".gif", number=8, least=2),
    "numbered": Format(sheet(lambda sampler, settings: numbered(sampler, settings.n))),
    "rows": Format(
        sheet(lambda sampler, settings: rows(sampler, settings.n, settings.steps)), number=8
    ),
    "arithmetic": Format(
        sheet(lambda sampler, settings: arithmetic(sampler, settings.plus, settings.minus)),
        check=terms,
    ),
    "classes": Format(
        sheet(lambda sampler, settings: classes(sampler, settings.n)),
        number=10,
        check=conditional,
    ),
    "traversal": Format(
        sheet(lambda sampler, settings: traversal(sampler, settings.steps)),
        check=able_to("latents_of", "model=infogan"),
    ),
    "experts": Format(
        sheet(lambda sampler, settings: experts(sampler, settings.n)),
        number=10,
        check=able_to("expert_samples", "model=mixture"),
    ),
}

TABLES: dict[str, Format[Synthesis]] = {
    "csv": Format(write_table, ending=".csv", number=1_000),
    "parquet": Format(write_table, ending=".parquet", number=1_000),
}
FORMATS: dict[str, Format[Any]] = {**IMAGES, **TABLES}
