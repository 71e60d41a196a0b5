import itertools
import math

import pytest
import torch
from torch import Tensor

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.class_fid import ClassFID
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.fid import FID
from touchstone.metrics.sets import ImageSet, Sets, Stored

# 16 points of mean 0 and covariance I over N - 1, exactly: the corners of a cube.
CORNERS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4))) * math.sqrt(15 / 16)
# Four clouds of them: N(0, I), N(1, 4 I), N(0, 4 I), N(9, I).
TABLE = torch.cat([CORNERS, 1 + 2 * CORNERS, 2 * CORNERS, 9 + CORNERS])


class Table(Extractor):
    """Looks an image of one pixel up in the table of features."""

    name = fingerprint = "table"
    num_features = 4

    def forward(self, images: Tensor) -> Tensor:
        return TABLE[images.flatten().long()]


def clouds(*numbers: int, names: tuple[str, ...] = ("cat", "dog"), drop: int = 0) -> ImageSet:
    """One of the clouds for each class, interleaved; `drop` images are left out at the end."""
    pixels = torch.stack([16 * number + torch.arange(16) for number in numbers], 1).flatten()
    labels = torch.arange(len(numbers)).repeat(16)
    count = len(pixels) - drop
    images = Images(pixels[:count].view(-1, 1, 1, 1).byte(), labels[:count], names)
    return ImageSet(Stored(images), "set")


def figures(generated: ImageSet, real: ImageSet) -> dict[str, float]:
    metric, both = ClassFID(Table()), Sets(generated, real)
    metric.check(both)
    return metric(both)


def test_each_class_has_the_distance_worked_out_by_hand() -> None:
    # N(0, I) to N(1, 4 I): |1|^2 + tr(I) = 8. N(9, I) to N(0, 4 I): 4 * 81 + 4 = 328.
    found = figures(clouds(0, 3), clouds(1, 2))
    assert found == pytest.approx(
        {"class_fid": 168, "class_fid/cat": 8, "class_fid/dog": 328}, abs=1e-4
    )
    assert next(iter(found)) == "class_fid"


def test_it_sees_swapped_classes_where_the_fid_does_not() -> None:
    right, swapped = clouds(0, 3), clouds(3, 0)
    assert FID(Table())(Sets(swapped, right))["fid"] == pytest.approx(0, abs=1e-4)
    assert figures(right, right)["class_fid"] == pytest.approx(0, abs=1e-6)
    assert figures(swapped, right)["class_fid"] == pytest.approx(4 * 81, abs=1e-4)


def test_classes_are_matched_by_name_or_number() -> None:
    real = clouds(0, 3)
    by_name = figures(clouds(3, 0, names=("dog", "cat")), real)
    assert by_name["class_fid"] == pytest.approx(0, abs=1e-6)
    by_number = figures(clouds(3, 0, names=("1", "0")), real)
    assert by_number["class_fid"] == pytest.approx(0, abs=1e-6)


def test_what_cannot_be_compared_is_refused() -> None:
    real, metric = clouds(0, 3), ClassFID(Table())
    plain = ImageSet(Stored(Images(torch.zeros(64, 1, 1, 1).byte(), None, ())), "generated")
    for generated, reference in ((plain, real), (real, plain)):
        with pytest.raises(UsageError, match=r"the images have no labels, which metrics=class_fid"):
            metric.check(Sets(generated, reference))
    with pytest.raises(UsageError, match=r"the classes are cat, cow; .* numbers: cat, dog$"):
        metric.check(Sets(clouds(0, 3, names=("cat", "cow")), real))
    with pytest.raises(UsageError, match=r"the classes are cat, dog, cow"):
        metric.check(Sets(clouds(0, 3, 1, names=("cat", "dog", "cow")), real))
    metric.check(Sets(clouds(0, 3, drop=24), real))
    with pytest.raises(UsageError, match=r"^set: 3 images of the class dog .*=table has .*, 4$"):
        metric.check(Sets(clouds(0, 3, drop=25), real))
