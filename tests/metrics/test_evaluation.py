"""An evaluation as a whole: against torch-fidelity's own, and over several processes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.evaluation import evaluate
from touchstone.metrics.extractors import load
from touchstone.metrics.fid import FID
from touchstone.metrics.inception_score import InceptionScore
from touchstone.metrics.kid import KID
from touchstone.metrics.metric import Metric
from touchstone.metrics.prdc import PRDC
from touchstone.metrics.protocol import Protocol
from touchstone.metrics.sets import ImageSet, Sets, Stored


class Registered(FeatureExtractorBase):  # type: ignore[misc]
    """The extractor `fashion` as torch-fidelity knows its own."""

    def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
        super().__init__(name, features_list)
        self.fashion = load("fashion")

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "logits" if metric == "isc" else "features"

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.fashion(images)
        made = {"features": features, "logits": self.fashion.logits(features)}
        return tuple(made[name] for name in self.features_list)


class Rows(Dataset[Tensor]):
    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.pixels[index]


def pictures(number: int, seed: int) -> Tensor:
    """Smooth random pictures, which a classifier of clothes does not all take for the same."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(number, 1, 5, 5, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (28, 28), mode="bicubic").clamp(0, 1)
    return (fine * 255).to(torch.uint8)


def stored(pixels: Tensor, name: str) -> ImageSet:
    return ImageSet(Stored(Images(pixels, None, ())), name)


@pytest.fixture
def registered() -> Iterator[str]:
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    register_feature_extractor("fashion", Registered)
    yield "fashion"
    FEATURE_EXTRACTORS_REGISTRY.pop("fashion")


def test_the_figures_are_torch_fidelitys(registered: str) -> None:
    fake, real = pictures(1100, 0), pictures(1100, 1)
    fake[:, :, :14] //= 2  # darker above, so that there is something to see
    theirs = calculate_metrics(
        input1=Rows(fake),
        input2=Rows(real),
        feature_extractor=registered,
        cuda=False,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
        batch_size=250,
        **dict.fromkeys(("fid", "kid", "isc", "prc"), True),
    )
    fashion = load("fashion")
    metrics: dict[str, Metric] = {
        "fid": FID(fashion),
        "kid": KID(fashion),
        "isc": InceptionScore(fashion),
        "prdc": PRDC(fashion),
    }
    sets = Sets(stored(fake, "fake"), stored(real, "real"))
    ours = {
        figure.name: figure.value
        for one in evaluate(metrics, Protocol(1100, "all", 0), sets)
        for figure in one.figures
    }
    assert ours["fid1100_fashion"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-5)
    for name, key in (
        ("kid1100_fashion", "kernel_inception_distance_mean"),
        ("kid1100_fashion/deviation", "kernel_inception_distance_std"),
        ("isc1100_fashion", "inception_score_mean"),
        ("isc1100_fashion/deviation", "inception_score_std"),
        ("precision1100_fashion", "precision"),
        ("recall1100_fashion", "recall"),
    ):
        assert ours[name] == pytest.approx(theirs[key], rel=1e-6, abs=1e-9), name
    assert ours["fid1100_fashion"] > 1
    assert 0 < ours["precision1100_fashion"] < 1


def test_every_metric_is_checked_before_any_is_computed() -> None:
    fashion, pixels = load("fashion"), pictures(70, 0)
    sets = Sets(stored(pixels, "fake"), stored(pixels, "real"))
    metrics: dict[str, Metric] = {"fid": FID(fashion), "kid": KID(fashion)}
    with pytest.raises(UsageError, match=r"kid\.subset_size=1000"):
        next(evaluate(metrics, Protocol(70, "all", 0), sets))
    assert sets.generated._features == {}


PROCESS = """
import json, sys
import torch
from torch import distributed
from touchstone.data.images import Images
from touchstone.metrics.evaluation import evaluate
from touchstone.metrics.extractors import load
from touchstone.metrics.fid import FID
from touchstone.metrics.kid import KID
from touchstone.metrics.protocol import Protocol
from touchstone.metrics.sets import Drawn, ImageSet, Sets, Stored
from touchstone.networks.dcgan import Generator

rank, processes, meeting, cache = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.set_num_threads(1)
if processes > 1:
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes
    )
torch.manual_seed(0)
generator = Generator(latent_size=16, resolution=28, channels=1, width=8)
draws = torch.Generator().manual_seed(0)
pixels = torch.randint(0, 256, (777, 1, 28, 28), dtype=torch.uint8, generator=draws)
fashion = load("fashion")
sets = Sets(
    ImageSet(Drawn(generator, 1130, seed=0, device="cpu"), "generated"),
    ImageSet(Stored(Images(pixels, None, ())), "real", cache=cache),
)
metrics = {"fid": FID(fashion, "extrapolation"), "kid": KID(fashion, 10, 100)}
evaluated = list(evaluate(metrics, Protocol(1130, "all", 0), sets))
print(json.dumps({figure.name: figure.value for one in evaluated for figure in one.figures}))
if processes > 1:
    distributed.destroy_process_group()
"""


def figures_of(processes: int, folder: Path) -> list[dict[str, float]]:
    folder.mkdir()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(rank), str(processes), folder / "at", folder / "c"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    said = [process.communicate(timeout=100)[0] for process in started]
    return [json.loads(line) for line in said]


def test_processes_with_uneven_shares_give_the_figures_of_one_exactly(tmp_path: Path) -> None:
    # Five chunks of generated images, the last of 130, and four of real ones, the last of 27.
    [alone] = figures_of(1, tmp_path / "one")
    assert figures_of(2, tmp_path / "two") == [alone] * 2
    assert len(alone) == 5
