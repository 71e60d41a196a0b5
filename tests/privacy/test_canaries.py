"""Canaries: new, valid by column, and in by a fair coin."""

import pytest
import torch
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.privacy.attacks.attack import Evidence
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.bound import one_run_bound
from touchstone.privacy.canaries import canaries

COLUMNS = [1, 3, 1]


def rows(number: int, seed: int) -> Tensor:
    """A number, a category of which one value is rare, and the number again."""
    draws = torch.Generator().manual_seed(seed)
    value = torch.randn(number, 1, generator=draws)
    category = torch.multinomial(torch.tensor([0.9, 0.09, 0.01]), number, True, generator=draws)
    return torch.cat([value, torch.nn.functional.one_hot(category, 3), value], 1)


def test_each_column_holds_values_that_occur_equally_likely() -> None:
    real = rows(500, 0)
    made = canaries(real, 3000, COLUMNS, 1).records
    for column, known in zip(
        torch.split(made, COLUMNS, 1), torch.split(real, COLUMNS, 1), strict=True
    ):
        assert (torch.cdist(column, known).min(1).values == 0).all()
    assert made[:, 1:4].mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    # What goes together in people does not in canaries.
    assert abs(float(torch.corrcoef(made[:, [0, 4]].T)[0, 1])) < 0.06


def test_they_are_unlike_all_others() -> None:
    real = rows(40, 0)
    made = canaries(real, 200, COLUMNS, 1).records
    together = torch.cat([torch.unique(real, dim=0), made])
    assert len(torch.unique(together, dim=0)) == len(together)


def test_the_coins_are_fair_and_seeded() -> None:
    made = canaries(rows(100, 0), 2000, COLUMNS, 5)
    assert 0.47 < float(made.included.float().mean()) < 0.53
    assert torch.equal(made.planted, made.records[made.included])
    again, other = (canaries(rows(100, 0), 2000, COLUMNS, seed) for seed in (5, 6))
    assert torch.equal(made.records, again.records)
    assert torch.equal(made.included, again.included)
    assert not torch.equal(made.included, other.included)


def test_a_copier_gives_its_canaries_away_and_one_who_never_saw_them_does_not() -> None:
    real = rows(200, 0)
    made = canaries(real, 100, COLUMNS, 7)
    reference = rows(200, 1)
    copied, blind = (
        one_run_bound(Nearest()(made.records, Evidence(synthetic, reference)), made.included)
        for synthetic in (torch.cat([real, made.planted]), real)
    )
    assert copied > 2
    assert blind == 0


def test_what_has_too_few_values_is_refused() -> None:
    real = torch.tensor([[0.0, 0], [0, 1], [1, 0]])
    assert canaries(real, 1, (1, 1), 0).records.tolist() == [[1, 1]]
    with pytest.raises(UsageError, match=r"2 canaries: .* for 1 new"):
        canaries(real, 2, (1, 1), 0)
    with pytest.raises(UsageError, match="columns of 3 features"):
        canaries(real, 1, (1, 2), 0)
