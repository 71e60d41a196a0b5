import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from touchstone import metrics
from touchstone.data import digits as source
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Digits, Extractor, StackedDigits, digits, load

Noise = Callable[..., Tensor]
Features = Callable[[Extractor, Tensor], Tensor]
WEIGHTS = Path(metrics.__file__).with_name("digits.safetensors")


def test_digits_gives_32_features_whatever_the_size_and_channels(
    noise: Noise, features: Features
) -> None:
    extractor = load("digits")
    for shape in [(3, 1, 8, 8), (3, 1, 28, 28), (3, 3, 32, 32), (3, 3, 100, 60)]:
        taken = features(extractor, noise(*shape))
        assert (taken.shape, taken.dtype) == ((3, 32), torch.float32)
    assert (extractor.name, extractor.num_features) == ("digits", 32)


def test_the_features_that_published_figures_stand_on(features: Features) -> None:
    grey = torch.full((1, 1, 32, 32), 200, dtype=torch.uint8)
    expected = torch.tensor([1.45962, 0.67820, -0.14548, -0.59835])
    torch.testing.assert_close(
        features(load("digits"), grey)[0, :4], expected, rtol=1e-4, atol=1e-4
    )


def test_the_packaged_weights_are_small_and_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WEIGHTS.stat().st_size < 300_000
    monkeypatch.setattr(digits, "DIGITS_SHA256", "0" * 64)
    with pytest.raises(UsageError, match=r"digits\.safetensors is missing or damaged"):
        Digits()


@pytest.mark.parametrize("resolution", [28, 32])
def test_it_knows_the_digits_it_was_not_trained_on(resolution: int) -> None:
    images = source.load(split="test", resolution=resolution)
    with safe_open(WEIGHTS, "pt") as file:
        stated = json.loads(file.metadata()["training"])["test_accuracy"]
    assert stated == 0.9944  # 353 of 355
    with torch.no_grad():
        answers = Digits().classifier(images.pixels).argmax(1)
    right = int((answers == images.labels).sum())
    assert right == pytest.approx(353, abs=1)


def test_a_stack_is_judged_channel_by_channel(noise: Noise, features: Features) -> None:
    single, stacked, images = Digits(), StackedDigits(), noise(5, 3, 32, 32)
    taken = features(stacked, images)
    assert taken.shape == (5, stacked.num_features) == (5, 96)
    alone = torch.cat([features(single, images[:, n : n + 1]) for n in range(3)], 1)
    torch.testing.assert_close(taken, alone, rtol=1e-4, atol=1e-4)


def test_a_numbers_probability_is_the_product_of_its_digits(
    noise: Noise, features: Features
) -> None:
    stacked, images = StackedDigits(), noise(5, 3, 32, 32)
    with torch.no_grad():
        numbers = stacked.logits(features(stacked, images)).exp()
        a, b, c = (stacked.digits.classifier(images[:, n : n + 1]).softmax(1) for n in range(3))
    assert numbers.shape == (5, 1000)
    torch.testing.assert_close(numbers.sum(1), torch.ones(5))
    torch.testing.assert_close(numbers[:, 472], a[:, 4] * b[:, 7] * c[:, 2], rtol=1e-3, atol=1e-7)


def test_a_stack_has_three_channels(noise: Noise, features: Features) -> None:
    with pytest.raises(UsageError, match=r"images of 3 channels.*extractor=digits"):
        features(StackedDigits(), noise(2, 1, 32, 32))
