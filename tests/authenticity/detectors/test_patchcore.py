from math import exp

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from touchstone.authenticity.detectors.patchcore import PatchCore, coreset
from touchstone.data.images import Images
from touchstone.draws import Draws
from touchstone.errors import UsageError
from touchstone.networks import article, dcgan, infogan, mlp, progan, resnet, sagan, stylegan2
from touchstone.trained import Trained

SHAPES = [
    # (discriminator, resolution, places a side and numbers of a patch)
    (lambda: article.Discriminator(28, 1, width=8), 28, 14, 8 + 16),
    (lambda: dcgan.Discriminator(28, 1, width=8), 28, 16, 8 + 16),
    (lambda: dcgan.Discriminator(64, 1, width=4, normalization="spectral"), 64, 16, 8 + 16),
    (lambda: infogan.Discriminator(28, 1, width=4), 28, 14, 4 + 8),
    (lambda: resnet.Discriminator(32, 1, width=8), 32, 16, 8 + 8),
    (lambda: sagan.Discriminator(32, 1, width=8), 32, 16, 8 + 8),
    (lambda: stylegan2.Discriminator(32, 1, width=8), 32, 16, 8 + 8),
    # No size of 16 or fewer places but one: that one alone.
    (lambda: article.Discriminator(64, 1, width=4), 64, 16, 8),
    # None at all: the coarsest.
    (lambda: article.Discriminator(96, 1, width=4), 96, 24, 8),
]


@pytest.mark.parametrize(("network", "resolution", "side", "width"), SHAPES)
def test_the_maps_are_in_the_middle_of_any_discriminator(
    network: type[nn.Module], resolution: int, side: int, width: int
) -> None:
    detector = PatchCore()
    detector.prepare(Trained(nn.Identity(), network().eval()), (1, resolution, resolution))
    patches = detector.embed(torch.randn(2, 1, resolution, resolution))
    assert patches.shape == (2, side, side, width)


def test_a_network_that_grew_is_looked_through_as_it_is() -> None:
    network = progan.Discriminator(32, 1, width=8).eval()
    detector = PatchCore()
    detector.prepare(Trained(nn.Identity(), network), (1, 32, 32))
    assert detector.embed(torch.randn(2, 1, 32, 32)).ndim == 4


def test_refuses_a_network_without_places() -> None:
    network = mlp.Discriminator((1, 8, 8), width=8)
    with pytest.raises(UsageError, match=r"detector=patchcore: .* no convolutions"):
        PatchCore().prepare(Trained(nn.Identity(), network.eval()), (1, 8, 8))
    with pytest.raises(
        UsageError, match=r"detectors.patchcore.neighbours=9: .* less than .*patches=9"
    ):
        PatchCore(patches=9)


@pytest.mark.parametrize("dimension", [3, 200])  # of 200 a projection is compared
def test_the_coreset_takes_the_farthest_next(dimension: int) -> None:
    points = torch.randn(60, dimension, generator=torch.Generator().manual_seed(0))
    chosen = coreset(points, 10, Draws(3))
    assert len(set(chosen.tolist())) == 10
    if dimension == 3:
        for number in range(1, 10):
            to_nearest = torch.cdist(points, points[chosen[:number]]).amin(1)
            assert to_nearest.argmax() == chosen[number]
    else:
        # Johnson and Lindenstrauss: almost so. It covers no worse than what is drawn at random.
        at_random = torch.cdist(points, points[:10]).amin(1).amax()
        assert torch.cdist(points, points[chosen]).amin(1).amax() <= 1.05 * at_random
    assert sorted(coreset(points, 60, Draws(3)).tolist()) == list(range(60))


def fitted(trained: Trained, genuine: Images, **settings: int) -> PatchCore:
    detector = PatchCore(**settings)
    detector.prepare(trained, genuine.shape)
    detector.fit(genuine)
    return detector


def by_hand(patches: Tensor, bank: Tensor, neighbours: int) -> float:
    """Equations 6 and 7 of one sample, word by word."""
    all_distances = [[float((p - m).norm()) for m in bank] for p in patches]
    distances = [min(row) for row in all_distances]
    worst = max(range(len(patches)), key=lambda i: distances[i])
    twin = bank[all_distances[worst].index(distances[worst])]
    around = sorted(range(len(bank)), key=lambda i: float((twin - bank[i]).norm()))[:neighbours]
    total = sum(exp(all_distances[worst][i]) for i in around)
    return (1 - exp(distances[worst]) / total) * distances[worst]


def test_the_score_by_hand(trained: Trained, genuine: Images, new: Images) -> None:
    detector = fitted(trained, genuine, patches=30, neighbours=4)
    samples, _ = new.batch(torch.arange(3))
    with torch.inference_mode():
        patches = detector.embed(samples)
        found = detector.score(samples)
    expected = [by_hand(each.flatten(0, 1), detector.bank, 4) for each in patches]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_what_is_all_in_memory_is_at_no_distance(trained: Trained, genuine: Images) -> None:
    few = genuine.take(torch.arange(3))
    detector = fitted(trained, few)
    samples, _ = few.batch(torch.arange(3))
    with torch.inference_mode():
        assert len(detector.bank) == detector.embed(samples)[..., 0].numel()
        assert detector.score(samples).abs().max() < 1e-6
        found = detector.map(samples)
    assert found.abs().max() < 1e-6


def test_the_map_finds_a_defect(trained: Trained, genuine: Images, new: Images) -> None:
    detector = fitted(trained, genuine, patches=500)
    pixels = new.pixels[:10].clone()
    pixels[:, :, 1:6, 9:14] = 255 - pixels[:, :, 1:6, 9:14]
    samples, _ = Images(pixels, None, ()).batch(torch.arange(10))
    with torch.inference_mode():
        found = detector.map(samples)
    truth = torch.zeros_like(found)
    truth[:, 1:6, 9:14] = 1
    assert roc_auc_score(truth.flatten(), found.flatten()) > 0.9
