"""`touchstone audit`: what synthetic records leak of those trained on, and what they are worth."""

import datetime
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from touchstone.cli.front import enter, plain
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from touchstone.data.split import Split
    from touchstone.metrics.extractors import Extractor
    from touchstone.privacy.audit import Audit, Planting, Promise, Shadows, Sides, WhiteBox
    from touchstone.privacy.tables import Tables
    from touchstone.tracking.figures import Figure
    from touchstone.tracking.run import Run

KINDS = ("real", "synthetic", "holdout")
AGAIN = {"shadows": 4, "canaries": 20}  # what trains more, and the least that says something
PIXELS = 3_072  # numbers of a sample, up to which they are its features: 32x32 in colour


@dataclass(frozen=True)
class Case:
    """What is audited.

    Attributes:
        subject: what it is, for the page's title.
        sides: all records.
        protocol: what the figures depend on beside what the audit says itself.
        tables: the records as frames, of a table.
        white_box: by the discriminator, where it is at hand.
        shadows: trainings like the run's, of other people, where they are asked for.
        planting: one more, with canaries, where that is.
        promise: of privacy, if there is one.
        notes: what was left out, and why.
    """

    subject: str
    sides: "Sides"
    protocol: dict[str, Any]
    tables: "Tables | None" = None
    white_box: "WhiteBox | None" = None
    shadows: "Shadows | None" = None
    planting: "Planting | None" = None
    promise: "Promise | None" = None
    notes: list[str] = field(default_factory=list)


def main() -> None:
    """Audits as the command line says."""
    enter("audit", audit)


def audit(settings: DictConfig) -> None:
    """Attacks synthetic records, writes a page and the figures, and prints the verdict.

    Raises:
        UsageError: a setting is wrong, or the records cannot be read or do not go together.
    """
    OmegaConf.set_struct(settings, False)
    check(settings)

    from touchstone.cli.authenticators import device_of
    from touchstone.privacy.audit import audit as audited
    from touchstone.privacy.page import page, verdict
    from touchstone.tracking.run import Run

    settings.device = str(device_of(settings.device))
    run = None
    if settings.run is not None:
        run = Run.open(Path(str(settings.run)), folder=Path(settings.runs_dir))
    case = of_run(settings, run) if run is not None else of_files(settings)
    found = audited(
        case.sides,
        case.tables,
        white_box=case.white_box,
        shadows=case.shadows,
        planting=case.planting,
        promise=case.promise,
        records=settings.records,
        seed=settings.seed,
    )
    found.notes[:0] = case.notes
    found = replace(found, protocol={**found.protocol, **case.protocol})
    folder = folder_of(settings, run)
    written = folder / "audit.json"
    written.write_text(json.dumps(content(found), indent=1, ensure_ascii=False) + "\n", "utf-8")
    shown = folder / "audit.html"
    shown.write_text(page(f"Audit of {case.subject}", found), "utf-8", "replace")
    if run is not None:
        record(run, found, settings)
    headline, items = verdict(found)
    print(headline, *(f"- {what}. {then}." for what, then in items), shown, written, sep="\n")


def check(settings: DictConfig) -> None:
    """Refuses settings that contradict each other, or are no numbers, before anything is read.

    Raises:
        UsageError: names the setting.
    """
    for key, least in (("records", 2), ("synthetics", 1), ("seed", 0)):
        if type(settings[key]) is not int or settings[key] < least:
            raise UsageError(f"{key}={settings[key]}: it has to be a whole number, {least} or more")
    named = [key for key in KINDS if settings[key] is not None]
    for key, least in AGAIN.items():
        if type(settings[key]) is not int or 0 != settings[key] < least:
            raise UsageError(
                f"{key}={settings[key]}: it has to be 0, or a whole number of {least} or more"
            )
        if settings[key] and settings.run is None:
            raise UsageError(f"{key}={settings[key]}: only a run can be trained once more")
    if settings.run is not None:
        for key in [*named, *(key for key in ("target", "columns") if settings[key])]:
            raise UsageError(f"{key}=…: a run is audited with its own data: leave {key} out")
    elif not named:
        raise UsageError("name either run=RUN, or real=…, synthetic=… and holdout=…, to be audited")
    elif "holdout" not in named:
        raise UsageError(
            "holdout=null: name records of the same kind that the generator was not trained on; "
            "without them nothing can be said of membership, since all that is known of the "
            "members may be known of anybody"
        )
    elif len(named) < len(KINDS):
        what = {"real": "was trained on", "synthetic": "made"}
        (key,) = [key for key in KINDS if key not in named]
        raise UsageError(f"{key}=null: name the records that the generator {what[key]}")
    sensitive = plain(settings)["sensitive"]
    if not isinstance(sensitive, list | None):
        raise UsageError(f"sensitive={sensitive}: it has to be a list of columns, as [{sensitive}]")


def of_run(settings: DictConfig, run: "Run") -> Case:
    """A run's averaged generator, against the records that it was shown and its test split."""
    from hydra.utils import instantiate

    from touchstone.cli.saved import refuse_strangers
    from touchstone.data.subset import subset
    from touchstone.data.tables.rows import Rows
    from touchstone.metrics.sets import Drawn, ImageSet
    from touchstone.privacy.audit import Sides
    from touchstone.privacy.tables import Tables
    from touchstone.trained import load, weights_hash

    saved = OmegaConf.create(run.config)
    assert isinstance(saved, DictConfig)
    refuse_strangers(saved, run)
    saved.update(cache_dir=settings.cache_dir, data_dir=settings.data_dir)
    kept = {"encoder": run.table} if run.table.exists() else {}
    source = instantiate(saved.data.load)
    members = subset(source(split="train", **kept), saved.get("subset"))
    holdout = source(split="test", **kept)
    extractor = None
    if not isinstance(members, Rows):
        only_tables(settings)
        extractor = extractor_of(members, settings.extractor or saved.protocol.extractor)
    trained = load(run.path, settings.checkpoint)
    drawn = Drawn(
        trained.generator.to(settings.device),
        min(len(members), settings.synthetics),
        seed=settings.seed,
        device=settings.device,
    )
    made = ImageSet(drawn, "synthetic records").pixels()
    promise = promised(run, saved)
    protocol = {
        "data": members.content_hash,
        "subset": saved.get("subset"),
        "holdout_split": "test",
        "generator": weights_hash(trained.generator),
        "images": trained.images,
    }
    case: dict[str, Any] = {"promise": promise, "notes": list[str]()}
    as_taken = {"members": _rows(members), "holdout": _rows(holdout)}
    as_taken["synthetic"] = members.normalize(made).flatten(1)
    if isinstance(members, Rows):
        assert isinstance(holdout, Rows)
        asked = plain(settings)["sensitive"]
        tables = Tables.of(
            {
                "real": members.frame,
                "holdout": holdout.frame,
                "synthetic": members.encoder.decode(made),
            },
            members.encoder.schema,
            sensitive=None if asked is None else tuple(asked),
            groups=settings.groups,
        )
        sides = sides_of(tables)
        case["tables"] = tables
    else:
        sides = Sides(**as_taken)
        if extractor is not None:
            pictures = {"members": members, "holdout": holdout, "synthetic": drawn}
            sides = extracted(pictures, extractor, settings)
            protocol["extractor"] = extractor.fingerprint
    if promise is not None:
        case["notes"].append(
            "The discriminator did not attack: that of a private run is not released with it."
        )
    elif trained.discriminator is not None:
        layout = members.layout if isinstance(members, Rows) else ()
        try:
            case["white_box"] = white_box(
                trained.discriminator, members.shape, layout, Sides(**as_taken)
            )
        except UsageError as error:
            case["notes"].append(f"The discriminator did not attack: {error}.")
    if settings.shadows or settings.canaries:
        case |= trained_again(settings, saved, members, holdout, Sides(**as_taken))
    return Case(f"the run {run.name}", sides, protocol, **case)


def trained_again(
    settings: DictConfig, saved: DictConfig, members: "Split", holdout: "Split", taken: "Sides"
) -> dict[str, Any]:
    """What asks by further trainings like the run's: shadow models, and canaries.

    Args:
        settings: of the audit.
        saved: of the run.
        members: the records that it was trained on.
        holdout: others.
        taken: all records as its networks take them.

    Raises:
        UsageError: canaries where the records are no table.
    """
    import torch

    from touchstone.cli.retraining import Retraining
    from touchstone.data.tables.rows import Rows
    from touchstone.draws import derive
    from touchstone.metrics.sets import Drawn, ImageSet
    from touchstone.privacy.audit import Planting, Shadows
    from touchstone.privacy.canaries import canaries

    folder, trainings = Path(settings.cache_dir) / "retrained", settings.shadows
    trainings += settings.canaries > 0
    retrained = Retraining(saved, settings.device, folder, trainings)
    number = len(taken.synthetic)

    def made(records: "Split", seed: int) -> "Tensor":
        generator = retrained(records, seed).to(settings.device)
        drawn = Drawn(generator, number, seed=settings.seed, device=settings.device)
        return members.normalize(ImageSet(drawn, "synthetic records").pixels()).flatten(1)

    def of_others(left_out: "Tensor", let_in: "Tensor", seed: int) -> "Tensor":
        kept = torch.ones(len(members), dtype=torch.bool)
        kept[left_out] = False
        return made(members.take(kept.nonzero().flatten()).join(holdout.take(let_in)), seed)

    found: dict[str, Any] = {}
    if settings.shadows:
        found["shadows"] = Shadows(of_others, taken, settings.shadows)
    if settings.canaries:
        if not isinstance(members, Rows):
            raise UsageError(f"canaries={settings.canaries}: they are rows of a table")
        columns = [slot.stop - slot.start for slot in members.encoder.places.values()]
        rows = canaries(members.values, settings.canaries, columns, settings.seed)
        frame = members.encoder.decode(rows.planted).select(members.frame.columns)
        planted = Rows.of(frame, members.encoder, conditional=len(members.conditions) > 0)
        seed = derive(settings.seed, "canaries", "training")
        found["planting"] = Planting(rows, lambda: made(members.join(planted), seed), taken.holdout)
    return found


def of_files(settings: DictConfig) -> Case:
    """Records that others made."""
    from touchstone.data.tables.reading import is_text

    paths = {key: Path(str(settings[key])) for key in KINDS}
    tables = [is_text(path) or path.suffix.lower() == ".parquet" for path in paths.values()]
    if all(tables):
        return of_tables(settings, paths)
    if any(tables):
        names = ", ".join(f"{key}={path}" for key, path in paths.items())
        raise UsageError(f"{names}: all have to be tables, or all pictures")
    return of_pictures(settings, paths)


def of_tables(settings: DictConfig, paths: Mapping[str, Path]) -> Case:
    """Tables that others made."""
    from touchstone.data.tables.reading import is_text, read
    from touchstone.privacy.audit import drawn
    from touchstone.privacy.tables import Tables, check_names, schema_of

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
    from touchstone.data import external
    from touchstone.privacy.audit import Sides, drawn

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
        sides = Sides(**{key: _rows(images) for key, images in sets.items()})
    else:
        sides = extracted(sets, extractor, settings)
        protocol["extractor"] = extractor.fingerprint
    return Case(paths["synthetic"].name, sides, protocol)


def sides_of(tables: "Tables") -> "Sides":
    """A table's records as features."""
    from touchstone.privacy.audit import Sides

    found = tables.features()
    return Sides(found["real"], found["holdout"], found["synthetic"])


def extractor_of(pictures: "Split", name: str | None) -> "Extractor | None":
    """Whose features stand for pictures, Inception's by default; None: their numbers do.

    Raises:
        UsageError: it cannot be had.
    """
    if math.prod(pictures.shape) <= PIXELS:
        return None
    from touchstone.metrics.extractors import load

    try:
        return load(name or "inception")
    except UsageError as error:  # which speaks of the settings of training
        raise UsageError(str(error).replace("protocol.extractor", "extractor")) from error


def extracted(pictures: Mapping[str, Any], extractor: "Extractor", settings: DictConfig) -> "Sides":
    """Pictures as an extractor's features."""
    from touchstone.metrics.sets import Drawn, ImageSet, Stored
    from touchstone.privacy.audit import Sides

    found = {}
    for key, images in pictures.items():
        source = images if isinstance(images, Drawn) else Stored(images)
        one = ImageSet(source, key, device=settings.device, cache=settings.cache_dir)
        found[key] = one.features(extractor)
    return Sides(**found)


def white_box(
    discriminator: "nn.Module", shape: tuple[int, ...], layout: Any, sides: "Sides"
) -> "WhiteBox":
    """The attack by a discriminator.

    Raises:
        UsageError: it judges a sample by its label.
    """
    from touchstone.privacy.attacks.discriminator import Discriminator
    from touchstone.privacy.audit import WhiteBox
    from touchstone.privacy.logits import Logits

    return WhiteBox(Discriminator(Logits(discriminator, shape, layout)), sides)


def promised(run: "Run", saved: DictConfig) -> "Promise | None":
    """What a run has spent of its privacy, or may spend before its end; None: no promise."""
    from touchstone.privacy.audit import Promise

    if not saved.get("privacy"):
        return None
    kept = run.summary.get("privacy") or plain(saved)["privacy"]
    return Promise(float(kept["epsilon"]), float(kept["delta"]))


def only_tables(settings: DictConfig) -> None:
    """Refuses settings of tables.

    Raises:
        UsageError: names the setting.
    """
    for key in ("target", "sensitive", "groups", "columns"):
        if settings[key]:
            raise UsageError(f"{key}={settings[key]}: the records are no table: leave {key} out")


def content(found: "Audit") -> dict[str, Any]:
    """What `audit.json` holds."""
    from touchstone.privacy.audit import figures
    from touchstone.privacy.page import verdict

    headline, items = verdict(found)
    return {
        "verdict": headline,
        "because": [f"{what}. {then}." for what, then in items],
        "accused_by": found.leakage.accused(),
        "promise": found.promise and vars(found.promise),
        "notes": found.notes,
        "figures": figures(found),
        "marginals": dict(found.use.apart.marginals) if found.use else {},
        "protocol": dict(found.protocol),
    }


def record(run: "Run", found: "Audit", settings: DictConfig) -> None:
    """Adds the figures, with their protocol, to the run's record and to its trackers."""
    from touchstone.callbacks.evaluation import show
    from touchstone.cli.evaluate import trackers
    from touchstone.metrics.evaluation import Evaluated

    saved = OmegaConf.create(run.config)
    assert isinstance(saved, DictConfig)
    images = found.protocol["images"]
    with trackers(run, saved) as loggers:
        for logger in loggers:
            show([Evaluated(recorded(found), {})], logger, images or 0)


def recorded(found: "Audit") -> "list[Figure]":
    """The figures as a run's record has them."""
    from touchstone.privacy.audit import figures, higher_is_better
    from touchstone.tracking.figures import Figure, now

    apart = ("generator", "images")
    protocol = {key: value for key, value in found.protocol.items() if key not in apart}
    generator, images = (found.protocol[key] for key in apart)
    return [
        Figure(name, value, protocol, generator, images, now(), higher_is_better(name))
        for name, value in figures(found).items()
    ]


def folder_of(settings: DictConfig, run: "Run | None") -> Path:
    """The folder for what is written: the one asked for, or a new one in the run's."""
    if settings.to is not None or run is None:
        folder = Path(str(settings.to or Path(str(settings.synthetic)).expanduser().parent))
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    began = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in count(1):  # another job may have begun in the same second
        folder = run.path / "audits" / (f"{began}_{number}" if number > 1 else began)
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    return folder


def _rows(split: "Split") -> "Tensor":
    """All samples as the networks take them, each flattened."""
    import torch

    samples, _ = split.batch(torch.arange(len(split), device=split.device))
    return samples.flatten(1)
