import pytest
import torch
from sklearn import metrics

from touchstone.privacy.use.resampling import Statistic, auc, estimate, f1, mean, share, spread


@pytest.fixture
def judged() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores with ties, what is positive, and counts of seven samples."""
    generator = torch.Generator().manual_seed(0)
    positive = torch.rand(60, generator=generator) < 0.3
    scores = (torch.randn(60, generator=generator) + positive).mul(3).round()
    return scores, positive, torch.randint(3, (7, 60), generator=generator).double()


def test_figures_are_scikit_learns_where_rows_count_several_times(
    judged: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    scores, positive, counts = judged
    said = scores > 1
    found = [statistic(counts) for statistic in (auc(scores, positive), f1(said, positive))]
    for row, weights in enumerate(counts.numpy()):
        area = metrics.roc_auc_score(positive, scores, sample_weight=weights)
        harmonic = metrics.f1_score(positive, said, sample_weight=weights)
        assert [float(each[row]) for each in found] == pytest.approx([area, harmonic], rel=1e-12)


def test_shares_their_mean_and_their_spread() -> None:
    hits = torch.tensor([True, True, False, True])
    first, second = (
        torch.tensor([True, True, True, False]),
        torch.tensor([False, False, True, True]),
    )
    counts = torch.tensor([[1, 1, 1, 1], [3, 0, 1, 0]], dtype=torch.float64)
    shares: list[Statistic] = [share(hits, first), share(hits, second)]
    assert shares[0](counts).tolist() == pytest.approx([2 / 3, 3 / 4])
    assert mean(shares)(counts).tolist() == pytest.approx([(2 / 3 + 1 / 2) / 2, (3 / 4 + 0) / 2])
    assert spread(shares)(counts).tolist() == pytest.approx([2 / 3 - 1 / 2, 3 / 4])


def test_an_interval_is_as_wide_as_that_of_a_mean() -> None:
    hits = torch.arange(1000) % 5 == 0
    everyone = torch.ones(1000, dtype=torch.bool)
    found = estimate({"share": share(hits, everyone), "again": share(hits, everyone)}, 1000, seed=3)
    half = 1.96 * (0.2 * 0.8 / 1000) ** 0.5
    assert found["share"].value == pytest.approx(0.2, abs=1e-12)
    assert found["share"].low == pytest.approx(0.2 - half, abs=0.006)
    assert found["share"].high == pytest.approx(0.2 + half, abs=0.006)
    assert found["again"] == found["share"]
    assert estimate({"share": share(hits, everyone)}, 1000, seed=4)["share"] != found["share"]


def test_samples_that_have_no_figure_do_not_count() -> None:
    lonely = torch.arange(5) == 0
    found = estimate({"share": share(lonely, lonely)}, 5)["share"]
    assert tuple(found) == (1, 1, 1)
