"""`touchstone sample`: samples of a run, as pictures, arrays or tables."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from omegaconf import DictConfig

from touchstone.cli.front import enter, plain
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from touchstone.cli.formats import Format
    from touchstone.sampling import Sampler
    from touchstone.synthesis import Synthesis
    from touchstone.trained import Trained

WHERE = "where."


def main() -> None:
    """Samples as the command line says."""
    # Hydra's grammar has no column called `hours per week`, and no value `>50K`.
    words = [word.removeprefix("+") for word in sys.argv[1:]]
    where = [word.removeprefix(WHERE) for word in words if word.startswith(WHERE)]
    sys.argv[1:] = [word for word in sys.argv[1:] if not word.removeprefix("+").startswith(WHERE)]
    enter("sample", lambda settings: sample(settings, where))


def sample(settings: DictConfig, where: Sequence[str] = ()) -> None:
    """Draws samples and writes them in the format asked for.

    Args:
        settings: as in `conf/sample.yaml`.
        where: of a table's columns, what rows have to be, each as `COLUMN=VALUE`.

    Raises:
        UsageError: where a setting is wrong, or the run cannot be read.
    """
    from touchstone.cli.formats import FORMATS, TABLES
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

    trained = load(settings.run, settings.checkpoint, folder=settings.runs_dir)
    check_kind(settings, where, of_table=trained.table is not None)
    form.check(trained.generator, settings)
    sampler = sampler_of(trained.generator, settings)
    shape = tuple(sampler.of([0]).shape[1:])
    if settings.format in TABLES:
        source: Sampler | Synthesis = synthesis_of(trained, sampler, where)
    elif len(shape) == 3:
        source = sampler
    else:
        raise UsageError(f"run={settings.run}: its samples, of shape {shape}, are no images")
    path = Path(settings.to) if settings.to else default_path(settings, form, where)
    path.parent.mkdir(parents=True, exist_ok=True)
    form.write(source, settings, path)
    print(path)


def check_kind(settings: DictConfig, where: Sequence[str], *, of_table: bool) -> None:
    """Refuses to show a table as images are shown, or the other way round."""
    from touchstone.cli.formats import IMAGES, TABLES

    if of_table and settings.format not in TABLES:
        raise UsageError(
            f"format={settings.format}: the run is of a table; it has to be {' or '.join(TABLES)}"
        )
    if not of_table and settings.format in TABLES:
        raise UsageError(
            f"format={settings.format}: the run is of no table; it has to be {' or '.join(IMAGES)}"
        )
    if not of_table and where:
        raise UsageError(f"{WHERE}{where[0]}: the run is of no table, and has no columns")


def synthesis_of(trained: "Trained", sampler: "Sampler", where: Sequence[str]) -> "Synthesis":
    """The rows of a table's generator that fit."""
    from touchstone.synthesis import Clause, Synthesis

    assert trained.table is not None
    clauses = []
    for word in where:
        column, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"{WHERE}{word}: name a value, as {WHERE}{word}=VALUE")
        clauses.append(Clause.of(trained.table, column, text))
    return Synthesis(sampler, trained.table, tuple(clauses))


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


def default_path(settings: DictConfig, form: "Format[Any]", where: Sequence[str] = ()) -> Path:
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
    words += [quote(word, safe="=[],") for word in where]
    if form.ending == ".png" and settings.format != "grid":
        words.append(settings.format)
    return folder / f"{'_'.join(words)}{form.ending}"
