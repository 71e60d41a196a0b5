"""`touchstone detect`: whether pictures are genuine, by what a run has learned of genuine items."""

import csv
import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from omegaconf import DictConfig, OmegaConf

from touchstone.cli.front import enter
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from touchstone.authenticity.authenticator import Authenticator
    from touchstone.authenticity.page import Findings
    from touchstone.authenticity.reading import Files

COLUMNS = ("score", "p_value", "probability_genuine", "verdict")  # of the first detector


def main() -> None:
    """Detects as the command line says."""
    enter("detect", detect)


def detect(settings: DictConfig) -> None:
    """Judges pictures, writes a table as it goes and a page at the end, and prints the counts.

    Raises:
        UsageError: a setting is wrong, the run is none to judge by, or no picture can be read.
    """
    from hydra.core.hydra_config import HydraConfig

    for key, right in (
        ("run", "a run's folder"),
        ("path", "a picture's file, or a folder of them"),
    ):
        if settings[key] is None:
            raise UsageError(f"{key}=null: name {right}")
    OmegaConf.set_struct(settings, False)

    from touchstone.authenticity.page import Findings, page
    from touchstone.authenticity.reading import Files
    from touchstone.cli.authenticators import authenticator

    templates = None if settings.templates is None else str(settings.templates)
    files = Files.named(str(settings.path), templates)
    words = HydraConfig.get().overrides.task
    judge = authenticator(settings, words, lambda reader: reader.check(templates))
    folder = folder_of(settings)
    table, shown = folder / "detections.csv", folder / "detections.html"
    findings = Findings()
    # Names of files may be no UTF-8, and are written as they are.
    with table.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        judge_all(files, judge, findings, file)
    if not findings.scored:
        raise UsageError(
            f"path={settings.path}: none of {len(files):,} files could be judged. The first: "
            f"{findings.unread[0]}. All are in {table}"
        )
    shown.write_text(page(f"Is it genuine? {settings.path}", findings, judge), "utf-8", "replace")
    print(findings.summary(), table, shown, sep="\n")


def judge_all(files: "Files", judge: "Authenticator", findings: "Findings", file: TextIO) -> None:
    """Judges all files and writes a line for each, so that an interruption keeps what was done."""
    import torch
    from tqdm import tqdm

    from touchstone.data.files import say
    from touchstone.sampling import CHUNK

    further = [f"{name}_{column}" for name in judge.others for column in ("score", "p_value")]
    lines = csv.writer(file)
    lines.writerow(["file", *COLUMNS, *further, "note"])
    progress = tqdm(total=len(files), desc="judging", unit="picture", delay=2, leave=False)
    try:
        for chunk in files.read(judge.reader, CHUNK):
            known = {one.name: one.pixels for one in chunk if one.pixels is not None}
            rows = {}
            if known:
                judged = judge.score(torch.stack(list(known.values())))
                rows = dict(zip(known, judged.rows(), strict=True))
                findings.add([one for one in chunk if one.name in known], judged)
            findings.miss([one for one in chunk if one.name not in known])
            unknown = [""] * (len(COLUMNS) + len(further))
            lines.writerows([one.name, *rows.get(one.name, unknown), one.note] for one in chunk)
            file.flush()
            progress.update(len(chunk))
    except KeyboardInterrupt:
        progress.close()  # which would wipe out the line
        say(f"\n{progress.n:,} of {len(files):,} pictures were judged: {file.name}")
        raise
    finally:
        progress.close()


def folder_of(settings: DictConfig) -> Path:
    """The folder for what is written: the one asked for, or a new one in the run's."""
    from touchstone.tracking.run import Run

    if settings.to is not None:
        folder = Path(str(settings.to))
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    run = Run.open(Path(str(settings.run)), folder=Path(settings.runs_dir))
    began = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    name = f"{began}_{Path(str(settings.path)).expanduser().resolve().stem}"
    for number in count(1):  # another job may have begun in the same second
        folder = run.path / "detections" / (f"{name}_{number}" if number > 1 else name)
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    return folder
