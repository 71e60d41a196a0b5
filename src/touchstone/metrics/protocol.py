"""A protocol: what makes two figures comparable."""

from dataclasses import dataclass
from typing import Any

from touchstone.errors import UsageError
from touchstone.metrics.metric import Metric
from touchstone.metrics.sets import Sets


@dataclass(frozen=True)
class Protocol:
    """How figures are computed, for all metrics of an evaluation, which bring the extractor.

    Attributes:
        generated: how many images are generated; of a folder of images, how many there are.
        reference: the split of the real data, `train` or `test`; `all` of a folder.
        seed: of the latents.
        truncation: of the generator, as in `touchstone.truncation`; None: as it was trained.
        standing: batches that its standing statistics are taken of; 0: its running averages.

    Raises:
        UsageError: a number that makes no sense, or a split that does not exist.
    """

    generated: int
    reference: str
    seed: int
    truncation: float | None = None
    standing: int = 0

    def __post_init__(self) -> None:
        for key, least in (("generated", 1), ("seed", 0)):
            value = getattr(self, key)
            if type(value) is not int or value < least:
                raise UsageError(
                    f"protocol.{key}={value}: it has to be a whole number, {least} or more"
                )
        if self.reference not in ("train", "test", "all"):
            raise UsageError(f"protocol.reference={self.reference}: it has to be train or test")

    def name(self, quantity: str, metric: Metric) -> str:
        """The name of a figure: `fid10k_fashion`, `kid50k_inception_test/deviation`.

        With truncation `fid10k_fashion_t0.5`, and with standing statistics of 100 batches
        `fid10k_fashion_t0.5_standing100`.
        """
        headline, slash, rest = quantity.partition("/")
        thousands, hundreds = divmod(self.generated, 1000)
        count = str(self.generated) if hundreds or not thousands else f"{thousands}k"
        if not getattr(metric, "counts_generated", True):
            count = ""  # a figure of real items
        extractor = "" if metric.extractor is None else f"_{metric.extractor.name}"
        split = "_test" if self.reference == "test" else ""
        truncation = "" if self.truncation is None else f"_t{self.truncation:g}"
        standing = f"_standing{self.standing}" if self.standing else ""
        return f"{headline}{count}{extractor}{split}{truncation}{standing}{slash}{rest}"

    def sampled_as(self) -> dict[str, Any]:
        """What is not as the generator was trained, as it stands in a figure's record."""
        truncation = {} if self.truncation is None else {"truncation": self.truncation}
        return truncation | ({"standing": self.standing} if self.standing else {})

    def of(self, metric: Metric, sets: Sets) -> dict[str, Any]:
        """All that a metric's figures depend on beside the generator, in plain values."""
        settings = {
            key.lstrip("_"): value
            for key, value in vars(metric).items()
            if isinstance(value, bool | int | float | str)
        }
        extractor = metric.extractor
        features = (
            {}
            if extractor is None
            else {"extractor": extractor.name, "features": extractor.fingerprint}
        )
        return {
            **features,
            "generated": self.generated,
            "reference": self.reference,
            "real": sets.reference.source.content_hash,
            "seed": self.seed,
            **self.sampled_as(),
            **settings,
        }
