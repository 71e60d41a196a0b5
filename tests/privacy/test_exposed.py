"""The most exposed people, where it is known who they are and what training does to them."""

import torch
from torch import Tensor

from touchstone.draws import derive
from touchstone.privacy.exposed import TARGETS, exposed
from touchstone.privacy.exposure import exposure
from touchstone.privacy.membership import Membership, halves

NUMBER, NOISE = 300, 0.4


def people(number: int, seed: int) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(number, 4, generator=draws) * torch.linspace(0.3, 3, number).unsqueeze(1)


MEMBERS, HOLDOUT = people(NUMBER, 1), people(2 * NUMBER, 2)


def blurred(rows: Tensor, seed: int) -> Tensor:
    """Each row twice, with noise."""
    draws = torch.Generator().manual_seed(seed)
    return rows.repeat(2, 1) + NOISE * torch.randn(2 * len(rows), 4, generator=draws)


def asked(audited: Tensor, seen: list[tuple[Tensor, Tensor]] | None = None) -> Membership:
    """Asks about what was made of `audited`, with shadow models that blur their rows."""

    def train(left_out: Tensor, let_in: Tensor, seed: int) -> Tensor:
        if seen is not None:
            seen.append((left_out, let_in))
        kept = torch.ones(NUMBER, dtype=torch.bool)
        kept[left_out] = False
        return blurred(torch.cat([MEMBERS[kept], HOLDOUT[let_in]]), seed)

    return exposed(MEMBERS, HOLDOUT, blurred(audited, 3), train, models=12)


def test_those_are_asked_about_who_are_farthest_from_all_others() -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    found = asked(MEMBERS, seen)
    assert len(found.members) == len(found.non_members) == TARGETS
    assert len(seen) == 12
    reference, free = halves(torch.arange(len(HOLDOUT)), derive(0, "holdout"))
    farthest = [
        exposure(records, HOLDOUT[reference]).topk(TARGETS).indices
        for records in (MEMBERS, HOLDOUT[free])
    ]
    # Each is left out of half of the models, and each of the others let into half.
    for place, expected in enumerate((farthest[0], free[farthest[1]])):
        times = torch.cat([pair[place] for pair in seen]).bincount()
        assert set(times.nonzero().flatten().tolist()) == set(expected.tolist())
        assert set(times[expected].tolist()) == {6}


def test_a_generator_that_blurs_its_members_is_caught() -> None:
    area = asked(MEMBERS).everyone.figures.auroc
    assert area.value > 0.95
    assert area.low > 0.9


def test_a_generator_of_other_people_is_not_accused() -> None:
    found = asked(people(NUMBER, 4)).everyone
    assert found.figures.auroc.covers(0.5)
    assert found.control.auroc.covers(0.5)
