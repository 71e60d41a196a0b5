import pytest
import torch
from sklearn.datasets import load_digits

from touchstone.data import digits
from touchstone.errors import UsageError


def test_the_splits_part_the_set_class_by_class() -> None:
    train, test = (digits.load(split=split, resolution=8) for split in ("train", "test"))
    assert (len(train), len(test)) == (1442, 355)
    assert train.labels is not None
    assert test.labels is not None
    whole = torch.from_numpy(load_digits().target).bincount()
    assert torch.equal(test.labels.bincount(), whole // 5)
    assert torch.equal(train.labels.bincount() + test.labels.bincount(), whole)


def test_the_values_are_spread_over_a_byte() -> None:
    train = digits.load(resolution=8)
    first = torch.from_numpy(load_digits().images[0])
    assert torch.equal(train.pixels[0, 0], (first * 255 / 16).round().to(torch.uint8))
    assert train.pixels.max() == 255


def test_it_is_enlarged_for_the_networks() -> None:
    assert digits.load().pixels.shape == (1442, 1, 32, 32)
    assert digits.load(channels=3, split="test").pixels.shape == (355, 3, 32, 32)
    with pytest.raises(UsageError, match=r"data\.channels=4"):
        digits.load(channels=4)
