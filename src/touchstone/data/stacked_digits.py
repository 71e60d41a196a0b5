"""Three random digits as the channels of an image: 1,000 modes (Metz et al. 2017, section 3.3.1).

Metz et al. stack MNIST's. Scikit-learn's are the default here, since they need no download.
"""

from pathlib import Path

import torch

from touchstone.data import digits, mnist
from touchstone.data.images import Images, check_settings
from touchstone.draws import derive
from touchstone.errors import UsageError

SOURCES = {"digits": digits.load, "mnist": mnist.load}
SIZES = {"train": 50_000, "test": 10_000}


def load(
    folder: str | Path,
    split: str = "train",
    resolution: int = 32,
    channels: int = 3,
    source: str = "digits",
) -> Images:
    """Stacks 50,000 random triples (`train`) or 10,000 (`test`), always the same, of a split's own.

    The label is the number that the digits make: 100 a + 10 b + c, the first channel the hundreds.

    Args:
        folder: the data folder of all sets.
        split: `train` or `test`.
        resolution: pixels a side.
        channels: 3.
        source: `digits` or `mnist`, the paper's own.

    Raises:
        UsageError: a setting that makes no sense, or a source that cannot be had.
    """
    check_settings(split, resolution, channels)
    if channels != 3:
        raise UsageError(f"data.channels={channels}: a digit lies in each channel; it has to be 3")
    if source not in SOURCES:
        raise UsageError(f"data.source={source}: it has to be {' or '.join(SOURCES)}")
    single = SOURCES[source](folder, split, resolution, 1)
    assert single.labels is not None
    generator = torch.Generator().manual_seed(derive(0, "stacked_digits", split))
    triples = torch.randint(len(single), (SIZES[split], 3), generator=generator)
    labels = single.labels[triples] @ torch.tensor([100, 10, 1])
    numbers = tuple(f"{number:03d}" for number in range(1000))
    return Images(single.pixels[triples, 0], labels, numbers)
