import pytest
import torch

from touchstone.data import Batches, Points
from touchstone.data.images import Images
from touchstone.data.split import Split
from touchstone.errors import UsageError


def numbered(count: int) -> Points:
    """Points whose coordinates and labels say which one they are."""
    values = torch.arange(2.0 * count).view(count, 2)
    return Points(values, torch.arange(count), tuple(str(number) for number in range(count)))


def test_what_it_says_of_itself() -> None:
    points = numbered(6)
    # Six points of two floats of four bytes.
    assert (len(points), points.shape, points.nbytes) == (6, (2,), 48)
    assert points.device == torch.device("cpu")
    pixels = torch.zeros(6, 3, 5, 4, dtype=torch.uint8)
    images: Split = Images(pixels, None, ())
    assert (images.shape, images.nbytes) == ((3, 5, 4), 360)
    assert images.device == torch.device("cpu")


def test_a_batch_has_its_points_and_labels_as_they_are_kept() -> None:
    samples, labels = numbered(6).batch(torch.tensor([3, 0]))
    assert samples.tolist() == [[6, 7], [0, 1]]
    assert labels is not None
    assert labels.tolist() == [3, 0]


def test_the_hash_is_that_of_shape_and_values() -> None:
    points = numbered(6)
    assert numbered(6).content_hash == points.content_hash
    assert Points(points.values.view(4, 3), None, ()).content_hash != points.content_hash
    changed = points.values.clone()
    changed[5, 1] += 1e-5
    assert Points(changed, None, ()).content_hash != points.content_hash


@pytest.mark.parametrize("memory", [0, 10**6])
def test_they_are_drawn_as_images_are(memory: int) -> None:
    points = numbered(10)
    batches = Batches(
        points,
        batch_size=5,
        critic_steps=1,
        seed=0,
        start=0,
        stop=10,
        memory=memory,
        memory_format=torch.channels_last,
    )
    samples, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert sorted(labels.tolist()) == list(range(10))
    assert torch.equal(samples, points.values[labels])


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (torch.zeros(2, 2).double(), None, "float64"),
        (torch.zeros(2, 2, 2), None, r"\(2, 2, 2\)"),
        (torch.zeros(2, 2), torch.zeros(3).long(), r"shape \(2,\)"),
        (torch.zeros(2, 2), torch.tensor([0, 2]), "0 to 1"),
    ],
)
def test_points_of_another_form_are_refused(
    values: torch.Tensor, labels: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Points(values, labels, ("a", "b"))


def test_a_joined_split_has_the_samples_of_both_in_order() -> None:
    points = numbered(6)
    joined = points.take(torch.tensor([4, 1])).join(points.take(torch.tensor([3])))
    samples, labels = joined.batch(torch.arange(3))
    assert samples.tolist() == [[8, 9], [2, 3], [6, 7]]
    assert labels is not None
    assert labels.tolist() == [4, 1, 3]
    unlabelled = points.relabel(None)
    assert unlabelled.join(unlabelled).labels is None
    pixels = torch.arange(12, dtype=torch.uint8).view(2, 1, 2, 3)
    images = Images(pixels[:1], torch.tensor([1]), ("a", "b"))
    both = images.join(Images(pixels[1:], torch.tensor([0]), ("a", "b")))
    assert both.content_hash == Images(pixels, None, ()).content_hash
    assert both.labels is not None
    assert both.labels.tolist() == [1, 0]
