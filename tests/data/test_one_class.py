from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from touchstone.data import digits, one_class
from touchstone.data.images import Images
from touchstone.errors import UsageError

SOURCE = partial(digits.load, Path("nowhere"), resolution=8, channels=1)


def test_the_training_split_is_the_class_alone() -> None:
    whole, found = SOURCE(split="train"), one_class.load("train", SOURCE, 3)
    assert whole.labels is not None
    assert found.labels is not None
    assert set(found.labels.tolist()) == {3}
    assert found.classes == whole.classes
    assert torch.equal(found.pixels, whole.pixels[whole.labels == 3])


def test_the_test_split_is_whole() -> None:
    whole, found = SOURCE(split="test"), one_class.load("test", SOURCE, 3)
    assert found.content_hash == whole.content_hash
    assert torch.equal(found.labels, whole.labels)  # type: ignore[arg-type]


def test_a_class_goes_by_its_name_too() -> None:
    by_name = one_class.load("train", named, "Coat")
    assert by_name.content_hash == one_class.load("train", named, 1).content_hash
    assert by_name.labels is not None
    assert by_name.labels.tolist() == [1, 1]


@pytest.mark.parametrize("genuine", [2, -1, "Boat"])
def test_another_class_is_refused(genuine: int | str) -> None:
    known = r"it has to be one of the classes 0 \(Bag\), 1 \(Coat\)$"
    with pytest.raises(UsageError, match=rf"^data\.genuine={genuine}: {known}"):
        one_class.load("test", named, genuine)


def test_a_source_without_labels_is_refused() -> None:
    with pytest.raises(UsageError, match="no labels"):
        one_class.load("train", lambda split: named(split).relabel(None), 0)


def test_the_settings_are_the_sources_own(composed: Callable[..., DictConfig]) -> None:
    settings = composed("data=one_class", "data@data.source=digits", "data.genuine=7")
    data = settings.data
    assert (data.name, data.source.name) == ("one_class", "digits")
    for setting in ("resolution", "channels", "classes", "extractor"):
        assert data[setting] == data.source[setting]
    images = instantiate(data.load)(split="train")
    assert set(images.labels.tolist()) == {7}
    assert images.shape == (data.channels, data.resolution, data.resolution)


def named(split: str) -> Images:
    """Three pictures of two classes with names."""
    pixels = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    return Images(pixels, torch.tensor([0, 1, 1]), ("Bag", "Coat"))
