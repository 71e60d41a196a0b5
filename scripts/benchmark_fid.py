"""Times the FID of 10,000 images against 10,000 real ones, ours and torch-fidelity's side by side.

    python scripts/benchmark_fid.py [pairs]

Both take the same pixels, 32x32, by the same extractor, `fashion`, registered with torch-fidelity.
The first time nothing is cached; the second time each finds in its own cache what it keeps of the
real images, and is given other generated ones. The two are timed in turn, in one process.
"""

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
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


def theirs(fake: Tensor, real: Tensor, cache: Path) -> float:
    """torch-fidelity's FID, with its cache."""
    computed = calculate_metrics(
        input1=Rows(fake),
        input2=Rows(real),
        input2_cache_name="real",
        cache_root=str(cache),
        feature_extractor="fashion",
        fid=True,
        cuda=torch.cuda.is_available(),
        batch_size=250,
        verbose=False,
    )
    return float(computed["frechet_inception_distance"])


def timed(compute: Callable[[Tensor, Tensor, Path], float], *inputs: Any) -> tuple[float, float]:
    """A figure, and the seconds that it took."""
    started = time.perf_counter()
    figure = compute(*inputs)
    return figure, time.perf_counter() - started


def main() -> None:
    """Prints the table."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    register_feature_extractor("fashion", Registered)
    folder = Path(tempfile.gettempdir()) / "touchstone-benchmark"
    real = fashion_mnist.load(folder, "test", resolution=32).pixels
    train = fashion_mnist.load(folder, "train", resolution=32).pixels
    load("fashion")
    seconds: dict[tuple[str, str], list[float]] = {}
    for pair in range(pairs):
        with tempfile.TemporaryDirectory() as caches:
            for time_of, fake in (
                ("first", train[:NUMBER]),
                ("second", train[(pair + 1) * 8000 :][:NUMBER]),
            ):
                figures = []
                for who, compute in (("ours", ours), ("torch-fidelity", theirs)):
                    figure, spent = timed(compute, fake, real, Path(caches) / who)
                    figures.append(figure)
                    seconds.setdefault((time_of, who), []).append(spent)
                difference = abs(figures[0] / figures[1] - 1)
                print(f"{time_of}: {figures[0]:.6f}, relative difference {difference:.1e}")
    print(f"\n{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads\n")
    print("| | ours, s | torch-fidelity, s | ratio | quartiles |")
    print("| --- | --- | --- | --- | --- |")
    for time_of in ("first", "second"):
        mine, other = seconds[time_of, "ours"], seconds[time_of, "torch-fidelity"]
        ratios = [b / a for a, b in zip(mine, other, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        print(
            f"| {time_of} time | {statistics.median(mine):.2f} | {statistics.median(other):.2f} "
            f"| {statistics.median(ratios):.2f} | {low:.2f} to {high:.2f} |"
        )


if __name__ == "__main__":
    main()
