"""What every metric is: a function of generated and real images that gives figures."""

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from PIL.Image import Image

from touchstone.metrics.extractors import Extractor
from touchstone.metrics.sets import Sets

Result: TypeAlias = Mapping[str, float | Image]


class Metric(Protocol):
    """Figures of generated images, mostly against real ones.

    One of points says so by an attribute `dimensions = 1`: those of one sample, without which it is
    of images and their 3. One whose figures do not all go the way of the first names those that go
    the other way in `contrary`, the last words of `modes/reverse_kl`. One that looks at what no
    choice may be made by, such as counterfeits, says so by `chooses = False`.
    """

    @property
    def higher_is_better(self) -> bool:
        """Of the first figure, by which the best checkpoint is chosen."""

    @property
    def extractor(self) -> Extractor | None:
        """Whose features it asks the sets for; None where it asks for none."""

    def check(self, sets: Sets) -> None:
        """Refuses what no figure can be computed from, before anything is generated.

        Raises:
            UsageError: names the setting that is wrong: too few images, no labels, no generator.
        """

    def __call__(self, sets: Sets) -> Result:
        """Computes the figures, the headline first, and pictures to look at.

        Names are `fid`, or `fid/deviation` for what belongs to a headline; the protocol is added
        to them by whoever asked. Called on the first process alone, with every feature at hand.
        """
