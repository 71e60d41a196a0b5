"""Whether a picture is of the kind at all: the statistics by hand, and pictures of other kinds."""

import math
from pathlib import Path

import pytest
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn
from torch.nn import functional

from touchstone.authenticity.calibration import Calibration
from touchstone.authenticity.detectors.detector import scores
from touchstone.authenticity.likeness import (
    QUANTIZATION,
    Likeness,
    cosines,
    rings,
    statistics,
    unlike,
)
from touchstone.data import Images, digits, fashion_mnist
from touchstone.data.images import normalize, quantize
from touchstone.errors import UsageError
from touchstone.trained import Trained

CLOTHES = Path("/usr/share/datasets/fashion-mnist")
ANY = Trained(nn.Identity())


def fitted(genuine: Images) -> Likeness:
    likeness = Likeness()
    likeness.prepare(ANY, genuine.shape)
    likeness.fit(genuine)
    return likeness


@pytest.fixture(scope="module")
def genuine() -> Images:
    return digits.load(resolution=16)


def test_the_cosines_are_orthonormal_and_scipys() -> None:
    from scipy.fft import dctn

    for size in (4, 7, 28):
        assert torch.allclose(cosines(size) @ cosines(size).T, torch.eye(size), atol=1e-6)
    values = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    found = cosines(5) @ values @ cosines(9).T
    assert torch.allclose(found, torch.from_numpy(dctn(values.numpy(), norm="ortho")), atol=1e-6)


def test_the_rings_by_hand() -> None:
    assert rings(4, 4).tolist() == [  # two rings, up to a quarter and up to half a cycle a pixel
        [0, 1, 1, 2],
        [1, 1, 2, 2],
        [1, 2, 2, 2],
        [2, 2, 2, 2],
    ]


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 9), (17, 16), (28, 28), (31, 100)])
def test_no_ring_is_empty(height: int, width: int) -> None:
    counts = rings(height, width).flatten().bincount()
    assert len(counts) == 1 + min(8, min(height, width) // 2)
    assert counts[0] == 1
    assert (counts > 0).all()


def test_the_statistics_by_hand() -> None:
    # A cosine of amplitude 0.5 along each row: 8 of its 16 values' squares, 0.125 each, in all 2.
    wave = 0.5 * math.sqrt(2) * torch.cos(math.pi / 4 * 3 * (torch.arange(4.0) + 0.5)).expand(4, 4)
    plain = torch.full((4, 4), 0.25)
    found = statistics(torch.stack([plain, plain + wave])[None])
    assert found.shape == (1, 6)
    nothing = math.log(QUANTIZATION)
    # The third frequency lies in the second ring, with nine of ten others that are empty.
    energy = float(wave.square().sum()) / int((rings(4, 4) == 2).sum())
    expected = [0.25, nothing, nothing, 0.25, nothing, math.log(energy + QUANTIZATION)]
    assert found[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_the_distance_is_mahalanobis(genuine: Images) -> None:
    likeness = fitted(genuine)
    new = digits.load(split="test", resolution=16)
    kept, others = (
        statistics(split.batch(torch.arange(len(split)))[0]).double() for split in (genuine, new)
    )
    mean, deviation = kept.mean(0), kept.std(0)
    shrunk = LedoitWolf(assume_centered=False).fit(((kept - mean) / deviation).numpy())
    expected = (shrunk.mahalanobis(((others - mean) / deviation).numpy()) / kept.shape[1]) ** 0.5
    assert scores(likeness, new).tolist() == pytest.approx(expected.tolist(), rel=1e-3)
    assert expected.mean() == pytest.approx(1, abs=0.2)


def test_each_by_itself_and_restored_as_it_was(genuine: Images) -> None:
    likeness = fitted(genuine)
    samples = genuine.batch(torch.arange(50))[0]
    found = likeness.score(samples)
    alone = torch.cat([likeness.score(one[None]) for one in samples])
    assert torch.allclose(found, alone, rtol=1e-4)
    other = Likeness()
    other.prepare(ANY, genuine.shape)
    other.restore(likeness.state_dict())
    assert other.score(samples).equal(found)


def test_channels_that_never_change_do_no_harm(genuine: Images) -> None:
    pixels = torch.cat([genuine.pixels, torch.full_like(genuine.pixels, 200)], 1)
    likeness = fitted(Images(pixels, None, ()))
    samples = normalize(pixels[:100])
    assert likeness.score(samples).isfinite().all()
    changed = samples.clone()
    changed[:, 1] = samples[:, 0]
    assert likeness.score(changed).min() > 20 * likeness.score(samples).max()


@pytest.mark.parametrize("shape", [(2,), (1, 3, 9)])
def test_what_is_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"a sample of these data is of the shape \("):
        Likeness().prepare(ANY, shape)


def test_unlike_by_hand() -> None:
    close = torch.linspace(0.5, 1, 99)
    # Of 100 scores the 99th percentile lies a hundredth of the way from the second highest, 1, to
    # the highest: its double is 2.01.
    held = Calibration(torch.cat([close, torch.tensor([1.5])]))
    distances = torch.tensor([0.0, 1.9, 2.0, 2.02, torch.nan])
    assert unlike(distances, held).tolist() == [False, False, False, True, True]
    # Or the highest, if that is farther still.
    held = Calibration(torch.cat([close, torch.tensor([3.0])]))
    assert unlike(torch.tensor([2.1, 3.0, 3.1]), held).tolist() == [False, False, True]


def blurred(samples: Tensor, spread: float) -> Tensor:
    weights = torch.exp(-(torch.arange(-8, 9.0) ** 2) / 2 / spread**2)
    weights = (weights / weights.sum()).view(1, 1, 1, -1)
    for kernel in (weights, weights.mT):
        half = [side // 2 for side in reversed(kernel.shape[2:])]
        padding = [half[0], half[0], half[1], half[1]]
        samples = functional.conv2d(functional.pad(samples, padding, "replicate"), kernel)
    return samples


def enlarged(samples: Tensor, margin: int) -> Tensor:
    inner = samples[..., margin:-margin, margin:-margin]
    return functional.interpolate(inner, size=samples.shape[2:], mode="bilinear")


@pytest.mark.skipif(not CLOTHES.exists(), reason="Debian's package of Fashion-MNIST is missing")
def test_pictures_of_other_kinds_are_unlike_and_counterfeits_seldom(tmp_path: Path) -> None:
    train, test = (fashion_mnist.load(tmp_path, split) for split in ("train", "test"))
    assert train.labels is not None
    assert test.labels is not None
    coats = (train.labels == 4).nonzero()[:, 0]
    likeness = fitted(train.take(coats[:2000]))
    held = Calibration(scores(likeness, train.take(coats[2000:3000])))

    def share(samples: Tensor) -> float:
        kept = normalize(quantize(samples))
        return float(unlike(likeness.score(kept), held).float().mean())

    own, others = (test.take(part.nonzero()[:, 0]) for part in (test.labels == 4, test.labels != 4))
    samples = own.batch(torch.arange(500))[0]
    assert share(samples) <= 0.004  # one in 1,001 is expected at most
    assert share(others.batch(torch.arange(len(others)))[0]) < 0.05  # they get their verdict
    for kind in (blurred(samples, 2), enlarged(samples, 7), torch.zeros_like(samples[:1])):
        assert share(kind) > 0.95
