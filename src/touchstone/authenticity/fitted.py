"""Detectors that have learned and are calibrated; once they have, they are kept in a file."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialized

from touchstone.authenticity.calibration import Calibration
from touchstone.authenticity.detectors.detector import Detector, scores
from touchstone.data.files import say
from touchstone.data.split import Split

_VERSION = "1"  # of what a file holds
_LEARNED = "detector."
_SCORES = "calibration.scores"


@dataclass(frozen=True, eq=False)
class Fitted:
    """A detector, and the scores that it gives to genuine items that it did not learn from.

    Attributes:
        detector: has learned, and is in eval mode.
        calibration: by which its scores are judged.
    """

    detector: Detector
    calibration: Calibration


def fitted(
    detector: Detector,
    genuine: Split,
    held_out: Split,
    *,
    name: str,
    made_of: Mapping[str, Any],
    path: Path,
) -> Fitted:
    """Gives a detector that has learned: from its file, where that was made of the same.

    Args:
        detector: prepared, on the device of the items.
        genuine: what it learns from.
        held_out: what it is calibrated on.
        name: what the user calls it.
        made_of: what else its state depends on, as JSON has it: the networks, its settings, data.
        path: its file, which is written whole or not at all where it has to be made anew.
    """
    recipe = json.dumps({"version": _VERSION, **made_of}, sort_keys=True)
    if (kept := _read(detector, recipe, path)) is not None:
        return kept
    say(
        f"{name} learns from {len(genuine):,} genuine items and is calibrated on "
        f"{len(held_out):,} others"
    )
    detector.fit(genuine)
    detector.eval()
    made = Fitted(detector, Calibration(scores(detector, held_out, name=f"calibrating {name}")))
    try:
        _write(made, recipe, path)
    except OSError as error:  # a folder that is only read from: what was learned can still be used
        say(f"{path}: cannot be written ({error.strerror or error}); next time it is fitted anew")
    return made


def _read(detector: Detector, recipe: str, path: Path) -> Fitted | None:
    """The detector as its file has it; None where it is not there, damaged or of another recipe."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("made_of") != recipe:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        calibration = Calibration(tensors.pop(_SCORES))
        device = next((one.device for one in detector.state_dict().values()), torch.device("cpu"))
        detector.restore({name.removeprefix(_LEARNED): one for name, one in tensors.items()})
        return Fitted(detector.to(device).eval(), calibration)
    except (SafetensorError, KeyError, RuntimeError, OSError) as error:
        say(f"{path}: damaged, and is made anew ({error})")
        return None


def _write(made: Fitted, recipe: str, path: Path) -> None:
    learned = {f"{_LEARNED}{name}": one for name, one in made.detector.state_dict().items()}
    tensors = {
        name: one.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, one in (learned | {_SCORES: made.calibration.scores}).items()
    }
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(serialized(tensors, metadata={"made_of": recipe}))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
