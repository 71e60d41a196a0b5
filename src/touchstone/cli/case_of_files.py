"""The audit of records that others made, by any tool."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from touchstone.cli.case import Case, extracted, extractor_of, flat, only_tables, sides_of
from touchstone.cli.front import plain
from touchstone.data import external
from touchstone.data.tables.reading import is_text, read
from touchstone.errors import UsageError
from touchstone.privacy.audit import Sides, drawn
from touchstone.privacy.tables import Tables, check_names, schema_of


def of_files(settings: DictConfig, kinds: tuple[str, ...]) -> Case:
    """Records in files that the settings name.

    Args:
        settings: of the audit.
        kinds: the settings that name files: `real`, `synthetic`, `holdout`.

    Raises:
        UsageError: files that cannot be read, or do not go together.
    """
    paths = {key: Path(str(settings[key])) for key in kinds}
    tables = [is_text(path) or path.suffix.lower() == ".parquet" for path in paths.values()]
    if all(tables):
        return of_tables(settings, paths)
    if any(tables):
        names = ", ".join(f"{key}={path}" for key, path in paths.items())
        raise UsageError(f"{names}: all have to be tables, or all pictures")
    return of_pictures(settings, paths)


def of_tables(settings: DictConfig, paths: Mapping[str, Path]) -> Case:
    """Tables that others made."""
    frames = {}
    for key, path in paths.items():
        try:
            frames[key] = read(path)
        except UsageError as error:
            raise UsageError(f"{key}={error}") from error
    check_names({f"{key}={paths[key]}": frame for key, frame in frames.items()})
    if frames["holdout"].equals(frames["real"].select(frames["holdout"].columns)):
        raise UsageError(
            f"holdout={paths['holdout']}: these are the very records of real={paths['real']}; name "
            "others, that the generator was not trained on"
        )
    chosen = plain(settings)
    columns, asked = chosen["columns"], chosen["sensitive"]
    schema = schema_of(frames["real"], columns, settings.target, typed=not is_text(paths["real"]))
    kept = drawn(len(frames["synthetic"]), settings.synthetics, "synthetic", settings.seed)
    frames["synthetic"] = frames["synthetic"][kept.numpy()]
    tables = Tables.of(
        frames,
        schema,
        formats={name: of["format"] for name, of in columns.items() if "format" in of},
        sensitive=None if asked is None else tuple(asked),
        groups=settings.groups,
    )
    protocol = {key: str(path) for key, path in paths.items()}
    return Case(paths["synthetic"].name, sides_of(tables), {"files": protocol}, tables)


def of_pictures(settings: DictConfig, paths: Mapping[str, Path]) -> Case:
    """Pictures that others made."""
    only_tables(settings)
    sets = {
        {"real": "members"}.get(key, key): external.load(
            path, settings.cache_dir, setting=key, resolution=settings.resolution
        )
        for key, path in paths.items()
    }
    if len(shapes := {key: images.shape for key, images in sets.items()}) > 1:
        first = shapes["members"]
        for key, shape in shapes.items():
            if shape != first:
                raise UsageError(
                    f"{key}: its images are {shape}, and those of real= {first}: resolution=… "
                    "brings them to one size"
                )
    extractor = extractor_of(sets["members"], settings.extractor)
    kept = drawn(len(sets["synthetic"]), settings.synthetics, "synthetic", settings.seed)
    sets["synthetic"] = sets["synthetic"].take(kept)
    protocol: dict[str, Any] = {"files": {key: str(path) for key, path in paths.items()}}
    if extractor is None:
        sides = Sides(**{key: flat(images) for key, images in sets.items()})
    else:
        sides = extracted(sets, extractor, settings)
        protocol["extractor"] = extractor.fingerprint
    return Case(paths["synthetic"].name, sides, protocol)
