"""Scikit-learn's 1,797 scanned digits (Alpaydin, Kaynak 1998), 8x8, grey: never a download."""

from pathlib import Path

import torch

from touchstone.data.images import Images, check_settings, fit


def load(
    folder: str | Path | None = None, split: str = "train", resolution: int = 32, channels: int = 1
) -> Images:
    """Loads 1,442 images (`train`) or 355 (`test`): of each class, every fifth is for the test.

    The values, 0 to 16, become 0 to 255.

    Args:
        folder: the data folder, which this set does not need.
        split: `train` or `test`.
        resolution: pixels a side; other than 8 is resized bilinearly.
        channels: 1, or 3 for the grey repeated.
    """
    check_settings(split, resolution, channels)
    from sklearn.datasets import load_digits

    digits = load_digits()
    labels = torch.from_numpy(digits.target).long()
    # A picture's number within its class.
    number = (torch.nn.functional.one_hot(labels).cumsum(0) - 1).gather(1, labels[:, None])[:, 0]
    chosen = (number % 5 == 4) == (split == "test")
    pixels = (torch.from_numpy(digits.images) * 255 / 16).round().to(torch.uint8)
    return Images(
        fit(pixels[chosen][:, None], resolution, channels), labels[chosen], tuple("0123456789")
    )
