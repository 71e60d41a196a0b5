import pytest
import torch
from torch import Tensor

from touchstone.data.digits import load
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.classification_accuracy import (
    ClassificationAccuracy,
    Classifier,
    train_classifier,
)
from touchstone.metrics.sets import ImageSet, Sets, Splits, Stored

TRAIN, TEST = load(resolution=16), load(split="test", resolution=16)
DIGITS = tuple("0123456789")


def labelled(pixels: Tensor, labels: Tensor | None, classes: tuple[str, ...] = DIGITS) -> ImageSet:
    return ImageSet(Stored(Images(pixels, labels, classes)), "generated")


def sets(generated: ImageSet, train: Images = TRAIN, test: Images = TEST) -> Sets:
    splits = Splits(load, device="cpu", cache=None, train=train, test=test)
    return Sets(generated, splits("train"), splits)


def figures(generated: ImageSet, epochs: int = 20) -> dict[str, float]:
    metric = ClassificationAccuracy(epochs)
    metric.check(sets(generated))
    return metric(sets(generated))


@pytest.fixture(scope="module")
def honest() -> dict[str, float]:
    """The figures of the real training images themselves, in another order."""
    order = torch.randperm(len(TRAIN), generator=torch.Generator().manual_seed(1))
    assert TRAIN.labels is not None
    return figures(labelled(TRAIN.pixels[order], TRAIN.labels[order]))


def test_real_images_classify_real_images(honest: dict[str, float]) -> None:
    assert list(honest) == ["cas", "cas/real", *(f"cas/{digit}" for digit in DIGITS)]
    assert 0.9 < honest["cas"] < 1
    assert honest["cas/real"] == pytest.approx(honest["cas"], abs=0.03)


def test_the_accuracy_is_the_classes_mean(honest: dict[str, float]) -> None:
    assert TEST.labels is not None
    counts = TEST.labels.bincount()
    mean = sum(float(counts[int(digit)]) * honest[f"cas/{digit}"] for digit in DIGITS) / len(TEST)
    assert honest["cas"] == pytest.approx(mean, rel=1e-9)


def test_labels_that_say_nothing_give_chance() -> None:
    assert TRAIN.labels is not None
    mixed = TRAIN.labels[torch.randperm(len(TRAIN), generator=torch.Generator().manual_seed(0))]
    computed = figures(labelled(TRAIN.pixels, mixed))
    assert 0.02 < computed["cas"] < 0.25
    assert computed["cas/real"] > 0.9


def test_a_class_that_the_generator_fails_at_shows(honest: dict[str, float]) -> None:
    # Zeros drawn as noise: the classifier never sees one.
    assert TRAIN.labels is not None
    pixels = TRAIN.pixels.clone()
    zeros = TRAIN.labels == 0
    pixels[zeros] = pixels[zeros].flatten(1).flip(1).roll(77, 1).view_as(pixels[zeros]) ^ 255
    computed = figures(labelled(pixels, TRAIN.labels))
    assert honest["cas/0"] > 0.95
    assert computed["cas/0"] < 0.2
    assert computed["cas/1"] == pytest.approx(honest["cas/1"], abs=0.2)


def test_as_many_real_images_are_trained_on_as_there_are_generated_ones() -> None:
    assert TRAIN.labels is not None
    few = figures(labelled(TRAIN.pixels[:100], TRAIN.labels[:100]), epochs=1)
    many = figures(labelled(TRAIN.pixels, TRAIN.labels), epochs=1)
    assert few["cas/real"] < many["cas/real"] - 0.1


def test_it_is_the_same_twice_and_touches_no_random_numbers() -> None:
    assert TRAIN.labels is not None
    generated = labelled(TRAIN.pixels[:200], TRAIN.labels[:200])
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = figures(generated, epochs=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    with torch.inference_mode():
        assert figures(generated, epochs=1) == first


def test_classes_are_matched_by_name_or_by_number() -> None:
    assert TRAIN.labels is not None
    real = Images(TRAIN.pixels, TRAIN.labels, tuple("abcdefghij"))
    test = Images(TEST.pixels, TEST.labels, real.classes)

    def accuracy(labels: Tensor, classes: tuple[str, ...]) -> float:
        given = sets(labelled(TRAIN.pixels[:300], labels[:300], classes), real, test)
        ClassificationAccuracy().check(given)
        return ClassificationAccuracy(10)(given)["cas"]

    in_order = accuracy(TRAIN.labels, tuple("abcdefghij"))
    assert in_order > 0.4
    assert accuracy(TRAIN.labels, DIGITS) == in_order
    assert accuracy(9 - TRAIN.labels, tuple("jihgfedcba")) == in_order
    assert accuracy(9 - TRAIN.labels, tuple("9876543210")) == in_order


def test_without_splits_one_half_of_the_real_images_is_tested_on() -> None:
    assert TRAIN.labels is not None
    one_class = Images(TRAIN.pixels, torch.where(TRAIN.labels < 5, 0, 2), tuple("abc"))
    generated = labelled(one_class.pixels, one_class.labels, one_class.classes)
    computed = ClassificationAccuracy(15)(Sets(generated, ImageSet(Stored(one_class), "real")))
    assert list(computed) == ["cas", "cas/real", "cas/a", "cas/c"]  # none of class b is tested
    # Trained on what it is tested on; the other half was not.
    assert 0.85 < computed["cas/real"] <= computed["cas"]


@pytest.mark.parametrize(
    ("channels", "side", "layers"), [(1, 28, 3), (3, 32, 3), (3, 64, 4), (1, 4, 1), (3, 200, 6)]
)
def test_the_classifier_takes_any_size(channels: int, side: int, layers: int) -> None:
    classifier = Classifier(channels, side, 7)
    assert len(classifier.layers) == 3 * layers
    assert classifier(torch.zeros(2, channels, side, side - 1).byte()).shape == (2, 7)
    if side == 28:
        assert 90_000 < sum(weight.numel() for weight in classifier.parameters()) < 96_000


def test_an_image_is_classified_whatever_stands_beside_it() -> None:
    assert TRAIN.labels is not None
    classifier = train_classifier(TRAIN.pixels[:300], TRAIN.labels[:300], 10, epochs=20)
    together = classifier.predict(TEST.pixels[:20])
    alone = [classifier.predict(image) for image in torch.split(TEST.pixels[:20], 1)]
    assert torch.equal(torch.cat(alone), together)
    assert len(torch.unique(together)) > 1


def test_no_batch_is_a_single_image() -> None:
    images = torch.arange(129 * 16, dtype=torch.int64).remainder(256).byte().view(129, 1, 4, 4)
    classifier = train_classifier(images, torch.arange(129) % 2, 2, epochs=1)
    assert classifier.predict(images).shape == (129,)


def test_what_cannot_be_classified_is_refused() -> None:
    assert TRAIN.labels is not None
    some = TRAIN.pixels[:20], TRAIN.labels[:20]
    with pytest.raises(UsageError, match=r"metrics\.figures\.cas\.epochs=0"):
        ClassificationAccuracy(0)
    check = ClassificationAccuracy().check
    with pytest.raises(UsageError, match="generated: the images have no labels"):
        check(sets(labelled(TRAIN.pixels, None)))
    bare = ImageSet(Stored(Images(TRAIN.pixels, None, ())), "real")
    with pytest.raises(UsageError, match="real: the images have no labels"):
        check(Sets(labelled(*some), bare))
    with pytest.raises(UsageError, match=r"the classes are .*x; metrics=cas needs"):
        check(sets(labelled(*some, tuple("012345678x"))))
    nine = labelled(TRAIN.pixels[:9], torch.arange(9), tuple("012345678"))
    with pytest.raises(UsageError, match=r"the classes are .*8; metrics=cas needs"):
        check(sets(nine))
    with pytest.raises(UsageError, match=r"\(3, 16, 16\) and the real ones \(1, 16, 16\)"):
        figures(labelled(some[0].expand(-1, 3, -1, -1).contiguous(), some[1]))
