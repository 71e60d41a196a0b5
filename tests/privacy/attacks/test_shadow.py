"""The likelihood ratio of shadow models, where all that they do is known."""

import math

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.privacy.attacks.attack import Evidence
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.attacks.shadow import LEAST, Shadow
from touchstone.privacy.intervals import auroc


class Shop:
    """Trains by keeping its rows, and remembers what it was given."""

    def __init__(self, records: Tensor) -> None:
        self.records = records
        self.seen: list[tuple[Tensor, int]] = []

    def __call__(self, inside: Tensor, seed: int) -> Tensor:
        self.seen.append((inside, seed))
        return self.records[inside]


def contained(records: Tensor, evidence: Evidence) -> Tensor:
    """1 where a record is among the synthetic ones, as if that were an attack's score."""
    return (torch.cdist(records, evidence.synthetic).min(1).values == 0).double()


def test_every_record_is_in_half_of_the_models() -> None:
    records, none = torch.arange(20.0).unsqueeze(1), torch.full((1, 1), -2.0)
    shop = Shop(records)
    Shadow(shop, contained, models=9)(records, Evidence(none, none))
    assert len({seed for _, seed in shop.seen}) == 9
    inside = torch.stack([inside for inside, _ in shop.seen])
    assert inside.sum(0).tolist() == 20 * [4]
    assert len(set(inside.sum(1).tolist())) > 1  # each record's half is its own


def test_the_likelihood_ratio_by_hand() -> None:
    record, none = torch.zeros(1, 1), torch.full((1, 1), 9.0)
    shop = Shop(record)
    noise = iter([0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.3])

    def score(records: Tensor, evidence: Evidence) -> Tensor:
        inside = (
            contained(records, evidence) if len(evidence.synthetic) else torch.zeros(1).double()
        )
        return inside + next(noise)

    found = float(Shadow(shop, score, models=6)(record, Evidence(none, none)))
    member = torch.cat([inside for inside, _ in shop.seen])
    added = torch.tensor([0.1, -0.1] * 3, dtype=torch.float64)
    inside, outside = 1 + added[member], added[~member]
    likelihood = [norm(float(side.mean()), float(side.std())) for side in (inside, outside)]
    expected = likelihood[0].logpdf(0.3) - likelihood[1].logpdf(0.3)
    assert found == pytest.approx(expected, rel=1e-9)


def test_scores_without_spread_have_a_finite_ratio() -> None:
    records, far = torch.arange(4.0).unsqueeze(1), torch.full((1, 1), 99.0)
    scores = Shadow(Shop(records), contained, models=4)(records, Evidence(records[:2], far))
    half = 0.5 / LEAST**2
    assert scores.tolist() == pytest.approx([half, half, -half, -half])
    assert math.isfinite(half)


def test_finds_more_than_the_score_that_it_compares() -> None:
    """Some records are near to all others, and their nearest distance alone misleads."""
    draws = torch.Generator().manual_seed(0)
    records = torch.randn(60, 6, generator=draws) * torch.linspace(0.2, 3, 60).unsqueeze(1)
    background, reference = (torch.randn(40, 6, generator=draws) for _ in range(2))
    member = torch.arange(60) % 2 == 0

    def train(inside: Tensor, seed: int) -> Tensor:
        own, rows = torch.Generator().manual_seed(seed), torch.cat([background, records[inside]])
        return rows.repeat(2, 1) + 0.6 * torch.randn(2 * len(rows), 6, generator=own)

    evidence = Evidence(train(member, 1), reference)
    bare = Nearest()(records, evidence)
    compared = Shadow(train, Nearest(), models=16)(records, evidence)
    areas = [auroc(scores[member], scores[~member]).value for scores in (bare, compared)]
    assert areas[1] > 0.85
    assert areas[1] > areas[0] + 0.04


def test_too_few_models_are_refused() -> None:
    with pytest.raises(UsageError, match="models=3"):
        Shadow(Shop(torch.zeros(1, 1)), contained, models=3)
