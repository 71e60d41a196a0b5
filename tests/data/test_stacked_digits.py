from pathlib import Path

import pytest
import torch

from touchstone.data import Images, digits, stacked_digits
from touchstone.errors import UsageError


def load(split: str = "train", **settings: object) -> Images:
    return stacked_digits.load(Path("nowhere"), split, 8, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("split", "number"), [("train", 50_000), ("test", 10_000)])
def test_each_channel_is_a_digit_of_the_split_and_the_label_its_number(
    split: str, number: int
) -> None:
    stacked, single = load(split), digits.load(split=split, resolution=8)
    assert stacked.pixels.shape == (number, 3, 8, 8)
    assert single.labels is not None
    assert stacked.labels is not None
    known = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(single.pixels, single.labels, strict=True)
    }
    for image, label in zip(stacked.pixels[:500], stacked.labels[:500], strict=True):
        a, b, c = (known[channel.numpy().tobytes()] for channel in image)
        assert int(label) == 100 * a + 10 * b + c
        assert stacked.classes[label] == f"{a}{b}{c}"


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_number_is_there_about_as_often(split: str) -> None:
    labels = load(split).labels
    assert labels is not None
    counts = labels.bincount(minlength=1000)
    assert len(counts) == 1000
    assert counts.min() > 0
    # The digits are not equally many, so the counts are a little wider than by Poisson's law.
    mean = len(labels) / 1000
    assert mean <= counts.double().var() < 2 * mean


def test_the_triples_are_always_the_same() -> None:
    first, again = load("test"), load("test")
    assert first.content_hash == again.content_hash
    assert not torch.equal(first.pixels[:, 0], first.pixels[:, 1])


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^data\.channels=1: .*it has to be 3$"):
        load(channels=1)
    with pytest.raises(UsageError, match=r"^data\.source=cats: it has to be digits or mnist$"):
        load(source="cats")
    with pytest.raises(UsageError, match=r"^split=valid"):
        load("valid")
