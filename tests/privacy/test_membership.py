"""Membership inference: the protocol by hand, and that it accuses whom it should."""

import pytest
import torch
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.privacy.attacks.attack import Attack, Evidence
from touchstone.privacy.attacks.density_ratio import DensityRatio
from touchstone.privacy.attacks.discriminator import Discriminator
from touchstone.privacy.attacks.kernel_density import KernelDensity
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.intervals import rate
from touchstone.privacy.membership import figures, halves, membership

CHEAP: dict[str, Attack] = {"nearest": Nearest(), "kernel_density": KernelDensity()}


def people(number: int, seed: int) -> Tensor:
    """Numbers that go together, and a category of five: of heavier tails than a Gaussian's."""
    draws = torch.Generator().manual_seed(seed)
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    scale = 0.5 + torch.rand(number, 1, generator=draws)
    numbers = scale * torch.randn(number, 6, generator=draws) @ mixing / 2
    category = (numbers[:, 0] * 1.5 + 2.5).clamp(0, 4).long()
    return torch.cat([numbers, torch.nn.functional.one_hot(category, 5)], 1)


def blurred(rows: Tensor, number: int, seed: int, width: float = 0.25) -> Tensor:
    """Gaussian kernels on rows: with a small width, an overfitted generator."""
    draws = torch.Generator().manual_seed(seed)
    chosen = rows[torch.randint(len(rows), (number,), generator=draws)]
    return chosen + width * torch.randn(chosen.shape, generator=draws)


def test_figures_by_hand() -> None:
    members, non_members = torch.tensor([5.0, 150, 250, 298.5]), torch.arange(300.0)
    found = figures(members, non_members)
    # 1 % of 300 are three: 299, 298 and 297 may be accused, what is above 296 is.
    assert found.tpr == {0.01: rate(1, 4)}  # of 0.1 % nothing is known from 300
    assert found.auroc.value == pytest.approx((5.5 + 150.5 + 250.5 + 299) / 4 / 300)
    many = figures(torch.tensor([1996.5, 1999, 1997.5]), torch.arange(2000.0))
    assert many.tpr == {0.01: rate(3, 3), 0.001: rate(2, 3)}


def test_scores_at_the_threshold_are_not_found() -> None:
    non_members = torch.zeros(100)
    assert figures(torch.tensor([0.0, 0, 1]), non_members).tpr[0.01] == rate(1, 3)


def test_halves_are_disjoint_and_seeded() -> None:
    first, second = halves(torch.arange(11), 3)
    assert (len(first), len(second)) == (5, 6)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(11))
    assert torch.equal(halves(torch.arange(11), 3)[0], first)
    assert not torch.equal(halves(torch.arange(11), 4)[0], first)


def test_the_attacker_is_asked_of_nobody_whom_he_has() -> None:
    seen: list[Evidence] = []

    def attack(records: Tensor, evidence: Evidence) -> Tensor:
        seen.append(evidence)
        return records[:, 0].double()

    members, holdout = torch.arange(100.0, 140).unsqueeze(1), torch.arange(60.0).unsqueeze(1)
    synthetic = torch.full((7, 1), 0.5)
    found = membership(members, holdout, synthetic, {"one": attack})["one"]
    reference = seen[0].reference[:, 0].tolist()
    assert torch.equal(found.members, members[:, 0].double())
    assert len(reference) == 30
    assert sorted(reference + found.non_members.tolist()) == list(range(60))
    assert found.everyone.figures.auroc.value == 1
    assert found.everyone.control.auroc.covers(0.5)
    assert torch.equal(seen[0].synthetic, synthetic)


def test_outliers_lie_farthest_from_the_reference() -> None:
    def attack(records: Tensor, evidence: Evidence) -> Tensor:
        """Right about those far away, and wrong about the others."""
        far = records[:, 0] > 50
        return torch.where(far, 1.0, -1.0).double() * torch.where(records[:, 1] == 1, 1.0, -1.0)

    holdout = torch.zeros(400, 2)
    holdout[::10, 0] = 100 + torch.arange(40.0) * 10
    members = torch.zeros(200, 2)
    members[::10, 0] = 1000 + torch.arange(20.0) * 10
    members[:, 1] = 1
    found = membership(members, holdout, members, {"one": attack})["one"]
    assert found.outliers is not None
    assert found.outliers.figures.auroc.value == 1
    assert found.everyone.figures.auroc.value < 0.2


def test_a_copier_is_caught() -> None:
    members, holdout = people(200, 1), people(600, 2)
    found = membership(members, holdout, members, CHEAP)
    assert found["nearest"].everyone.figures.auroc.value == 1
    assert found["nearest"].everyone.figures.tpr[0.01].value == 1
    assert found["kernel_density"].everyone.figures.auroc.value > 0.8
    assert all(attack.everyone.control.auroc.covers(0.5) for attack in found.values())


def test_one_overfitted_to_500_is_caught_at_the_outliers() -> None:
    members, holdout = people(500, 3), people(1000, 4)
    found = membership(members, holdout, blurred(members, 1000, 5), CHEAP)
    for attack in found.values():
        assert attack.outliers is not None
        assert attack.outliers.figures.auroc.low > 0.6
        assert attack.everyone.figures.auroc.low > 0.5


def test_one_made_of_others_is_not_accused() -> None:
    covered = dict.fromkeys(CHEAP | {"discriminator": None}, 0)
    for repetition in range(20):
        members, holdout, others = (
            people(number, 10 * repetition + place)
            for place, number in enumerate((150, 400, 150), 100)
        )
        # A judge that has learned others by heart: near to one of them is real.
        judge = Discriminator(lambda rows, known=others: -torch.cdist(rows, known).min(1).values)  # type: ignore[misc]
        synthetic = blurred(others, 300, repetition, 0.1)
        found = membership(members, holdout, synthetic, CHEAP | {"discriminator": judge})
        for name, attack in found.items():
            covered[name] += attack.everyone.figures.auroc.covers(0.5)
    assert min(covered.values()) >= 17


def test_the_density_ratio_tells_members_from_others_and_others_from_others() -> None:
    members, holdout, others = people(100, 6), people(200, 7), people(100, 8)
    attacks = {"density_ratio": DensityRatio()}
    caught, free = (
        membership(members, holdout, rows, attacks)["density_ratio"].everyone.figures.auroc
        for rows in (members, others)
    )
    assert caught.value > 0.9
    assert free.covers(0.5)


@pytest.mark.parametrize(
    ("members", "holdout", "synthetic", "message"),
    [
        ((10, 3), (20, 4), (5, 3), r"the holdout are \(20, 4\)"),
        ((10, 3), (20, 3), (5, 3, 1), r"the synthetic are \(5, 3, 1\)"),
        ((1, 3), (20, 3), (5, 3), "the members: 1 records"),
        ((10, 3), (7, 3), (5, 3), "the holdout: 7 records; membership inference needs 8"),
        ((10, 3), (20, 3), (0, 3), "the synthetic: 0 records"),
    ],
)
def test_what_cannot_be_audited_is_refused(
    members: tuple[int, ...], holdout: tuple[int, ...], synthetic: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        membership(torch.zeros(members), torch.zeros(holdout), torch.zeros(synthetic), CHEAP)


def test_scores_that_are_no_numbers_are_refused() -> None:
    def attack(records: Tensor, evidence: Evidence) -> Tensor:
        return torch.full((len(records),), torch.nan)

    with pytest.raises(UsageError, match="the attack broken gave a score"):
        membership(people(10, 1), people(20, 2), people(5, 3), {"broken": attack})


def test_too_few_outliers_are_left_out() -> None:
    found = membership(people(6, 1), people(12, 2), people(5, 3), {"nearest": Nearest()})
    assert found["nearest"].outliers is None
