"""What an audit is of, and how records become features."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor, load
from touchstone.metrics.sets import Drawn, ImageSet, Stored
from touchstone.privacy.audit import Planting, Promise, Shadows, Sides, WhiteBox
from touchstone.privacy.tables import Tables

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
    sides: Sides
    protocol: dict[str, Any]
    tables: Tables | None = None
    white_box: WhiteBox | None = None
    shadows: Shadows | None = None
    planting: Planting | None = None
    promise: Promise | None = None
    notes: list[str] = field(default_factory=list)


def only_tables(settings: DictConfig) -> None:
    """Refuses settings of tables.

    Raises:
        UsageError: names the setting.
    """
    for key in ("target", "sensitive", "groups", "columns"):
        if settings[key]:
            raise UsageError(f"{key}={settings[key]}: the records are no table: leave {key} out")


def sides_of(tables: Tables) -> Sides:
    """A table's records as features."""
    found = tables.features()
    return Sides(found["real"], found["holdout"], found["synthetic"])


def extractor_of(pictures: Split, name: str | None) -> Extractor | None:
    """Whose features stand for pictures, Inception's by default; None: their numbers do.

    Raises:
        UsageError: it cannot be had.
    """
    if math.prod(pictures.shape) <= PIXELS:
        return None
    try:
        return load(name or "inception")
    except UsageError as error:  # which speaks of the settings of training
        raise UsageError(str(error).replace("protocol.extractor", "extractor")) from error


def extracted(
    pictures: Mapping[str, Split | Drawn], extractor: Extractor, settings: DictConfig
) -> Sides:
    """Pictures, by the names of the sides, as an extractor's features."""
    found = {}
    for key, images in pictures.items():
        source = images if isinstance(images, Drawn) else Stored(images)
        one = ImageSet(source, key, device=settings.device, cache=settings.cache_dir)
        found[key] = one.features(extractor)
    return Sides(**found)


def flat(split: Split) -> Tensor:
    """All samples as the networks take them, each flattened, `(N, F)`."""
    samples, _ = split.batch(torch.arange(len(split), device=split.device))
    return samples.flatten(1)
