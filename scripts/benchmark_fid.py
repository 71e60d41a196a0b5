"""Times the FID of 10,000 images against 10,000 real ones, ours and torch-fidelity's side by side.

    python scripts/benchmark_fid.py [pairs]

Both take the same pixels, 32x32, by the same extractor, `fashion`, registered with torch-fidelity.
The first time nothing is cached; the second time there are other generated images, and each finds
in its cache what it has kept of the real ones. torch-fidelity keeps something of images that were
given a name for its cache, so it is timed without a name, as it is called by default, and with one.
All are timed in turn, in one process.
"""

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from touchstone.data import fashion_mnist
from touchstone.data.images import Images
from touchstone.metrics.evaluation import evaluate
from touchstone.metrics.extractors import load
from touchstone.metrics.fid import FID
from touchstone.metrics.protocol import Protocol
from touchstone.metrics.sets import ImageSet, Sets, Stored

NUMBER = 10_000


class Registered(FeatureExtractorBase):  # type: ignore[misc]
    """The extractor `fashion` as torch-fidelity knows its own."""

    def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
        super().__init__(name, features_list)
        self.fashion = load("fashion")

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The features that can be asked for."""
        return ("features",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """The features of a metric."""
        return "features"

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps uint8 images to features."""
        return (self.fashion(images),)


class Rows(Dataset[Tensor]):
    """Images, one at a time."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.pixels[index]


def ours(fake: Tensor, real: Tensor, cache: Path) -> float:
    """Our FID."""
    sets = Sets(
        ImageSet(Stored(Images(fake, None, ())), "fake"),
        ImageSet(Stored(Images(real, None, ())), "real", cache=cache),
    )
    [evaluated] = evaluate({"fid": FID(load("fashion"))}, Protocol(NUMBER, "all", 0), sets)
    return evaluated.figures[0].value


def theirs(fake: Tensor, real: Tensor, cache: Path, **settings: str) -> float:
    """torch-fidelity's FID, in its own batches."""
    computed = calculate_metrics(
        input1=Rows(fake),
        input2=Rows(real),
        cache_root=str(cache),
        feature_extractor="fashion",
        fid=True,
        cuda=torch.cuda.is_available(),
        verbose=False,
        **settings,
    )
    return float(computed["frechet_inception_distance"])


RIVALS: dict[str, Callable[[Tensor, Tensor, Path], float]] = {
    "ours": ours,
    "as called by default": theirs,
    "its cache named": partial(theirs, input2_cache_name="real"),
}


def measured(pairs: int) -> dict[str, dict[str, list[float]]]:
    """The seconds of each rival, the first time and the second."""
    folder = Path(tempfile.gettempdir()) / "touchstone-benchmark"
    real = fashion_mnist.load(folder, "test", resolution=32).pixels
    train = fashion_mnist.load(folder, "train", resolution=32).pixels
    load("fashion")
    seconds = {when: dict[str, list[float]]() for when in ("first", "second")}
    for pair in range(pairs):
        second = (pair + 1) * 8000 % 50_000
        with tempfile.TemporaryDirectory() as caches:
            for when, start in (("first", 0), ("second", second)):
                figures = []
                for rival, compute in RIVALS.items():
                    started = time.perf_counter()
                    figures.append(compute(train[start:][:NUMBER], real, Path(caches) / rival))
                    spent = time.perf_counter() - started
                    seconds[when].setdefault(rival, []).append(spent)
                apart = abs(figures[0] / figures[1] - 1)
                print(f"{when}: FID {figures[0]:.6f}, relative difference {apart:.1e}")
    return seconds


def main() -> None:
    """Prints the table."""
    register_feature_extractor("fashion", Registered)
    seconds = measured(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    print(f"\n{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads\n")
    print("| time | torch-fidelity | ours, s | torch-fidelity, s | ratio | quartiles |")
    print("| --- | --- | --- | --- | --- | --- |")
    for when, of in seconds.items():
        mine, *rivals = of.items()
        for rival, others in rivals:
            ratios = [b / a for a, b in zip(mine[1], others, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            medians = f"{statistics.median(mine[1]):.2f} | {statistics.median(others):.2f}"
            print(f"| {when} | {rival} | {medians} | {middle:.2f} | {low:.2f} to {high:.2f} |")


if __name__ == "__main__":
    main()
