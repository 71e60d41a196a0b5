"""`touchstone sample`: samples of a run, as pictures or arrays."""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from touchstone.cli.front import enter, plain
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from touchstone.cli.formats import Format
    from touchstone.sampling import Sampler


def main() -> None:
    """Samples as the command line says."""
    enter("sample", sample)


def sample(settings: DictConfig) -> None:
    """Draws samples and writes them in the format asked for.

    Raises:
        UsageError: where a setting is wrong, or the run cannot be read.
    """
    from touchstone.cli.formats import FORMATS
    from touchstone.trained import load

    if settings.format not in FORMATS:
        raise UsageError(f"format={settings.format}: it has to be {' or '.join(FORMATS)}")
    form = FORMATS[settings.format]
    settings.n = form.number if settings.n is None else settings.n
    for key, least in (("n", form.least), ("seed", 0), ("steps", 1)):
        if type(settings[key]) is not int or settings[key] < least:
            raise UsageError(f"{key}={settings[key]}: it has to be a whole number, {least} or more")
    if settings.to and form.ending and Path(settings.to).suffix != form.ending:
        raise UsageError(
            f"to={settings.to}: for format={settings.format} it has to end in {form.ending}"
        )
    if settings.run is None:
        raise UsageError("run=null: name a run's folder, or an exported generator's file")
    settings.run = str(settings.run)  # 2026 is a name as well

    generator = load(settings.run, settings.checkpoint, folder=settings.runs_dir).generator
    form.check(generator, settings)
    sampler = sampler_of(generator, settings)
    shape = tuple(sampler.of([0]).shape[1:])
    if len(shape) != 3:
        raise UsageError(f"run={settings.run}: its samples, of shape {shape}, are no images")
    path = Path(settings.to) if settings.to else default_path(settings, form)
    path.parent.mkdir(parents=True, exist_ok=True)
    form.write(sampler, settings, path)
    print(path)


def sampler_of(generator: "nn.Module", settings: DictConfig) -> "Sampler":
    """The generator as the settings have it sampled."""
    from touchstone.sampling import Sampler
    from touchstone.truncation import sampled_as

    asked = plain(settings)["labels"]
    if not isinstance(asked, list | None):
        raise UsageError(f"labels={asked}: it has to be a list of classes, as [0,3], or null")
    as_sampled = sampled_as(
        generator,
        seed=settings.seed,
        truncation=settings.truncation,
        standing=settings.standing,
    )
    return Sampler(as_sampled, settings.seed, tuple(asked or ()))


def default_path(settings: DictConfig, form: "Format") -> Path:
    """In the run's folder, or beside the exported file, named by what it holds."""
    from touchstone.tracking.run import Run

    source = Path(settings.run)
    if source.suffix == ".safetensors":
        folder = source.parent
    else:
        folder = Run.open(source, folder=Path(settings.runs_dir)).path / "samples"
    words = [f"{settings.checkpoint}_n{settings.n}_seed{settings.seed}"]
    if settings.labels is not None:
        words.append(f"labels{'-'.join(map(str, settings.labels))}")
    if settings.truncation is not None:
        words.append(f"t{settings.truncation:g}")
    if settings.standing:
        words.append(f"standing{settings.standing}")
    for key in ("plus", "minus"):
        words += [f"{key}{'-'.join(map(str, group))}" for group in settings[key]]
    if form.ending == ".png" and settings.format != "grid":
        words.append(settings.format)
    return folder / f"{'_'.join(words)}{form.ending}"
