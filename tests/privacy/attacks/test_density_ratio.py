"""The density ratio by a classifier: two densities that are known, and people who were copied."""

import pytest
import torch

from touchstone.privacy.attacks.attack import Evidence
from touchstone.privacy.attacks.density_ratio import DensityRatio
from touchstone.privacy.intervals import auroc


def test_the_logit_is_the_log_ratio_of_the_densities() -> None:
    """Uniform on [0, 2] against [0, 1] and [2, 3]: the ratio is 1/2 : 1/2 below 1, then 1 or 0."""
    draws = torch.Generator().manual_seed(0)
    synthetic = 2 * torch.rand(300, 1, generator=draws)
    reference = torch.rand(300, 1, generator=draws)
    reference[150:] += 2
    records = torch.linspace(0.05, 0.95, 50).unsqueeze(1)
    inside, alone, outside = (
        DensityRatio()(records + start, Evidence(synthetic, reference)) for start in (0, 1, 2)
    )
    assert float(inside.mean()) == pytest.approx(0, abs=0.5)
    assert (alone > 4).all()
    assert (outside < -4).all()


def test_finds_people_whose_other_columns_are_not_theirs() -> None:
    draws = torch.Generator().manual_seed(1)
    members, others, reference = (torch.randn(n, 8, generator=draws) for n in (80, 200, 200))
    synthetic = members.repeat(3, 1)
    replaced = torch.rand(synthetic.shape, generator=draws) < 0.4
    synthetic[replaced] = torch.randn(int(replaced.sum()), generator=draws)
    evidence = Evidence(synthetic, reference)
    inside, outside = (DensityRatio()(rows, evidence) for rows in (members, others))
    found = auroc(inside, outside)
    assert found.low > 0.6


def test_equal_evidence_gives_equal_scores() -> None:
    draws = torch.Generator().manual_seed(2)
    records, synthetic, reference = (torch.randn(40, 2, generator=draws) for _ in range(3))
    first, second = (DensityRatio()(records, Evidence(synthetic, reference)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.dtype == torch.float64
