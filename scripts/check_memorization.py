"""Checks the memorization check: 50 planted copies among 5,000 images, and the honest images.

    python scripts/check_memorization.py [RUN]

The copies are of training images of Fashion-MNIST: exact, mirrored, with noise of a standard
deviation of 4 or of 8 of 255. The honest images are those of the test split and, where a run is
named, its samples.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from touchstone.cli.front import cache_folder
from touchstone.data import fashion_mnist
from touchstone.data.images import Images
from touchstone.metrics.extractors import load as load_extractor
from touchstone.metrics.memorization import Memorization
from touchstone.metrics.sets import Drawn, ImageSet, Sets, Splits, Stored
from touchstone.trained import load

PLANTED, HONEST = 50, 4950


def planted(training: Tensor) -> Tensor:
    """Copies of training images, of each of the four kinds in turn, uint8."""
    draws = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(training), generator=draws)[:PLANTED]
    copies = training[rows].float()
    copies[1::4] = copies[1::4].flip(3)
    for first, deviation in ((2, 4), (3, 8)):
        noisy = copies[first::4]
        copies[first::4] = noisy + deviation * torch.randn(noisy.shape, generator=draws)
    return copies.round().clamp(0, 255).byte()


def main() -> None:
    """Prints how many of the copies were found, and how many honest images were called copies."""
    cache = Path(cache_folder())
    train, test = (fashion_mnist.load(cache / "data", split) for split in ("train", "test"))
    splits = Splits(fashion_mnist.load, device="cpu", cache=cache, train=train, test=test)
    check = Memorization(load_extractor("fashion"))
    honest = {"test images": test.pixels[:HONEST]}
    if len(sys.argv) > 1:
        generator = load(sys.argv[1]).generator
        drawn = ImageSet(Drawn(generator, HONEST, seed=0, device="cpu"), "samples")
        honest["samples of the run"] = drawn.pixels()
    for name, pixels in honest.items():
        copies = []
        for images in (pixels, torch.cat([planted(train.pixels), pixels])):
            fake = ImageSet(Stored(Images(images, None, ())), "generated")
            figures = check(Sets(fake, splits("train"), splits))
            copies.append(int(figures["memorization/copies"]))  # type: ignore[arg-type]
        print(
            f"{name}: {copies[0]} of {HONEST} honest images called copies "
            f"({copies[0] / HONEST:.2%}), {copies[1] - copies[0]} of {PLANTED} copies found; "
            f"the rate among real images {figures['memorization/real']:.2%}"
        )


if __name__ == "__main__":
    main()
