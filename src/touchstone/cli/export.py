"""`touchstone export`: a run's averaged generator in one file."""

from pathlib import Path

from omegaconf import DictConfig

from touchstone.cli.front import enter
from touchstone.errors import UsageError


def main() -> None:
    """Exports as the command line says."""
    enter("export", export)


def export(settings: DictConfig) -> None:
    """Writes the averaged generator of a checkpoint with its configuration.

    Raises:
        UsageError: where the run cannot be read.
    """
    if settings.run is None:
        raise UsageError("run=null: name a run's folder")

    from touchstone.tracking.run import Run
    from touchstone.trained import load, save

    run = Run.open(Path(str(settings.run)), folder=Path(settings.runs_dir))
    path = Path(settings.to) if settings.to else run.generator
    path.parent.mkdir(parents=True, exist_ok=True)
    trained = load(run.path, settings.checkpoint)
    save(trained.generator, run.networks["generator"], path, trained.table)
    print(path)
