import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from touchstone.authenticity.localization import localization, localization_auroc
from touchstone.errors import UsageError


def drawn(items: int, shift: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Maps of rounded noise, higher by `shift` in a quarter of the places, with ties."""
    draws = torch.Generator().manual_seed(seed)
    truth = torch.rand(items, 8, 8, generator=draws) < 0.25
    maps = torch.randn(items, 8, 8, generator=draws) + shift * truth
    return (4 * maps).round() / 4, truth


def test_by_hand() -> None:
    maps = torch.tensor([[[3.0, 1.0]], [[2.0, 2.0]]])
    truth = torch.tensor([[[True, False]], [[True, False]]])
    # Wrong: 3, 2. Right: 1, 2. Pairs: 3 > 1, 3 > 2, 2 > 1, 2 = 2.
    assert localization_auroc(maps, truth) == 3.5 / 4
    found = localization(maps, truth)
    assert (found.auroc, found.by_item, found.items) == (3.5 / 4, (1 + 0.5) / 2, 2)
    # Item 1 alone: 1; both: 3.5/4; item 2 alone: 0.5. Drawn 1/4, 1/2, 1/4 of the time.
    assert found.interval == (0.5, 1.0)


def test_agrees_with_scikit_learn() -> None:
    maps, truth = drawn(20, 0.7)
    expected = roc_auc_score(truth.flatten(), maps.flatten())
    assert localization_auroc(maps, truth) == pytest.approx(expected, abs=1e-12)
    own = [roc_auc_score(t.flatten(), m.flatten()) for m, t in zip(maps, truth, strict=True)]
    assert localization(maps, truth).by_item == pytest.approx(sum(own) / 20, abs=1e-12)


def test_the_interval_is_that_of_items_drawn_again() -> None:
    maps, truth = drawn(12, 0.7)
    found = localization(maps, truth, draws=400, level=0.8)
    draws = torch.Generator().manual_seed(1)
    numbers = torch.randint(12, (400, 12), generator=draws)
    slow = torch.tensor(
        [roc_auc_score(truth[n].flatten(), maps[n].flatten()) for n in numbers],
        dtype=torch.float64,
    ).quantile(torch.tensor([0.1, 0.9], dtype=torch.float64))
    # Of other draws: within a fifth of the interval.
    width = float(slow[1] - slow[0])
    assert found.interval == pytest.approx(tuple(slow.tolist()), abs=0.2 * width)
    assert found == localization(maps, truth, draws=400, level=0.8)


def test_the_interval_holds_chance_as_often_as_it_says() -> None:
    held = []
    for seed in range(100):
        maps, truth = drawn(40, 0.0, seed)
        low, high = localization(maps, truth, draws=300, seed=seed).interval
        held.append(low <= 0.5 <= high)
    assert 88 <= sum(held) <= 99  # 95 of 100; the standard deviation is 2.2


def test_items_wholly_right_or_wrong_count_in_the_whole_alone() -> None:
    maps, truth = drawn(6, 1.0)
    truth[0], truth[1] = True, False
    found = localization(maps, truth)
    assert found.items == 4
    expected = roc_auc_score(truth.flatten(), maps.flatten())
    assert found.auroc == pytest.approx(expected, abs=1e-12)


def test_refuses_what_has_no_figure() -> None:
    maps, truth = drawn(2, 1.0)
    with pytest.raises(UsageError, match="all numbers"):
        localization_auroc(maps * torch.nan, truth)
    with pytest.raises(UsageError, match="places that are wrong"):
        localization_auroc(maps, torch.ones_like(truth))
    with pytest.raises(UsageError, match="the truth has to be so many bools"):
        localization_auroc(maps, truth.float())
    with pytest.raises(UsageError, match="no item has both"):
        localization(maps, torch.tensor([True, False])[:, None, None].expand(2, 8, 8))
