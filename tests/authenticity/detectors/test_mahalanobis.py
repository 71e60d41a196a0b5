import pytest
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from touchstone.authenticity.detectors import mahalanobis
from touchstone.authenticity.detectors.detector import scores
from touchstone.authenticity.detectors.mahalanobis import Mahalanobis, shrunken
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.trained import Trained


def points(number: int, dimension: int) -> Tensor:
    draws = torch.Generator().manual_seed(1)
    mixing = torch.randn(dimension, dimension, generator=draws, dtype=torch.float64)
    drawn = torch.randn(number, dimension, generator=draws, dtype=torch.float64) @ mixing
    return drawn - drawn.mean(0)


@pytest.mark.parametrize(("number", "dimension"), [(200, 12), (30, 30), (20, 50)])
def test_the_covariance_is_that_of_ledoit_and_wolf(number: int, dimension: int) -> None:
    given = points(number, dimension)
    axes, variances, least = shrunken(given)
    expected = torch.from_numpy(LedoitWolf(assume_centered=True).fit(given.numpy()).covariance_)
    beside = torch.eye(dimension, dtype=torch.float64) - axes.T @ axes
    found = axes.T @ (variances[:, None] * axes) + least * beside
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(axes @ axes.T, torch.eye(len(axes), dtype=torch.float64))
    assert len(axes) == (dimension if dimension <= number else number - 1)  # the mean took one
    assert variances.equal(variances.sort(descending=True).values)


def drawn_images(number: int, side: int) -> Images:
    """Smooth noise, each its own."""
    draws = torch.Generator().manual_seed(2)
    noise = torch.randn(number, 1, side, side, generator=draws).cumsum(2).cumsum(3)
    return Images((128 + 12 * noise).clamp(0, 255).byte(), None, ())


@pytest.mark.parametrize(("number", "side"), [(300, 4), (40, 8)])
def test_the_score_is_sklearns_distance(pixels: Trained, number: int, side: int) -> None:
    images, others = drawn_images(number, side), drawn_images(number + 9, side)
    detector = Mahalanobis()
    detector.prepare(pixels, images.shape)
    detector.fit(images)

    seen = images.batch(torch.arange(number))[0].flatten(1).double().numpy()
    asked = others.batch(torch.arange(len(others)))[0].flatten(1).double().numpy()
    expected = torch.from_numpy(LedoitWolf().fit(seen).mahalanobis(asked)).float()
    torch.testing.assert_close(scores(detector, others), expected, rtol=1e-3, atol=1e-3)


def test_of_many_axes_the_last_share_one_variance(
    pixels: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mahalanobis, "AXES", 5)
    images = drawn_images(100, 4)
    detector = Mahalanobis()
    detector.prepare(pixels, images.shape)
    detector.fit(images)
    assert detector.axes.shape == (5, 16)

    seen = images.batch(torch.arange(100))[0].flatten(1).double()
    covariance = torch.from_numpy(LedoitWolf().fit(seen.numpy()).covariance_)
    values, vectors = torch.linalg.eigh(covariance)
    values[:-5] = values[:-5].mean()
    whitened = (seen - seen.mean(0)) @ vectors / values.sqrt()
    expected = whitened.square().sum(1).float()
    torch.testing.assert_close(scores(detector, images), expected, rtol=1e-3, atol=1e-3)


def test_items_that_are_all_the_same_leave_no_room(pixels: Trained) -> None:
    same = Images(torch.full((5, 1, 2, 2), 100, dtype=torch.uint8), None, ())
    detector = Mahalanobis()
    detector.prepare(pixels, same.shape)
    detector.fit(same)
    assert scores(detector, same).equal(torch.zeros(5))
    assert scores(detector, Images(same.pixels + 1, None, ())).gt(1e6).all()
    with pytest.raises(UsageError, match=r"detector=mahalanobis: .* 2 genuine items"):
        detector.fit(same.take(torch.tensor([0])))
