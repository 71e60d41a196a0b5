import math

import pytest
import torch
from torch import Tensor

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.inception_score import InceptionScore
from touchstone.metrics.sets import ImageSet, Sets, Stored


class Sure(Extractor):
    """Takes a pixel's value, 0 to 3, for the class, and is as sure of it as it is told."""

    name, num_features, fingerprint = "sure", 4, "sure"

    def __init__(self, sureness: float) -> None:
        super().__init__()
        self.sureness = sureness

    def forward(self, images: Tensor) -> Tensor:
        return torch.eye(4)[images.flatten().long()]

    def logits(self, features: Tensor) -> Tensor:
        return self.sureness * features


class Plain(Extractor):
    """Knows of no classes."""

    name, num_features, fingerprint = "plain", 1, "plain"

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).float()


def sets(*values: int) -> Sets:
    pixels = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1)
    images = ImageSet(Stored(Images(pixels, None, ())), "fake")
    return Sets(images, images)


def test_every_class_alike_and_beyond_doubt_gives_the_number_of_classes() -> None:
    figures = InceptionScore(Sure(50.0), splits=1)(sets(*[0, 1, 2, 3] * 10))
    assert figures["isc"] == pytest.approx(4, rel=1e-6)


def test_one_class_or_no_confidence_gives_one() -> None:
    assert InceptionScore(Sure(50.0), 1)(sets(*[2] * 40))["isc"] == pytest.approx(1, rel=1e-6)
    assert InceptionScore(Sure(0.0), 1)(sets(*[0, 1] * 20))["isc"] == pytest.approx(1, rel=1e-6)


def test_half_sure_of_two_classes_by_hand() -> None:
    # Logits log 3 apart: p = (1/2, 1/6, 1/6, 1/6); of two classes alike, q = (1/3, 1/3, 1/6, 1/6).
    divergence = math.log(1.5) / 2 + math.log(0.5) / 6
    figures = InceptionScore(Sure(math.log(3)), 1)(sets(*[0, 1] * 20))
    assert figures["isc"] == pytest.approx(math.exp(divergence), rel=1e-6)
    assert figures["isc/deviation"] == 0


def test_what_cannot_be_scored_is_refused() -> None:
    InceptionScore(Sure(1.0), 4).check(sets(0, 1, 2, 3))
    with pytest.raises(UsageError, match=r"^fake: 3 images .*isc\.splits=4$"):
        InceptionScore(Sure(1.0), 4).check(sets(0, 1, 2))
    with pytest.raises(UsageError, match="plain"):
        InceptionScore(Plain(), 1).check(sets(0, 1))
