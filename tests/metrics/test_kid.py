import pytest
import torch
from torch import Tensor

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.kid import KID
from touchstone.metrics.sets import ImageSet, Sets, Stored


class Table(Extractor):
    """Looks an image of one pixel up in a table of features."""

    name, fingerprint = "table", "table"

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows, self.num_features = rows, rows.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        return self.rows[images.flatten().long()]


def chosen(name: str, start: int, stop: int) -> ImageSet:
    pixels = torch.arange(start, stop, dtype=torch.uint8).view(-1, 1, 1, 1)
    return ImageSet(Stored(Images(pixels, None, ())), name)


def test_two_points_of_each_kind_by_hand() -> None:
    # One dimension, k(x, y) = (x y + 1)^3; generated 0 and 1, real 1 and 2.
    # k(0, 1) = 1 and k(1, 2) = 27, each twice over m (m - 1) = 2; the mixed k are 1, 1, 8, 27.
    kid = KID(Table(torch.tensor([[0.0], [1.0], [1.0], [2.0]])), subsets=3, subset_size=2)
    figures = kid(Sets(chosen("fake", 0, 2), chosen("real", 2, 4)))
    assert figures["kid"] == pytest.approx(1 + 27 - 2 * 37 / 4, rel=1e-6)
    assert figures["kid/deviation"] == pytest.approx(0, abs=1e-6)


def test_it_is_unbiased() -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(256, 4, generator=generator)
    kid = KID(Table(table), subsets=300, subset_size=20)
    figures = kid(Sets(chosen("fake", 0, 128), chosen("real", 128, 256)))
    # Draws of one distribution: nothing but noise, on either side of 0.
    assert figures["kid"] == pytest.approx(0, abs=figures["kid/deviation"] / 2)
    assert figures["kid/deviation"] > 0


def test_sets_smaller_than_a_subset_are_refused() -> None:
    kid = KID(Table(torch.zeros(8, 1)), subset_size=4)
    kid.check(Sets(chosen("fake", 0, 4), chosen("real", 4, 8)))
    with pytest.raises(UsageError, match=r"^fake: 3 images .*kid\.subset_size=4$"):
        kid.check(Sets(chosen("fake", 0, 3), chosen("real", 4, 8)))
    with pytest.raises(UsageError, match=r"^real: 3 images"):
        kid.check(Sets(chosen("fake", 0, 4), chosen("real", 4, 7)))
