import math

import pytest
import torch
from torch import Tensor, nn

from touchstone.data import Points, gaussians
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.evaluation import check
from touchstone.metrics.fid import FID
from touchstone.metrics.point_modes import PointModes, modes
from touchstone.metrics.sets import Drawn, ImageSet, Sets, Stored

# Two modes, at (0, 0) and (10, 0), each a cross of four points around it. The squares of the
# distances add up to 8; of 16 numbers 4 are the means', so the deviation is sqrt(8 / 12) = 0.8165
# and three of them 2.449.
CROSS = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
REAL = torch.cat([CROSS, CROSS + torch.tensor([10.0, 0])])


def points(values: Tensor, *labels: int) -> ImageSet:
    given = torch.tensor(labels) if labels else None
    return ImageSet(Stored(Points(values, given, ("left", "right"))), "reference")


def figures(*values: tuple[float, float]) -> dict[str, float]:
    sets = Sets(points(torch.tensor(values)), points(REAL, *[0] * 4, *[1] * 4))
    metric = PointModes()
    check({"point_modes": metric}, sets)
    return metric(sets)


def test_the_modes_are_the_labels_means_and_their_common_deviation() -> None:
    means, deviation = modes(REAL, torch.tensor([0] * 4 + [1] * 4), 2)
    assert means.tolist() == [[0, 0], [10, 0]]
    assert deviation.item() == pytest.approx(math.sqrt(8 / 12), rel=1e-12)


def test_what_lies_within_three_deviations_hits_its_mode() -> None:
    assert figures((0, 2.44), (10, -2.44)) == {
        "modes": 2,
        "modes/high_quality": 1,
        "modes/reverse_kl": 0,
    }
    found = figures((0, 2.44), (10, 2.46), (10, -2.46), (7, 0))
    assert (found["modes"], found["modes/high_quality"]) == (1, 0.25)


def test_every_point_counts_for_the_mode_that_is_nearest() -> None:
    # Shares of 1/4 and 3/4 against halves, however far away.
    found = figures((0, 0), (5.1, 0), (300, 0), (10, 9))
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert found["modes/reverse_kl"] == pytest.approx(expected, rel=1e-12)
    assert figures((0.0, 0.0))["modes/reverse_kl"] == pytest.approx(math.log(2), rel=1e-12)


def test_the_datas_own_points_are_nearly_all_of_high_quality() -> None:
    for arrangement, number in (("ring", 8), ("grid", 25)):
        train, test = (
            ImageSet(Stored(gaussians.load(split, arrangement)), split)
            for split in ("train", "test")
        )
        found = PointModes()(Sets(test, train))
        assert found["modes"] == number
        # The squared distance over the variance is exponential with mean 2 in the plane.
        assert found["modes/high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.004)
        assert found["modes/reverse_kl"] == pytest.approx(0, abs=1e-9)


def test_a_generators_points_are_not_rounded_to_pixels() -> None:
    class Spread(nn.Module):
        latent_size = 2

        def forward(self, latents: Tensor) -> Tensor:
            return 5 * latents

    drawn = ImageSet(Drawn(Spread(), 300, seed=0, device="cpu"), "generated").pixels()
    assert (drawn.shape, drawn.dtype) == ((300, 2), torch.float32)
    assert drawn.std().item() == pytest.approx(5, rel=0.1)


def test_points_are_for_metrics_of_points_and_images_for_those_of_images() -> None:
    real = points(REAL, *[0] * 4, *[1] * 4)
    images = ImageSet(Stored(Images(torch.zeros(4, 1, 2, 2).byte(), None, ())), "images")
    fid = FID.__new__(FID)  # refused before it is asked for anything
    with pytest.raises(UsageError, match=r"^metrics=fid: .* are points: .*metrics=point_modes"):
        check({"fid": fid}, Sets(real, real))
    with pytest.raises(UsageError, match=r"^metrics=point_modes: .* are images: .*metrics=fid"):
        check({"point_modes": PointModes()}, Sets(images, images))


def test_points_without_modes_are_refused() -> None:
    plain = points(REAL)
    with pytest.raises(UsageError, match=r"^reference: the points have no labels"):
        PointModes().check(Sets(plain, plain))
    lonely = points(REAL[:3], 0, 0, 1)
    with pytest.raises(UsageError, match=r"1 points are of the class right"):
        PointModes().check(Sets(plain, lonely))
