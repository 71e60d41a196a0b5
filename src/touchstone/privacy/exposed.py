"""The most exposed people: whether shadow models tell which of them were members."""

from collections.abc import Callable

import torch
from torch import Tensor

from touchstone.draws import derive
from touchstone.privacy.attacks.attack import Evidence
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.attacks.shadow import Shadow
from touchstone.privacy.exposure import exposure
from touchstone.privacy.membership import Membership, finding, halves

TARGETS = 100  # members, and as many others, that are asked about


def exposed(
    members: Tensor,
    holdout: Tensor,
    synthetic: Tensor,
    train: Callable[[Tensor, Tensor, int], Tensor],
    models: int,
    seed: int = 0,
) -> Membership:
    """Asks shadow models about those members, and others, who are farthest from all other people.

    What they compare is the attack by nearest records. As in `membership`, one half of the holdout
    is the attacker's reference.

    Args:
        members: that the generator was trained on, `(N, F)`, 2 or more.
        holdout: others, `(H, F)`, 8 or more.
        synthetic: what it made, `(S, F)`.
        train: from the indices of members who are left out, of others who are let in, and a seed,
            to what a generator makes that is trained on the members so changed, `(S, F)`.
        models: how many such generators are trained.
        seed: of the halves and of the models.

    Raises:
        UsageError: too few models.
    """
    reference, free = halves(torch.arange(len(holdout)), derive(seed, "holdout"))
    own = _farthest(members, holdout[reference])
    others = free[_farthest(holdout[free], holdout[reference])]

    def retrained(inside: Tensor, seed: int) -> Tensor:
        kept, let_in = inside[: len(own)], inside[len(own) :]
        return train(own[~kept], others[let_in], seed)

    attack = Shadow(retrained, Nearest(), models, seed)
    asked = torch.cat([members[own], holdout[others]])
    scores = attack(asked, Evidence(synthetic, holdout[reference]))
    of_own, of_others = scores[: len(own)], scores[len(own) :]
    return Membership(of_own, of_others, finding(of_own, of_others, seed), None)


def _farthest(records: Tensor, reference: Tensor) -> Tensor:
    distance = exposure(records, reference)
    return distance.argsort(descending=True, stable=True)[:TARGETS]
