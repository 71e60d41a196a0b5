import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
import torchmetrics
from torch import Tensor, nn
from torch_fidelity.generative_model_base import GenerativeModelBase
from torch_fidelity.sample_similarity_base import SampleSimilarityBase
from torch_fidelity.sample_similarity_lpips import SampleSimilarityLPIPS

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.path_length import (
    LPIPS,
    FeatureDistance,
    PathLength,
    path_lengths,
    within_percentiles,
)
from touchstone.metrics.sets import Drawn, ImageSet, Sets, Stored
from touchstone.sampling import latents


class Linear(nn.Module):
    """Lays a latent of 512 numbers out as an image, enlarged or reduced."""

    latent_size = 512

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, latents: Tensor) -> Tensor:
        return self.scale * latents.view(-1, 2, 16, 16)


class ByLabel(Linear):
    """A conditional generator that shows its label's number as brightness, and little else."""

    classes = 3

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        return super().forward(latents) + labels.view(-1, 1, 1, 1) * 0.3


class Pixels(Extractor):
    """The pixels themselves, in the unit of the samples."""

    name = fingerprint = "pixels"
    num_features = 512

    def forward(self, images: Tensor) -> Tensor:
        return images.float().flatten(1) / 127.5


class Squares:
    """The mean squared difference of samples that are not rounded."""

    figure, step = "squares", 1e-4

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        return (first - second).square().flatten(1).mean(1)


def sets(generator: nn.Module) -> Sets:
    made = ImageSet(Drawn(generator, 2, seed=0, device="cpu"), "generated")
    return Sets(made, ImageSet(Stored(Images(torch.zeros(2, 2, 16, 16).byte(), None, ())), "real"))


def speeds(number: int) -> Tensor:
    """|d/dt slerp(z1, z2; t)|^2 / 512 at t = 0, of the latents that are used.

    With w the angle between them: w (z2 - z1 cos w) / sin w.
    """
    first, second = latents(number, 512, seed=0).double(), latents(number, 512, seed=1).double()
    cosine = nn.functional.cosine_similarity(first, second)[:, None]
    angle = cosine.acos()
    return (angle * (second - first * cosine) / angle.sin()).square().mean(1)


def test_a_linear_generators_length_is_known() -> None:
    # Random directions of 512 dimensions stand at right angles, nearly: the way is a quarter of
    # a circle of radius sqrt(512).
    generator = Linear(0.5)
    lengths = path_lengths(generator, Squares(), 700, "cpu")
    torch.testing.assert_close(lengths, 0.25 * speeds(700), rtol=1e-2, atol=0)
    assert lengths.mean().item() == pytest.approx(0.25 * (math.pi / 2) ** 2, rel=0.01)


def test_rounding_adds_what_it_should_and_no_more() -> None:
    # A rounded difference has the variance of two roundings more: 2/12 of a squared grey level.
    generator = Linear(0.2)
    figures = PathLength(Pixels(), samples=500)(sets(generator))
    step = FeatureDistance.step
    exact = 0.04 * within_percentiles(speeds(500).numpy()).mean()
    rounding = 2 / 12 / 127.5**2 / step**2
    assert list(figures) == ["ppl_pixels", "ppl_pixels/deviation"]
    assert figures["ppl_pixels"] == pytest.approx(exact + rounding, rel=0.005)
    assert 0.02 < figures["ppl_pixels/deviation"] / figures["ppl_pixels"] < 0.1


def test_a_generator_that_stands_still_has_no_length() -> None:
    assert PathLength(Pixels(), samples=10)(sets(Linear(0)))["ppl_pixels"] == 0
    one, two = (path_lengths(Linear(scale), Squares(), 10, "cpu") for scale in (0.1, 0.2))
    torch.testing.assert_close(two, 4 * one)


def test_both_samples_of_a_pair_have_one_label() -> None:
    plain = path_lengths(Linear(0.1), Squares(), 10, "cpu")
    labelled = path_lengths(ByLabel(0.1), Squares(), 10, "cpu")
    torch.testing.assert_close(labelled, plain, rtol=0.02, atol=0)


class Similarity(SampleSimilarityBase):  # type: ignore[misc]
    def __init__(self, name: str, **settings: object) -> None:
        super().__init__(name)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return Squares()(first, second)


class Model(GenerativeModelBase):  # type: ignore[misc]
    z_size, z_type, num_classes = 512, "ours", 0

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = Linear(0.5)(z)
        return samples


def test_it_equals_torch_fidelity_on_the_same_latents() -> None:
    seeds = iter((0, 1))
    torch_fidelity.register_noise_source(
        "ours", lambda rng, shape: latents(shape[0], shape[1], seed=next(seeds))
    )
    torch_fidelity.register_sample_similarity("squares", Similarity)
    theirs = torch_fidelity.calculate_metrics(
        input1=Model(),
        input1_model_num_samples=300,
        ppl=True,
        ppl_epsilon=1e-4,
        ppl_z_interp_mode="slerp_any",
        ppl_reduction="none",
        ppl_sample_similarity="squares",
        ppl_sample_similarity_dtype="float32",
        # NumPy 2.4 has no percentiles as torch-fidelity 0.4 asks for them.
        ppl_discard_percentile_lower=None,
        ppl_discard_percentile_higher=None,
        cuda=False,
        verbose=False,
    )
    ours = path_lengths(Linear(0.5), Squares(), 300, "cpu")
    np.testing.assert_allclose(ours, theirs["perceptual_path_length_raw"], rtol=1e-5)


def test_one_in_a_hundred_is_left_out_at_either_end() -> None:
    values = np.random.default_rng(0).permutation(1001).astype(float)
    assert sorted(within_percentiles(values)) == list(range(10, 991))
    assert within_percentiles(np.array([5.0])).tolist() == [5.0]
    assert sorted(within_percentiles(np.array([1.0, 2, 1000]))) == [1, 2, 1000]


def test_the_generator_and_the_random_numbers_are_left_as_they_were() -> None:
    generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Unflatten(1, (2, 2, 2)))
    generator.latent_size = 4  # type: ignore[assignment]
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    state = torch.get_rng_state()
    first = path_lengths(generator, Squares(), 20, "cpu")
    assert torch.equal(path_lengths(generator, Squares(), 20, "cpu"), first)
    assert generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def vgg(seed: int) -> dict[str, Tensor]:
    """Random weights in torchvision's layout; the dense layers, of no use here, take no room."""
    from torchvision.models import vgg16

    draws = torch.Generator().manual_seed(seed)
    shapes = {name: value.shape for name, value in vgg16(init_weights=False).state_dict().items()}
    return {
        name: torch.zeros(1).expand(shape)
        if name.startswith("classifier")
        else torch.randn(shape, generator=draws) / max(1, shape[1:].numel()) ** 0.5
        for name, shape in shapes.items()
    }


def test_lpips_is_that_of_torch_fidelity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    weights = vgg(0)
    torch.save(weights, tmp_path / "hub/checkpoints/vgg16-397923af.pth")
    learned = Path(torchmetrics.__file__).parent / "functional/image/lpips_models/vgg.pth"
    torch.save(
        torch.load(learned, "cpu", weights_only=True),
        tmp_path / "hub/checkpoints/weights-vgg16-lpips.pth",
    )
    theirs = SampleSimilarityLPIPS("lpips", sample_similarity_dtype="float32")
    ours = LPIPS(weights)
    draws = torch.Generator().manual_seed(1)
    first = torch.rand(3, 3, 32, 32, generator=draws) * 2 - 1
    second = (first + 0.1 * torch.randn(first.shape, generator=draws)).clamp(-1, 1)
    expected = theirs((first + 1) * 127.5, (second + 1) * 127.5).flatten()
    assert expected.min() > 1e-4
    torch.testing.assert_close(ours(first, second), expected, rtol=1e-3, atol=0)
    # A step of 1e-4 is not swallowed: a hundredth of the way is a 10,000th of the distance.
    torch.testing.assert_close(
        ours(first, first.lerp(second, 0.01)) / ours(first, first.lerp(second, 0.02)),
        torch.full((3,), 0.25),
        rtol=0.05,
        atol=0,
    )
    grey = first[:, :1], second[:, :1]
    repeated = [image.expand(-1, 3, -1, -1) for image in grey]
    torch.testing.assert_close(ours(*grey), ours(*repeated))
    # Wide samples are averaged down, so that pixels in blocks are as good as single ones.
    blocks = [torch.rand(1, 3, 256, 256, generator=draws) * 2 - 1 for _ in range(2)]
    wide = [image.repeat_interleave(2, 2).repeat_interleave(2, 3) for image in blocks]
    torch.testing.assert_close(ours(*wide), ours(*blocks), rtol=1e-3, atol=1e-6)


def test_other_weights_than_the_published_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub/checkpoints/vgg16-397923af.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"none of theirs")
    with pytest.raises(UsageError, match=r"vgg16-397923af\.pth is not the file published at http"):
        PathLength(Pixels(), distance="lpips")


def test_weights_that_cannot_be_had_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"distance=lpips needs VGG16's weights; .* put it at /"):
        PathLength(Pixels(), distance="lpips")


def test_what_has_no_path_is_refused() -> None:
    with pytest.raises(UsageError, match=r"ppl\.distance=l2: it has to be features or lpips"):
        PathLength(Pixels(), distance="l2")
    with pytest.raises(UsageError, match=r"ppl\.samples=0: it has to be 1 or more"):
        PathLength(Pixels(), samples=0)
    real = sets(Linear(1)).reference
    with pytest.raises(UsageError, match="real: metrics=ppl needs the generator"):
        PathLength(Pixels()).check(Sets(real, real))
    PathLength(Pixels()).check(sets(Linear(1)))
    with pytest.raises(UsageError, match="not finite"):
        PathLength(Pixels())(sets(Linear(math.inf)))
