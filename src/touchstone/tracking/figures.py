"""Figures with the protocol they were computed by, which has to be the same for a comparison."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from touchstone.errors import UsageError


@dataclass(frozen=True)
class Figure:
    """A figure and all that it depends on beside the generator.

    Attributes:
        name: `fid10k_fashion`: metric, generated images, extractor.
        value: the figure.
        protocol: extractor, generated, reference, seed of the latents and the metric's settings, in
            plain values.
        generator: the hash of the weights that generated the images; None for others' images.
        images: how many real images these weights were trained with.
        time: when it was computed, ISO 8601.
        higher_is_better: of its metric's headline.
    """

    name: str
    value: float
    protocol: Mapping[str, Any]
    generator: str | None = None
    images: int | None = None
    time: str = ""
    higher_is_better: bool = False

    def line(self) -> dict[str, Any]:
        """The figure in plain values, as it stands in a record."""
        return asdict(self)


def now() -> str:
    """The time, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def comparable(figures: Iterable[Figure]) -> None:
    """Lets figures pass whose names and protocols are the same.

    Raises:
        UsageError: names the first thing in which two of them differ, and its two values.
    """
    first, *others = figures
    for other in others:
        if other.name != first.name:
            raise UsageError(f"not comparable: {first.name} and {other.name} are different figures")
        for key in {**first.protocol, **other.protocol}:
            values = first.protocol.get(key), other.protocol.get(key)
            if values[0] != values[1]:
                raise UsageError(
                    f"not comparable: {first.name} was computed by two protocols, with {key} "
                    f"{values[0]} and {values[1]}"
                )
