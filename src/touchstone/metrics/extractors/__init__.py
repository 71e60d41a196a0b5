"""The fixed networks whose features the metrics are computed on, one file each."""

import importlib
from functools import cache
from pathlib import Path

from touchstone.errors import UsageError
from touchstone.metrics.extractors.clip import CLIP
from touchstone.metrics.extractors.digits import (
    DIGITS_SHA256,
    Digits,
    DigitsClassifier,
    StackedDigits,
)
from touchstone.metrics.extractors.dinov2 import DINOv2
from touchstone.metrics.extractors.extractor import Extractor
from touchstone.metrics.extractors.fashion import FASHION_SHA256, Fashion, FashionClassifier
from touchstone.metrics.extractors.inception import RESIZES, Inception

__all__ = [
    "CLIP",
    "DIGITS_SHA256",
    "FASHION_SHA256",
    "DINOv2",
    "Digits",
    "DigitsClassifier",
    "Extractor",
    "Fashion",
    "FashionClassifier",
    "Inception",
    "StackedDigits",
    "load",
]

# Those whose weights come with the package.
OWN: dict[str, type[Extractor]] = {
    "fashion": Fashion,
    "digits": Digits,
    "stacked_digits": StackedDigits,
}


@cache
def load(name: str, weights: str | Path | None = None, resize: str = "legacy") -> Extractor:
    """Makes an extractor, its weights at hand and checked; the same for all who ask for the same.

    Args:
        name: `fashion`, `digits`, `stacked_digits`, `inception`, `clip`, `dinov2`, or a class of
            one's own as `package.module.Class`, which is called with `weights` if there are any and
            without arguments otherwise.
        weights: the file of the weights, for an extractor that does not bring its own.
        resize: how `inception` resizes: `legacy`, as TensorFlow 1 did, or `clean`, as clean-fid
            does. The others have one way of their own, under `legacy`.

    Raises:
        UsageError: no such extractor, or its weights cannot be had or used, or it cannot resize so.
    """
    if resize not in RESIZES:
        raise UsageError(f"protocol.resize={resize}: it has to be {' or '.join(RESIZES)}.")
    if resize != "legacy" and name != "inception":
        raise UsageError(
            f"protocol.resize={resize} is for protocol.extractor=inception alone, "
            f"not for protocol.extractor={name}: leave protocol.resize out."
        )
    match name:
        case "fashion" | "digits" | "stacked_digits":
            if weights is not None:
                raise UsageError(
                    f"protocol.weights={weights} has no use: protocol.extractor={name} brings its "
                    "own weights. Leave protocol.weights out, or choose another protocol.extractor."
                )
            return OWN[name]()
        case "inception":
            return Inception(weights, resize)
        case "clip":
            return CLIP(weights)
        case "dinov2":
            return DINOv2(weights)
        case "none":
            raise UsageError(
                "protocol.extractor=none: these data are no images, which an extractor is for: "
                "choose a metric of points, metrics=point_modes, or metrics=none."
            )
        case path if "." in path:
            return _own(path, weights)
    raise UsageError(
        f"protocol.extractor={name} is unknown: choose {', '.join(OWN)}, inception, clip, "
        "dinov2, or a class of your own as package.module.Class."
    )


def _own(path: str, weights: str | Path | None) -> Extractor:
    extractor = _imported(path)
    made = extractor() if weights is None else extractor(weights)
    missing = [word for word in Extractor.__annotations__ if not hasattr(made, word)]
    if missing:
        raise UsageError(
            f"protocol.extractor={path} does not set {', '.join(missing)}, "
            "which every touchstone.metrics.extractors.Extractor has to."
        )
    return made


def _imported(path: str) -> type[Extractor]:
    module, _, attribute = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"protocol.extractor={path} cannot be imported: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, Extractor)):
        raise UsageError(
            f"protocol.extractor={path} is not a subclass of "
            "touchstone.metrics.extractors.Extractor, and has to be."
        )
    return found
