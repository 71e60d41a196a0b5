"""Every metric's figures of one set of generated images, on all processes together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from PIL.Image import Image

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.metric import Metric
from touchstone.metrics.protocol import Protocol
from touchstone.metrics.sets import Sets, of_first, processes
from touchstone.tracking.figures import Figure, now


@dataclass(frozen=True)
class Evaluated:
    """What a metric came to.

    Attributes:
        figures: the headline first.
        pictures: to look at, by name; on the first process alone.
    """

    figures: list[Figure]
    pictures: dict[str, Image]


def evaluate(
    metrics: Mapping[str, Metric],
    protocol: Protocol,
    sets: Sets,
    *,
    generator: str | None = None,
    images: int | None = None,
) -> Iterator[Evaluated]:
    """Computes the figures of one metric after the other, from features computed once for all.

    Every process of a job has to go through all of it.

    Args:
        metrics: by name.
        protocol: what they go by.
        sets: the images.
        generator: the hash of the generator's weights.
        images: how many images the generator was trained with.

    Raises:
        UsageError: figures that cannot be computed; at once where that can be known.
    """
    check(metrics, sets)
    return _evaluated(metrics, protocol, sets, generator, images)


def check(metrics: Mapping[str, Metric], sets: Sets) -> None:
    """Refuses what no figure can be computed from, before anything is generated.

    Raises:
        UsageError: a metric of images for points, or one of points for images; and see
            `Metric.check`.
    """
    dimensions = sets.reference.source.chunk(0).ndim - 1
    kinds = {1: "points", 3: "images"}
    advice = {1: "point_modes, of rows of a table metrics=utility", 3: "fid"}
    for name, metric in metrics.items():
        asked = getattr(metric, "dimensions", 3)
        if asked != dimensions:
            raise UsageError(
                f"metrics={name}: it is of {kinds[asked]}, and the data are {kinds[dimensions]}: "
                f"choose metrics={advice[dimensions]}, or metrics=none"
            )
        metric.check(sets)


def _evaluated(
    metrics: Mapping[str, Metric],
    protocol: Protocol,
    sets: Sets,
    generator: str | None,
    images: int | None,
) -> Iterator[Evaluated]:
    sets.reference.extract(*extractors(metrics))
    sets.generated.extract(*extractors(metrics))
    for metric in metrics.values():
        figures, pictures = list[Figure](), dict[str, Image]()
        if processes().rank == 0:
            by = protocol.of(metric, sets)
            for quantity, value in metric(sets).items():
                name = protocol.name(quantity, metric)
                if isinstance(value, Image):
                    pictures[name] = value
                else:
                    higher = higher_is_better(metric, quantity)
                    figures.append(Figure(name, float(value), by, generator, images, now(), higher))
        yield Evaluated(of_first(figures), pictures)


def higher_is_better(metric: Metric, quantity: str) -> bool:
    """Of a figure: what its metric says of the first, but for those that it names as contrary."""
    contrary = getattr(metric, "contrary", frozenset[str]())
    return metric.higher_is_better != (quantity.rpartition("/")[2] in contrary)


def extractors(metrics: Mapping[str, Metric]) -> list[Extractor]:
    """The extractors that metrics ask for, each once."""
    asked = (metric.extractor for metric in metrics.values() if metric.extractor is not None)
    return list({extractor.fingerprint: extractor for extractor in asked}.values())
