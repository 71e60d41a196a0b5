import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig

from touchstone.cli.checks import check
from touchstone.data import gaussians
from touchstone.errors import UsageError
from touchstone.metrics.point_modes import modes


@pytest.mark.parametrize(
    ("arrangement", "number", "deviation"),
    # In the papers' units 0.02 and 0.05.
    [("ring", 8, 0.02 / 2.5), ("grid", 25, 0.05 / 5)],
)
def test_the_deviation_is_the_papers(arrangement: str, number: int, deviation: float) -> None:
    points = gaussians.load(arrangement=arrangement)
    assert points.values.shape == (100_000, 2)
    assert len(points.classes) == number
    assert points.labels is not None
    assert points.labels.bincount().tolist() == [100_000 // number] * number
    _, found = modes(points.values, points.labels, number)
    # Its standard error is 1 / sqrt(2 * 200,000) of it, 0.16 %.
    assert found.item() == pytest.approx(deviation, rel=0.005)
    assert points.values.abs().max() < 0.9


def test_the_means_are_the_papers() -> None:
    points = gaussians.load()
    assert points.labels is not None
    ring, _ = modes(points.values, points.labels, 8)
    expected = [
        (0.8 * math.cos(n * math.pi / 4), 0.8 * math.sin(n * math.pi / 4)) for n in range(8)
    ]
    # A mean's standard error is 0.008 / sqrt(12,500).
    torch.testing.assert_close(ring, torch.tensor(expected).double(), rtol=0, atol=4e-4)

    points = gaussians.load(arrangement="grid")
    assert points.labels is not None
    grid, _ = modes(points.values, points.labels, 25)
    expected = [(x / 5, y / 5) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]
    torch.testing.assert_close(grid, torch.tensor(expected).double(), rtol=0, atol=8e-4)


def test_the_points_are_always_the_same_and_others_for_the_test() -> None:
    train, test = gaussians.load(), gaussians.load("test")
    assert train.content_hash == gaussians.load().content_hash
    assert len(test) == 10_000
    assert not torch.equal(test.values, train.values[:10_000])


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^data\.arrangement=star: it has to be ring or grid$"):
        gaussians.load(arrangement="star")
    with pytest.raises(UsageError, match=r"^split=valid: it has to be train or test$"):
        gaussians.load("valid")


def test_it_brings_what_suits_points(composed: Callable[..., DictConfig]) -> None:
    settings = composed("data=gaussians", "data.arrangement=grid", "logger=none")
    check(settings)
    assert (settings.model.name, settings.data.classes) == ("mlp_plane", 25)
    assert list(settings.metrics.figures) == ["point_modes"]
    assert settings.callbacks.samples["_target_"] == "touchstone.callbacks.Field"
    asked = composed("data=gaussians", "metrics=none", "callbacks=default", "model=dcgan")
    assert not settings.metrics.figures.keys() & asked.metrics.figures.keys()
    assert asked.callbacks.samples["_target_"] == "touchstone.callbacks.Samples"
    with pytest.raises(UsageError, match=r"^model=dcgan: it makes images.*use model=mlp_plane$"):
        check(asked)
