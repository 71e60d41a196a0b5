import math

import pytest
import torch
from torch import Tensor

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.modes import Modes
from touchstone.metrics.sets import ImageSet, Sets, Stored


class Classifier(Extractor):
    """An image of one pixel is of the class that the pixel names, among four."""

    name = fingerprint = "classifier"
    num_features = 4

    def forward(self, images: Tensor) -> Tensor:
        return torch.eye(4)[images.flatten().long()]

    def logits(self, features: Tensor) -> Tensor:
        return 5 * features - 1


class Blind(Classifier):
    logits = Extractor.logits


def images(*classes: int, labels: list[int] | None = None, known: int = 4) -> ImageSet:
    pixels = torch.tensor(classes, dtype=torch.uint8).view(-1, 1, 1, 1)
    names = tuple("abcdefgh"[:known]) if labels else ()
    given = torch.tensor(labels) if labels else None
    return ImageSet(Stored(Images(pixels, given, names)), "reference" if labels else "generated")


REAL = images(0, 1, 2, 3, labels=[0, 1, 2, 3])


def figures(generated: ImageSet, real: ImageSet = REAL) -> dict[str, float]:
    metric, both = Modes(Classifier()), Sets(generated, real)
    metric.check(both)
    return metric(both)


def test_shares_as_the_datas_have_no_divergence() -> None:
    assert figures(images(0, 1, 2, 3, 3, 2, 1, 0)) == {
        "modes": 4,
        "modes/reverse_kl": 0,
        "modes/accuracy": 1,
    }


def test_missing_modes_cost_what_the_divergence_says() -> None:
    # Half of each of two classes, against a quarter: 2 * 1/2 log(1/2 / 1/4) = log 2.
    found = figures(images(0, 0, 2, 2))
    assert found["modes"] == 2
    assert found["modes/reverse_kl"] == pytest.approx(math.log(2), rel=1e-12)
    # One class only: log 4. One image hits a mode: 3/4 log 3 + 1/4 log 1.
    assert figures(images(3, 3, 3))["modes/reverse_kl"] == pytest.approx(math.log(4), rel=1e-12)
    found = figures(images(3, 3, 3, 1))
    assert found["modes"] == 2
    assert found["modes/reverse_kl"] == pytest.approx(0.75 * math.log(3), rel=1e-12)


def test_the_shares_of_the_data_are_counted_and_not_assumed_equal() -> None:
    # p = (5, 1, 1, 1) / 8, q = (1, 1, 0, 0) / 2: log(4/5) / 2 + log(4) / 2. The other direction
    # would be infinite.
    real = images(0, 0, 0, 0, 0, 1, 2, 3, labels=[0, 0, 0, 0, 0, 1, 2, 3])
    found = figures(images(0, 1), real)
    assert found["modes/reverse_kl"] == pytest.approx(math.log(16 / 5) / 2, rel=1e-12)


def test_the_classifiers_accuracy_is_that_on_real_images() -> None:
    real = images(0, 1, 2, 2, labels=[0, 1, 2, 3])
    assert figures(images(0), real)["modes/accuracy"] == 3 / 4


def test_what_has_no_modes_is_refused() -> None:
    generated = images(0, 1)
    metric = Modes(Classifier())
    with pytest.raises(UsageError, match=r"^generated: the images have no labels.*metrics=modes"):
        metric.check(Sets(generated, generated))
    with pytest.raises(UsageError, match=r"its 3 classes; protocol\.extractor=classifier knows 4"):
        metric.check(Sets(generated, images(0, 1, 2, labels=[0, 1, 2], known=3)))
    with pytest.raises(UsageError, match=r"no image is of the class c;"):
        metric.check(Sets(generated, images(0, 1, 3, labels=[0, 1, 3])))
    with pytest.raises(UsageError, match=r"is no classifier"):
        Modes(Blind()).check(Sets(generated, REAL))
