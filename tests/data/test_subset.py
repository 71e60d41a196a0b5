import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from touchstone.data.images import Images
from touchstone.data.subset import labelled, rest, subset
from touchstone.errors import UsageError


def images(labels: list[int] | None, number: int = 12) -> Images:
    pixels = torch.arange(number).byte().reshape(number, 1, 1, 1)
    return Images(pixels, None if labels is None else torch.tensor(labels), ("a", "b", "c"))


UNEVEN = [0] * 7 + [1] * 4 + [2]


def test_a_subset_has_as_many_of_each_class_as_can_be() -> None:
    part = subset(images(UNEVEN), 9)
    assert part.labels is not None
    # The only one of c, all four of b, and of a what is left.
    assert part.labels.bincount().tolist() == [4, 4, 1]
    assert len(part) == 9


def test_samples_keep_their_labels_and_their_order() -> None:
    whole = images(UNEVEN)
    part = subset(whole, 6)
    places = part.pixels.flatten().long()
    assert part.labels is not None
    assert whole.labels is not None
    assert part.labels.equal(whole.labels[places])
    assert places.equal(places.sort().values)


def test_a_larger_subset_contains_the_smaller() -> None:
    whole = images(None)
    small, large = (set(subset(whole, n).pixels.flatten().tolist()) for n in (4, 7))
    assert small < large
    assert len(small) == 4
    assert subset(whole, 4).content_hash == subset(images(None), 4).content_hash


def test_the_rest_is_what_a_subset_leaves_out() -> None:
    whole = images(UNEVEN)
    taken, left = (part(whole, 5).pixels.flatten().tolist() for part in (subset, rest))
    assert left == sorted(set(range(12)) - set(taken))
    labels = rest(whole, 5).labels
    assert labels is not None
    assert whole.labels is not None
    assert labels.equal(whole.labels[left])
    assert len(rest(whole, 12)) == len(rest(whole, None)) == 0


def test_labels_that_are_not_kept_become_minus_one() -> None:
    whole = images([0, 1, 2] * 4)
    part = labelled(whole, 6)
    assert part.labels is not None
    assert whole.labels is not None
    assert part.pixels.equal(whole.pixels)
    kept = part.labels >= 0
    assert part.labels[kept].bincount().tolist() == [2, 2, 2]
    assert part.labels[kept].equal(whole.labels[kept])
    assert (part.labels[~kept] == -1).all()


def test_a_split_on_another_device_is_divided_as_well() -> None:
    with FakeTensorMode():  # refuses to mix devices, as a GPU does
        whole = Images(torch.zeros(12, 1, 1, 1, dtype=torch.uint8, device="cuda"), None, ("a",))
        part = subset(whole, 5)

    assert (part.device.type, len(part)) == ("cuda", 5)


def test_none_is_all() -> None:
    whole = images(UNEVEN)
    assert subset(whole, None) is whole
    assert labelled(whole, None) is whole


def test_refuses_more_than_there_are() -> None:
    with pytest.raises(UsageError, match=r"subset=13: the data has 12"):
        subset(images(None), 13)
    with pytest.raises(UsageError, match=r"subset=13: the data has 12"):
        rest(images(None), 13)
    with pytest.raises(UsageError, match=r"labelled=13: the data has 12"):
        labelled(images(UNEVEN), 13)
    with pytest.raises(UsageError, match=r"labelled=3: the data has no labels"):
        labelled(images(None), 3)
