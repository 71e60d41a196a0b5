from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.metrics.extractors import preprocessing

SIZES = [(28, 28), (32, 32), (64, 48), (299, 299), (300, 500), (1024, 700)]


@pytest.mark.parametrize("size", SIZES)
def test_clean_resizing_is_pillows_bicubic_on_floats(
    size: tuple[int, int], noise: Callable[..., Tensor]
) -> None:
    pixels = noise(1, 3, *size).float()
    pillow = [
        np.asarray(Image.fromarray(one.numpy()).resize((299, 299), Image.Resampling.BICUBIC))
        for one in pixels[0]
    ]
    # Of 255; Pillow computes the filter in float64. At most 0.0063 was found, at 300x500.
    torch.testing.assert_close(
        preprocessing.clean(pixels, 299)[0],
        torch.from_numpy(np.stack(pillow)).clamp(0, 255),  # as clean-fid 0.1.35 does
        rtol=0,
        atol=0.01,
    )


def test_clean_resizing_clips_and_does_not_round(noise: Callable[..., Tensor]) -> None:
    resized = preprocessing.clean(noise(1, 3, 32, 32).float(), 299)
    assert (float(resized.min()), float(resized.max())) == (0, 255)
    assert (resized - resized.round()).abs().max() > 0.4


def test_only_uint8_pixels_are_taken() -> None:
    for prepare in (preprocessing.colour, preprocessing.grey):
        with pytest.raises(UsageError, match=r"=clip takes uint8 pixels.*not torch\.float32"):
            prepare(torch.zeros(1, 3, 8, 8), "clip")


def test_tensorflow_1_takes_the_corner_as_the_origin() -> None:
    # Output k lies at k * 2 / 4 of the input: 0, 0.5, 1, and 1.5, which is beyond the last pixel.
    resized = preprocessing.tensorflow1(torch.tensor([[[[0.0, 10.0], [0.0, 10.0]]]]), 4)
    torch.testing.assert_close(resized[0, 0, 3], torch.tensor([0.0, 5.0, 10.0, 10.0]))


def test_standardized_pixels_by_hand() -> None:
    # (0.5 * 255 - 0.25 * 255) / (0.125 * 255) = 2
    grey = torch.full((1, 3, 1, 1), 0.5 * 255)
    taken = preprocessing.standardize(grey, (0.25, 0.5, 0.75), (0.125, 0.5, 0.25))
    torch.testing.assert_close(taken.flatten(), torch.tensor([2.0, 0.0, -1.0]))
