"""`touchstone audit`: what synthetic records leak of those trained on, and what they are worth."""

import datetime
import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from touchstone.cli.front import enter, plain
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from touchstone.privacy.audit import Audit
    from touchstone.tracking.figures import Figure
    from touchstone.tracking.run import Run

KINDS = ("real", "synthetic", "holdout")
AGAIN = {"shadows": 4, "canaries": 20}  # what trains more, and the least that says something


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
    from touchstone.cli.case_of_files import of_files
    from touchstone.cli.case_of_run import of_run
    from touchstone.privacy.audit import audit as audited
    from touchstone.privacy.page import page, verdict
    from touchstone.tracking.run import Run

    settings.device = str(device_of(settings.device))
    run = None
    if settings.run is not None:
        run = Run.open(Path(str(settings.run)), folder=Path(settings.runs_dir))
    case = of_run(settings, run) if run is not None else of_files(settings, KINDS)
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
    from touchstone.cli.saved import settings_of
    from touchstone.metrics.evaluation import Evaluated

    saved = settings_of(run)
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
