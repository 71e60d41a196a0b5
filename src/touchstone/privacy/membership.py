"""Membership inference: how well an attacker tells members from other people, beside a control."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.privacy.attacks.attack import Attack, Evidence
from touchstone.privacy.exposure import exposure
from touchstone.privacy.intervals import Estimate, auroc, rate

FALSE_POSITIVES = (0.01, 0.001)
OUTLIERS = 0.1  # the share of records that count as outliers
MEMBERS, NON_MEMBERS = 2, 4  # for figures at the least: a variance, and of either half one


@dataclass(frozen=True)
class Figures:
    """How well scores tell members from non-members.

    Attributes:
        auroc: the area under the ROC curve; 0.5 is a guess.
        tpr: the share of members found, by the share of non-members wrongly accused, of 1 % and
            0.1 %: what an attacker can do who must be sure (Carlini et al. 2022, arXiv
            2112.03570, section 4). The threshold comes from the non-members, of whom 100 and 1,000
            are needed: with fewer the rate is left out. The interval is the members' alone.
    """

    auroc: Estimate
    tpr: dict[float, Estimate]


@dataclass(frozen=True)
class Finding:
    """Figures and their control.

    Attributes:
        figures: of members against non-members.
        control: of one half of the non-members, in the members' place, against the other: what
            chance makes of the same attack.
    """

    figures: Figures
    control: Figures


@dataclass(frozen=True)
class Membership:
    """What an attack found.

    Attributes:
        members: its scores, `(n,)`.
        non_members: its scores, `(m,)`.
        everyone: of all records.
        outliers: of those that lie farther from the attacker's reference than nine tenths of all
            do; None where they are too few.
    """

    members: Tensor
    non_members: Tensor
    everyone: Finding
    outliers: Finding | None


def membership(
    members: Tensor,
    holdout: Tensor,
    synthetic: Tensor,
    attacks: Mapping[str, Attack],
    seed: int = 0,
) -> dict[str, Membership]:
    """Lets attacks at the synthetic records.

    One half of the holdout is the attacker's reference, the other are the non-members.

    Args:
        members: features of records that the generator was trained on, `(N, F)`.
        holdout: of records of the same kind that it was not, `(H, F)`.
        synthetic: of what it made, `(S, F)`.
        attacks: by name.
        seed: of the halves.

    Raises:
        UsageError: records of other features, too few of them, or an attack's score that is not
            finite.
    """
    named = {"members": members, "holdout": holdout, "synthetic": synthetic}
    for name, records in named.items():
        if records.ndim != 2 or records.shape[1] != members.shape[1]:
            raise UsageError(
                f"the {name} are {tuple(records.shape)}: an audit compares rows of as many "
                f"features as the members' {tuple(members.shape)}"
            )
    least = {"members": MEMBERS, "holdout": 2 * NON_MEMBERS, "synthetic": 1}
    for name, number in least.items():
        if len(named[name]) < number:
            raise UsageError(
                f"the {name}: {len(named[name])} records; membership inference needs {number}"
            )
    reference, non_members = halves(holdout, derive(seed, "holdout"))
    asked = torch.cat([members, non_members])
    distance = exposure(asked, reference)
    far = distance > distance.quantile(1 - OUTLIERS)
    found = {}
    for name, attack in attacks.items():
        scores = attack(asked, Evidence(synthetic, reference))
        if not scores.isfinite().all():
            raise UsageError(f"the attack {name} gave a score that is not finite")
        own, others = scores[: len(members)], scores[len(members) :]
        standing_out = own[far[: len(members)]], others[far[len(members) :]]
        many = len(standing_out[0]) >= MEMBERS and len(standing_out[1]) >= NON_MEMBERS
        found[name] = Membership(
            own,
            others,
            finding(own, others, seed),
            finding(*standing_out, seed) if many else None,
        )
    return found


def finding(members: Tensor, non_members: Tensor, seed: int = 0) -> Finding:
    """Figures of scores `(n,)` and `(m,)`, two or more and four or more, and their control."""
    posing, others = halves(non_members, derive(seed, "control"))
    return Finding(figures(members, non_members), figures(posing, others))


def figures(members: Tensor, non_members: Tensor) -> Figures:
    """Figures of scores `(n,)` of members and `(m,)` of non-members, two or more of each."""
    ordered = non_members.sort(descending=True).values
    tpr = {}
    for share in FALSE_POSITIVES:
        accused = int(share * len(non_members) + 1e-9)
        if accused:  # wrongly, those above the next score and not those at it
            tpr[share] = rate(int((members > ordered[accused]).sum()), len(members))
    return Figures(auroc(members, non_members), tpr)


def halves(records: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Splits records `(N, ...)` at random; the second half has one more where N is odd."""
    order = torch.randperm(len(records), generator=torch.Generator().manual_seed(seed))
    first, second = order[: len(records) // 2], order[len(records) // 2 :]
    return records[first], records[second]
