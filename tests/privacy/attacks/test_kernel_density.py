"""The density ratio by kernels, against scipy's densities."""

import pytest
import torch
from scipy.stats import gaussian_kde, norm

from touchstone.privacy.attacks.attack import Evidence
from touchstone.privacy.attacks.kernel_density import KernelDensity, log_density


def test_the_density_is_scipys() -> None:
    draws = torch.Generator().manual_seed(0)
    samples, points = (torch.randn(n, 3, generator=draws).double() for n in (700, 600))
    # scipy scales its kernels by the samples' covariance: of these it is one.
    centred = samples - samples.mean(0)
    white = centred @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(centred.T))).T
    scipys = gaussian_kde(white.T.numpy(), "scott").logpdf(points.T.numpy())
    assert log_density(points, white).numpy() == pytest.approx(scipys, abs=1e-9)


def test_the_score_is_the_log_ratio_of_two_densities() -> None:
    draws = torch.Generator().manual_seed(1)
    synthetic = torch.randn(5000, 1, generator=draws) / 2 + 1
    reference = torch.randn(5000, 1, generator=draws)
    width = 5000 ** (-1 / 5)  # what the kernels add to the spread, in units of the reference's
    points = torch.linspace(0, 2, 9).unsqueeze(1)
    expected = norm.logpdf(points, 1, (0.25 + width**2) ** 0.5) - norm.logpdf(
        points, 0, (1 + width**2) ** 0.5
    )
    scores = KernelDensity()(points, Evidence(synthetic, reference))
    assert scores.numpy() == pytest.approx(expected[:, 0], abs=0.1)


def test_units_and_turns_of_the_axes_do_not_matter() -> None:
    draws = torch.Generator().manual_seed(2)
    rows = [torch.randn(80, 4, generator=draws).double() for _ in range(3)]
    turn = torch.linalg.qr(torch.randn(4, 4, generator=draws).double()).Q
    for change in (turn, 1000 * torch.eye(4).double(), torch.diag(torch.tensor([1.0, 2, 3, 4]))):
        moved = [values @ change.double() + 5 for values in rows]
        first, second = (
            KernelDensity()(records, Evidence(synthetic, reference))
            for records, synthetic, reference in (rows, moved)
        )
        assert second.numpy() == pytest.approx(first.numpy(), abs=1e-6)


def test_columns_without_spread_are_left_out() -> None:
    draws = torch.Generator().manual_seed(3)
    rows = [torch.randn(80, 2, generator=draws) for _ in range(3)]
    # A constant column, and one that is another's double.
    wider = [torch.cat([r, torch.ones(80, 1), 2 * r[:, :1]], 1) for r in rows]
    scores = KernelDensity()(wider[0], Evidence(wider[1], wider[2]))
    narrow = KernelDensity()(rows[0], Evidence(rows[1], rows[2]))
    assert scores.numpy() == pytest.approx(narrow.numpy(), abs=1e-5)


def test_a_generator_of_one_record_gives_finite_scores() -> None:
    draws = torch.Generator().manual_seed(4)
    records, reference = (torch.randn(50, 6, generator=draws) for _ in range(2))
    scores = KernelDensity()(records, Evidence(records[:1].repeat(20, 1), reference))
    assert scores.isfinite().all()
    assert int(scores.argmax()) == 0


def test_no_samples_have_no_density() -> None:
    with pytest.raises(ValueError, match="needs samples"):
        log_density(torch.zeros(2, 3), torch.zeros(0, 3))
