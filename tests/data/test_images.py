import hashlib

import pytest
import torch

from touchstone.data.images import Images, check_settings, content_hash, fit, normalize, quantize
from touchstone.errors import UsageError


def test_normalize_maps_the_ends_and_the_middle() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(normalize(pixels), torch.tensor([-1.0, -0.6, 1.0]))
    assert pixels.tolist() == [0, 51, 255]


def test_quantize_undoes_normalize_for_every_value() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(quantize(normalize(every)), every)


def test_quantize_rounds_to_nearest_and_clamps() -> None:
    samples = torch.tensor([-1.5, 10.4 / 127.5 - 1, 10.6 / 127.5 - 1, 3.0])
    assert quantize(samples).tolist() == [0, 10, 11, 255]


def test_a_batch_has_its_images_and_labels() -> None:
    pixels = torch.arange(24, dtype=torch.uint8).view(6, 1, 2, 2)
    images = Images(pixels, torch.tensor([0, 1, 0, 1, 0, 1]), ("a", "b"))
    samples, labels = images.batch(torch.tensor([3, 0]))
    assert torch.equal(quantize(samples), pixels[[3, 0]])
    assert labels is not None
    assert labels.tolist() == [1, 0]
    assert len(images) == 6


def test_the_hash_is_that_of_shape_and_pixels() -> None:
    pixels = torch.randint(0, 256, (9000, 1, 2, 2), dtype=torch.uint8)
    expected = hashlib.sha256(b"(9000, 1, 2, 2)" + pixels.numpy().tobytes()).hexdigest()
    assert Images(pixels, None, ()).content_hash == expected
    assert content_hash(pixels.view(9000, 1, 1, 4)) != expected
    pixels[-1, 0, 1, 1] ^= 1
    assert content_hash(pixels) != expected


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (torch.zeros(2, 1, 4, 4), None, "float32"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), None, r"\(2, 4, 4\)"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(3).long(), r"shape \(2,\)"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 2]), "0 to 1"),
    ],
)
def test_images_of_another_form_are_refused(
    pixels: torch.Tensor, labels: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Images(pixels, labels, ("a", "b"))


def test_fit_repeats_grey_and_weighs_colour() -> None:
    grey = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8)
    assert torch.equal(fit(grey, 4, 3), grey.repeat(1, 3, 1, 1))
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])
    luma = fit(colours.to(torch.uint8).view(4, 3, 1, 1), 1, 1)
    assert luma.flatten().tolist() == [76, 150, 29, 255]


def test_fit_halves_with_the_antialiasing_triangle() -> None:
    # Halving, a pixel is 1/8, 3/8, 3/8, 1/8 of its neighbours; at the border 3/7, 3/7, 1/7.
    row = torch.tensor([0, 0, 0, 80, 160, 80, 0, 0], dtype=torch.uint8)
    picture = row.view(1, 1, 1, 8).repeat(1, 1, 8, 1)
    assert fit(picture, 4, 1)[0, 0, 1].tolist() == [0, 50, 100, 11]
    assert torch.equal(fit(picture, 8, 1), picture)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("valid", 28, 1), "split=valid: it has to be train or test"),
        (("train", 28, 2), "data.channels=2: it has to be 1 or 3"),
        (("train", 0, 1), "data.resolution=0: it has to be 1 or more"),
    ],
)
def test_settings_that_no_source_has_are_refused(
    settings: tuple[str, int, int], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check_settings(*settings)
    assert str(caught.value) == message
