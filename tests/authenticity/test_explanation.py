import warnings
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.explanation import (
    EXPLANATIONS,
    explain,
    grad_cam,
    integrated_gradients,
    last_map,
    mean,
    occlusion,
)
from touchstone.authenticity.localization import localization
from touchstone.data import digits
from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.networks import dcgan, resnet
from touchstone.networks.heads import MinibatchDiscrimination
from touchstone.networks.mlp import Discriminator as Dense
from touchstone.trained import Trained

CONVOLUTIONS = (nn.Conv2d, nn.Linear)


@pytest.fixture(scope="module")
def samples() -> Tensor:
    return digits.load(resolution=32).batch(torch.arange(6))[0]


def missing(
    maps: Tensor, score: Callable[[Tensor], Tensor], samples: Tensor, base: Tensor
) -> float:
    """The largest share of f(x) - f(b) that a map misses."""
    with torch.no_grad():
        wanted = score(samples) - score(base.expand_as(samples))
    return float(((maps.sum((1, 2)) - wanted) / wanted).abs().max())


def legacy(network: nn.Module) -> nn.Module:
    for layer in list(network.modules()):
        if isinstance(layer, CONVOLUTIONS):
            nn.utils.spectral_norm(layer)
    return network


def network(name: str, samples: Tensor) -> nn.Module:
    """A discriminator in eval mode, whose buffers have seen samples but for `legacy, fresh`."""
    family, normalization = name.split(" ", 1)
    made: nn.Module = {"dcgan": dcgan, "resnet": resnet}[family].Discriminator(
        32, 1, width=8, normalization="none" if "legacy" in name else normalization
    )
    if "legacy" in name:
        legacy(made)
    if normalization in ("batch", "spectral", "legacy"):
        for _ in range(20):
            made(samples)
    return made.eval()


NETWORKS = [
    *(f"dcgan {name}" for name in ("none", "batch", "layer", "instance", "spectral")),
    *("dcgan legacy", "dcgan legacy, fresh"),
    "resnet layer",
]


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_complete(name: str, samples: Tensor) -> None:
    torch.manual_seed(0)
    score = network(name, samples)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for base in (samples.mean(0), -torch.ones(1, 32, 32))[: 1 if "resnet" in name else 2]:
            maps = integrated_gradients(score, samples, base)
            assert maps.shape == (6, 32, 32)
            assert missing(maps, score, samples, base) < 0.01


def test_a_path_that_begins_at_a_singular_point(samples: Tensor) -> None:
    # An even picture: layer normalization divides by nearly nothing, again and again.
    torch.manual_seed(0)
    score = network("resnet layer", samples)
    maps = integrated_gradients(score, samples[:1], 0.0)
    assert missing(maps, score, samples[:1], torch.zeros(())) < 0.01


def test_no_fixed_number_of_steps_would_do(samples: Tensor) -> None:
    # What Captum's own 50 steps leave missing, for the same samples and networks.
    from captum.attr import IntegratedGradients

    def fixed(name: str) -> tuple[float, float]:
        torch.manual_seed(0)
        score = network(name, samples)
        base = -torch.ones_like(samples)
        made, missed = IntegratedGradients(score).attribute(
            samples, base, n_steps=50, return_convergence_delta=True
        )
        return missing(made.sum(1), score, samples, base), float(missed.abs().max())

    plain, trained, fresh = (fixed(f"dcgan {n}") for n in ("none", "legacy", "legacy, fresh"))
    assert min(plain[0], trained[0], fresh[0]) > 0.01
    # Divided by random numbers in place of the spectral norm: thousands of times as much, of
    # scores that are thousands of times as large.
    assert fresh[1] > 1000 * trained[1]
    assert trained[0] == pytest.approx(plain[0], rel=0.01)  # f scaled, and nothing else


def test_legacy_spectral_norm_changes_in_training_mode(samples: Tensor) -> None:
    torch.manual_seed(0)
    score = network("dcgan legacy, fresh", samples).train()
    with pytest.raises(ValueError, match="eval mode"):
        integrated_gradients(score, samples, 0.0)


@pytest.mark.parametrize("mixing", ["batch", "minibatch"])
def test_refuses_a_score_of_samples_together(mixing: str, samples: Tensor) -> None:
    torch.manual_seed(0)
    head = MinibatchDiscrimination(128, 4, 2) if mixing == "minibatch" else nn.Linear(128, 1)
    body = nn.Sequential(nn.Conv2d(1, 8, 8, 8), nn.BatchNorm2d(8), nn.Flatten(), head)
    body.train(mixing == "batch")

    def score(given: Tensor) -> Tensor:
        found = body(given)
        scores: Tensor = found["logits"] if mixing == "minibatch" else found[:, 0]
        return scores

    with pytest.raises(ValueError, match="score each sample by itself"):
        integrated_gradients(score, samples, 0.0)


def test_integrated_gradients_of_a_distance_by_hand(samples: Tensor) -> None:
    template, base = samples[:1].flip(3), samples[1]

    def score(given: Tensor) -> Tensor:
        return (given - template).square().sum((1, 2, 3))

    by_hand = ((samples - base) * (samples + base - 2 * template)).sum(1)
    for steps in (2, 32):  # Gauss and Legendre's rule of two points is exact already
        found = integrated_gradients(score, samples, base, steps)
        torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-4)
    with torch.inference_mode():
        found = integrated_gradients(score, samples.clone(), base.clone())
    torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-4)


def test_says_where_a_score_jumps(samples: Tensor) -> None:
    with pytest.warns(
        RuntimeWarning, match=r"6 of 6 maps miss more than 1% of .*, the worst 1..%: .* jumps"
    ):
        integrated_gradients(lambda given: (given.sum((1, 2, 3)) * 1e3).sign(), samples, 1.0)


def test_occlusion_by_hand() -> None:
    values = torch.arange(16.0).reshape(1, 1, 4, 4) / 16
    covered = torch.full((1, 4, 4), -0.5)

    def score(given: Tensor) -> Tensor:
        return given.square().sum((1, 2, 3))

    own = values[0, 0].square() - 0.25  # what one pixel loses
    blocks = occlusion(score, values, 2, 2, covered)[0]
    for row, column in product((0, 2), (0, 2)):
        place = slice(row, row + 2), slice(column, column + 2)
        torch.testing.assert_close(blocks[place], own[place].sum().expand(2, 2))
    # Of windows that overlap, the mean over those that a pixel lies in.
    found = occlusion(score, values, 2, 1, -0.5)[0]
    windows = own.unfold(0, 2, 1).unfold(1, 2, 1).sum((2, 3))
    assert float(found[0, 0]) == pytest.approx(float(windows[0, 0]))
    assert float(found[0, 1]) == pytest.approx(float(windows[0, :2].mean()))
    assert float(found[1, 2]) == pytest.approx(float(windows[:2, 1:].mean()))


class Channels(nn.Module):
    """Two maps of a picture: itself and its negative, each pooled to 4x4; a sum of both."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 2, 2, bias=False)
        self.layer.weight.data = torch.tensor([1.0, -1.0])[:, None, None, None].expand(2, 1, 2, 2)

    def forward(self, samples: Tensor) -> Tensor:
        maps = self.layer(samples)
        scores: Tensor = maps[:, 0].sum((1, 2)) + 0.5 * maps[:, 1].square().sum((1, 2))
        return scores


def test_grad_cam_by_hand() -> None:
    samples = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5
    score = Channels().eval().requires_grad_(False)
    sums = 4 * nn.functional.avg_pool2d(samples, 2)  # A of the first channel, -A of the second
    # The slopes are 1, and -A, whose mean over the places weighs the second.
    by_hand = (sums + sums.mean((2, 3), keepdim=True) * sums).relu()
    large = nn.functional.interpolate(by_hand, (8, 8), mode="bilinear")[:, 0]
    torch.testing.assert_close(grad_cam(score, score.layer, samples), large)
    assert last_map(score, [score], samples) is score.layer


def test_grad_cam_looks_at_the_last_map(samples: Tensor) -> None:
    score = dcgan.Discriminator(32, 1, width=8).eval()
    assert last_map(score, [score], samples) is score.layers  # its last activation's, 4x4
    residual = resnet.Discriminator(32, 1, width=8).eval()
    assert last_map(residual, [residual], samples)(torch.zeros(1, 1, 32, 32)).shape[2:] == (8, 8)
    # A network of which one layer sees samples apart: the same maps whatever is beside a sample.
    together = grad_cam(score, score.layers, samples)
    torch.testing.assert_close(grad_cam(score, score.layers, samples[2:3]), together[2:3])


class Distance(Detector):
    """The squared distance from the mean genuine item, by a network that is the identity."""

    usual: Tensor

    def fit(self, genuine: Split) -> None:
        self.register_buffer("usual", mean(genuine))

    def score(self, samples: Tensor) -> Tensor:
        assert self.trained.discriminator is not None
        seen = self.trained.discriminator(samples)
        distances: Tensor = (seen - self.usual).square().sum((1, 2, 3))
        return distances


class Mapped(Distance):
    def map(self, samples: Tensor) -> Tensor | None:
        return (samples - self.usual)[:, 0].square()


@pytest.fixture(scope="module")
def zeros() -> Split:
    train = digits.load(resolution=32)
    assert train.labels is not None
    return train.take((train.labels == 0).nonzero()[:, 0])


def fitted(detector: Detector, genuine: Split) -> Detector:
    identity = nn.Conv2d(1, 1, 1, bias=False)
    identity.weight.data.fill_(1)
    detector.prepare(Trained(nn.Identity(), identity), (1, 32, 32))
    detector.fit(genuine)
    return detector


@pytest.mark.parametrize(
    ("name", "least"),
    [(None, 0.97), ("own", 0.97), ("integrated_gradients", 0.97), ("occlusion", 0.95)],
)
def test_finds_a_square_in_a_digit(name: str | None, least: float, zeros: Split) -> None:
    learned, new = zeros.take(torch.arange(100)), zeros.take(torch.arange(100, 124))
    samples = new.batch(torch.arange(24))[0]
    truth = torch.zeros(24, 32, 32, dtype=torch.bool)
    for index, (row, column) in enumerate(product((4, 10, 16, 22), (4, 8, 12, 15, 18, 22))):
        truth[index, row : row + 6, column : column + 6] = True
    samples = torch.where(truth[:, None], -samples.sign() * 1.5, samples)
    detector = fitted(Mapped(), learned)
    maps = explain(detector, samples, mean(learned), name)
    assert maps.shape == (24, 32, 32)
    assert maps.dtype == torch.float32
    assert localization(maps, truth).auroc > least


def test_the_default_is_the_detectors_own_map(zeros: Split) -> None:
    samples = zeros.batch(torch.arange(2))[0]
    plain, mapped = fitted(Distance(), zeros), fitted(Mapped(), zeros)
    base = mean(zeros)
    gradients = explain(plain, samples, base, "integrated_gradients")
    torch.testing.assert_close(explain(plain, samples, base), gradients)
    torch.testing.assert_close(explain(mapped, samples, base), (samples - base)[:, 0].square())
    # From the mean, each pixel's share is its own squared distance.
    torch.testing.assert_close(gradients, (samples - base)[:, 0].square(), rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="explanation=own: Distance has no map of its own"):
        explain(plain, samples, base, "own")
    with pytest.raises(
        UsageError, match="explanation=lime is unknown: it is one of own, integrated"
    ):
        explain(plain, samples, base, "lime")
    for name in EXPLANATIONS:
        assert explain(mapped, samples, base, name).isfinite().all()


def test_grad_cam_refuses_a_network_without_maps(samples: Tensor) -> None:
    score = Dense((1, 32, 32)).eval()
    with pytest.raises(
        UsageError, match=r"explanation=grad_cam: .* no layer has feature maps of 4x4"
    ):
        last_map(score, [score], samples)


def test_grad_cam_refuses_a_layer_that_a_score_calls_twice(samples: Tensor) -> None:
    network = dcgan.Discriminator(32, 1, width=8).eval()

    def score(samples: Tensor) -> Tensor:
        both: Tensor = network(samples) + network(samples.flip(2))
        return both

    with pytest.raises(
        UsageError, match=r"looks 2 times .* explanation=integrated_gradients or occlusion"
    ):
        last_map(score, [network], samples)


def test_the_mean_is_that_of_all_samples(zeros: Split) -> None:
    samples = zeros.batch(torch.arange(len(zeros)))[0]
    torch.testing.assert_close(mean(zeros), samples.mean(0))
