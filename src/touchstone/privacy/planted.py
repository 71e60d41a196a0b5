"""Canaries in a training run: which of them can be told to have been planted."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from touchstone.privacy.attacks.attack import Attack, Evidence
from touchstone.privacy.bound import one_run_bound
from touchstone.privacy.canaries import Canaries
from touchstone.privacy.intervals import Estimate, auroc


@dataclass(frozen=True)
class Planted:
    """What an attack found of canaries.

    Attributes:
        area: the AUC of telling those planted from those that were not.
        bound: the epsilon that this takes at least.
    """

    area: Estimate
    bound: float


def planted(
    canaries: Canaries,
    evidence: Evidence,
    attacks: Mapping[str, Attack],
    delta: float,
    level: float,
) -> dict[str, Planted]:
    """Lets attacks at what a generator made that was trained on records and planted canaries.

    Args:
        canaries: the made-up records, and which of them were planted.
        evidence: what the attacker knows, in the features of the canaries.
        attacks: by name.
        delta: of the bounds.
        level: the probability that epsilon is not below a bound; it is exact, since each canary was
            planted by a coin of its own.
    """
    inside = canaries.included

    def told(scores: Tensor) -> Planted:
        area = auroc(scores[inside], scores[~inside])
        return Planted(area, one_run_bound(scores, inside, delta, level=level))

    return {name: told(attack(canaries.records, evidence)) for name, attack in attacks.items()}
