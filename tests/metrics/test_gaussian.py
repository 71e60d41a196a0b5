import itertools
import math

import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from touchstone.metrics.gaussian import Gaussian, frechet_distance, sampling_error

# 16 points of mean 0 and covariance I over N - 1, exactly: the corners of a cube.
CORNERS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4))) * math.sqrt(15 / 16)


def distance(generated: Tensor, real: Tensor) -> float:
    return frechet_distance(Gaussian.of(generated), Gaussian.of(real))


def correlated(number: int, size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=torch.Generator().manual_seed(99))
    return torch.randn(number, size, generator=generator) @ mixing


def test_two_gaussians_have_the_distance_worked_out_by_hand() -> None:
    # N(1, 4 I) and N(0, I) of 4 dimensions: |1|^2 = 4 and tr(4 I + I - 2 (4 I)^(1/2)) = 4.
    assert distance(1 + 2 * CORNERS, CORNERS) == pytest.approx(8, abs=1e-6)
    # Without the spread, the mean alone; without the shift, the spread alone.
    assert distance(1 + CORNERS, CORNERS) == pytest.approx(4, abs=1e-6)
    assert distance(2 * CORNERS, CORNERS) == pytest.approx(4, abs=1e-6)
    assert distance(CORNERS, CORNERS) == pytest.approx(0, abs=1e-6)


def test_mean_and_covariance_are_those_of_the_features() -> None:
    fitted = Gaussian.of(torch.tensor([[0.0, 0.0], [2.0, 4.0]]))
    assert fitted.mean.tolist() == [1, 2]
    assert fitted.covariance.tolist() == [[2, 4], [4, 8]]
    features = correlated(25_000, 3, 0)  # more than are made float64 at a time
    fitted = Gaussian.of(features)
    assert torch.allclose(fitted.covariance, features.double().T.cov(), rtol=1e-12, atol=0)
    assert torch.allclose(fitted.root @ fitted.root, fitted.covariance, rtol=1e-12, atol=1e-12)


def test_samples_of_two_gaussians_come_close_to_the_distance_as_they_grow_in_number() -> None:
    generator = torch.Generator().manual_seed(0)
    errors = []
    for number in (100, 10_000, 1_000_000):
        real = torch.randn(number, 4, generator=generator)
        errors.append(abs(distance(1 + 2 * torch.randn(number, 4, generator=generator), real) - 8))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02


def test_it_equals_torch_fidelity_and_scipy() -> None:
    generated, real = 1.5 * correlated(300, 8, 0) + 0.3, correlated(200, 8, 1)
    statistics = [fid_features_to_statistics(part.double()) for part in (generated, real)]
    theirs = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert distance(generated, real) == pytest.approx(theirs, rel=1e-9)
    product = statistics[0]["sigma"] @ statistics[1]["sigma"]
    root = scipy.linalg.sqrtm(product).real
    by_hand = sum((statistics[0]["mu"] - statistics[1]["mu"]) ** 2) + sum(
        statistics[0]["sigma"].diagonal() + statistics[1]["sigma"].diagonal() - 2 * root.diagonal()
    )
    assert distance(generated, real) == pytest.approx(by_hand, rel=1e-9)


def test_a_common_offset_costs_no_digits() -> None:
    # Sums of squares in float32 would be off by more than the whole distance.
    cube = CORNERS.sign()
    near, far = (distance(2 * cube + offset, cube + offset) for offset in (0, 4096))
    assert far == pytest.approx(near, rel=1e-7)


def test_fewer_features_than_dimensions_still_give_a_distance() -> None:
    assert distance(correlated(5, 8, 0), correlated(6, 8, 1)) > 0
    assert distance(correlated(5, 8, 0), correlated(5, 8, 0)) == pytest.approx(0, abs=1e-5)


def test_the_sampling_error_is_the_deviation_over_draws() -> None:
    real = Gaussian(torch.zeros(4).double(), torch.eye(4).double())
    draws = [
        1 + 2 * torch.randn(500, 4, generator=torch.Generator().manual_seed(i)) for i in range(400)
    ]
    distances = torch.tensor([frechet_distance(Gaussian.of(draw), real) for draw in draws])
    stated = torch.tensor([sampling_error(draw, real) for draw in draws])
    # 400 draws tell a deviation to 3.5 % (one standard error).
    assert float(stated.mean()) == pytest.approx(float(distances.std()), rel=0.1)
    # By hand in one dimension: N(m, s^2) against N(0, 1), (m^2 + (s - 1)^2): its error is
    # sqrt((4 m^2 s^2 + 2 s^2 (s - 1)^2) / N), here with m = 1 and s = 2.
    line = 1 + 2 * torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0))
    unit = Gaussian(torch.zeros(1).double(), torch.eye(1).double())
    assert sampling_error(line, unit) == pytest.approx((24 / 100_000) ** 0.5, rel=0.01)
