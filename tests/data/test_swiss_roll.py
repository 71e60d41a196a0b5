import math

import pytest
import torch

from touchstone.data import swiss_roll
from touchstone.errors import UsageError


def test_it_is_a_spiral_with_noise() -> None:
    points = swiss_roll.load()
    assert points.values.shape == (100_000, 2)
    assert (points.labels, points.classes) == (None, ())
    values = 16 * points.values.double()
    radius, angle = values.norm(dim=1), torch.atan2(values[:, 1], values[:, 0])
    # On the spiral the radius is the angle, but for whole turns: 1.5 pi to 4.5 pi.
    turns = ((radius - angle) / (2 * math.pi)).round()
    across = radius - angle - 2 * math.pi * turns
    assert turns.unique().tolist() == [1, 2]
    # Noise along the spiral turns the angle by 0.25 / t, and so adds (0.25 / t)² to 0.25²; on the
    # mean over t, 0.25² / (1.5 pi 4.5 pi).
    expected = 0.25 * math.sqrt(1 + 1 / (1.5 * math.pi * 4.5 * math.pi))
    assert across.std().item() == pytest.approx(expected, rel=0.01)
    # Uniform on [1.5 pi, 4.5 pi]: a mean of 3 pi, a deviation of 3 pi / sqrt(12).
    assert radius.mean().item() == pytest.approx(3 * math.pi, abs=0.05)
    assert radius.std().item() == pytest.approx(3 * math.pi / math.sqrt(12), rel=0.01)
    assert values.abs().max() < 16


def test_the_points_are_always_the_same_and_others_for_the_test() -> None:
    assert swiss_roll.load().content_hash == swiss_roll.load().content_hash
    test = swiss_roll.load("test")
    assert len(test) == 10_000
    assert not torch.equal(test.values, swiss_roll.load().values[:10_000])
    with pytest.raises(UsageError, match=r"^split=valid: it has to be train or test$"):
        swiss_roll.load("valid")
