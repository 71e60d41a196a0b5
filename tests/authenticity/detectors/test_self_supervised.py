from functools import partial

import pytest
import torch
from sklearn.covariance import OAS, EmpiricalCovariance
from torch import Tensor, nn
from torch.testing import assert_close

from touchstone.authenticity.detectors.detector import scores
from touchstone.authenticity.detectors.self_supervised import SelfSupervised, shrunken
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.networks.dcgan import Discriminator
from touchstone.networks.heads import Logit, Transformations
from touchstone.terms.transformations import NUMBER, transformed
from touchstone.trained import Trained

SHAPE = (1, 8, 8)


def trained() -> Trained:
    torch.manual_seed(0)
    network = Discriminator(8, 1, 8, "layer", head=partial(Transformations, number=NUMBER))
    for weight in network.head.parameters():
        nn.init.normal_(weight)  # answers that differ, untrained as it is
    return Trained(nn.Identity(), network.eval())


def items(number: int, seed: int = 0) -> Images:
    drawn = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (number, *SHAPE), generator=drawn, dtype=torch.uint8)
    return Images(pixels, None, ())


def fitted(number: int) -> SelfSupervised:
    detector = SelfSupervised()
    detector.prepare(trained(), SHAPE)
    detector.fit(items(number))
    return detector


def by_definition(detector: SelfSupervised, genuine: Tensor, samples: Tensor) -> Tensor:
    """The sum over the transformations, each by itself, of squared distances of log-softmaxes."""
    network = detector.trained.discriminator
    assert isinstance(network, Discriminator)
    total = torch.zeros(len(samples), dtype=torch.float64)
    for number in range(NUMBER):

        def answers(images: Tensor, number: int = number) -> Tensor:
            changed = transformed(images, torch.full((len(images),), number))
            logs: Tensor = network.examine(changed)["transformations"].double().log_softmax(1)
            return logs - logs.mean(1, keepdim=True)

        learned = answers(genuine)
        empirical = EmpiricalCovariance().fit(learned.numpy())
        covariance = shrunken(torch.from_numpy(empirical.covariance_), len(learned))
        covariance += 1e-6 * torch.eye(NUMBER)
        differences = answers(samples) - learned.mean(0)
        total += (differences @ torch.linalg.inv(covariance) * differences).sum(1)
    return total


@torch.no_grad()
def test_the_score_is_the_sum_of_mahalanobis_distances() -> None:
    detector = fitted(150)
    everything = torch.arange(150)
    samples = items(7, seed=1).batch(torch.arange(7))[0]
    expected = by_definition(detector, items(150).batch(everything)[0], samples)
    assert_close(detector.score(samples).double(), expected, rtol=2e-3, atol=0)


@torch.no_grad()
def test_of_items_it_was_fitted_with_the_mean_is_the_dimension() -> None:
    """Of a squared Mahalanobis distance it is the rank of the covariance, here 71, less shrunk."""
    detector = fitted(300)
    mean = float(scores(detector, items(300)).mean())
    assert 0.6 * NUMBER * 71 < mean <= NUMBER * 71


def test_each_item_is_scored_by_itself() -> None:
    detector = fitted(20)
    alone = torch.cat([scores(detector, items(9).take(torch.tensor([n]))) for n in range(9)])
    assert_close(scores(detector, items(9)), alone, rtol=1e-4, atol=0)


def test_items_of_another_kind_score_higher() -> None:
    """Genuine items are pale, the others not."""
    pale = Images(items(300).pixels // 4 + 96, None, ())
    detector = SelfSupervised()
    detector.prepare(trained(), SHAPE)
    detector.fit(pale)
    assert scores(detector, items(50, seed=2)).min() > scores(detector, pale).max()


def test_items_that_are_all_the_same_leave_the_scores_finite() -> None:
    detector = SelfSupervised()
    detector.prepare(trained(), SHAPE)
    detector.fit(items(1).take(torch.zeros(5, dtype=torch.int64)))
    assert scores(detector, items(3)).isfinite().all()


def test_what_it_has_learned_is_restored() -> None:
    detector, other = fitted(50), SelfSupervised()
    other.prepare(detector.trained, SHAPE)
    other.restore(detector.state_dict())
    assert torch.equal(scores(detector, items(5)), scores(other, items(5)))


@pytest.mark.parametrize("number", [5, 400])
def test_shrinkage_is_between_the_covariance_and_a_multiple_of_the_identity(number: int) -> None:
    """scikit-learn leaves 2 / p out of equation 23, which is little for many dimensions."""
    torch.manual_seed(0)
    points = torch.randn(number, 60, dtype=torch.float64) * torch.linspace(0.1, 3, 60).double()
    points -= points.mean(0)
    covariance = points.T @ points / number
    expected = torch.from_numpy(OAS(assume_centered=True).fit(points.numpy()).covariance_)
    # Both at once: the leading dimensions are a batch.
    for found in shrunken(torch.stack([covariance, covariance]), number):
        assert_close(found, expected, rtol=0.05, atol=0.05)
        assert_close(found.trace(), covariance.trace())
        assert torch.linalg.eigvalsh(found).min() > 0


def test_shrinkage_by_hand() -> None:
    """S = diag(3, 1), n = 9: tr(S²) = 10, tr²(S) = 16, rho = (0 + 16) / (9 * (10 - 8)) = 8 / 9."""
    found = shrunken(torch.diag(torch.tensor([3.0, 1.0])), 9)
    assert_close(found, torch.diag(torch.tensor([2 + 1 / 9, 2 - 1 / 9])))


def test_a_discriminator_that_was_not_taught_is_refused() -> None:
    network = Discriminator(8, 1, 4, "layer", head=Logit)
    with pytest.raises(UsageError, match=r"detector=self_supervised: .*head=self_supervised$"):
        SelfSupervised().prepare(Trained(nn.Identity(), network), SHAPE)


def test_one_item_is_too_few() -> None:
    detector = SelfSupervised()
    detector.prepare(trained(), SHAPE)
    with pytest.raises(UsageError, match="2 genuine items"):
        detector.fit(items(1))
