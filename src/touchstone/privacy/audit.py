"""The audit of synthetic records: what they leak of those trained on, and what they are worth.

Every kind of record goes the same way as rows of features; a table has a use beside it.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import torch
from torch import Tensor
from tqdm import tqdm

from touchstone.data.tables.schema import Schema
from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.privacy.attacks.attack import Attack, Evidence
from touchstone.privacy.attacks.density_ratio import DensityRatio
from touchstone.privacy.attacks.kernel_density import KernelDensity
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.attribute import (
    AttributeInference,
    People,
    attribute_inference,
    boosted_trees,
    nearest_record,
)
from touchstone.privacy.bound import epsilon_bound
from touchstone.privacy.canaries import Canaries
from touchstone.privacy.copies import NEAR, Copies, copies
from touchstone.privacy.exposed import exposed
from touchstone.privacy.intervals import LEVEL, Estimate
from touchstone.privacy.membership import Figures, Finding, Membership, membership
from touchstone.privacy.planted import Planted, planted
from touchstone.privacy.shares import Shares, shares
from touchstone.privacy.tables import Tables
from touchstone.privacy.use.correlations import Correlations, correlations
from touchstone.privacy.use.coverage import Coverage, coverage
from touchstone.privacy.use.fairness import Fairness, fairness
from touchstone.privacy.use.features import features, judged
from touchstone.privacy.use.marginals import cells, marginals, pairs
from touchstone.privacy.use.prediction import (
    CLASSIFIERS,
    Prediction,
    labelled,
    predicted,
    train,
)
from touchstone.privacy.use.two_sample import two_sample

DELTA = 1e-5  # of the bound on epsilon, where none was promised
CANARIES, SHADOW = "canaries", "shadow"  # in the names of what they find
COPIED = 10_000  # synthetic records, and others, whose nearest member is looked for
DRAWN = 6  # columns whose values are shown
LOOKED_AT = 100_000  # members among whom it is
LEARNERS = {"nearest_record": nearest_record, "boosted_trees": boosted_trees}


@dataclass(frozen=True)
class Sides:
    """An audit's records as rows of features, float32.

    Attributes:
        members: those that the generator was trained on, `(N, F)`.
        holdout: others of the same kind, `(H, F)`.
        synthetic: what it made, `(S, F)`.
    """

    members: Tensor
    holdout: Tensor
    synthetic: Tensor


@dataclass(frozen=True)
class WhiteBox:
    """What a discriminator is asked about.

    Attributes:
        attack: by the discriminator.
        sides: records as it takes them, in the order of those of the audit.
    """

    attack: Attack
    sides: Sides


@dataclass(frozen=True)
class Shadows:
    """Generators that came about as the audited one did, of other people.

    Attributes:
        train: from the indices of members who are left out, of those held out who are let in, and
            a seed, to what such a generator makes, `(S, F)`.
        sides: records as it takes them, in the order of those of the audit.
        models: how many are trained.
    """

    train: Callable[[Tensor, Tensor, int], Tensor]
    sides: Sides
    models: int


@dataclass(frozen=True)
class Planting:
    """A generator that came about as the audited one did, with canaries among the members.

    Attributes:
        canaries: as it takes records.
        train: gives what it makes, `(S, F)`.
        holdout: records of people who were held out, as it takes them, `(H, F)`.
    """

    canaries: Canaries
    train: Callable[[], Tensor]
    holdout: Tensor


@dataclass(frozen=True)
class Promise:
    """(epsilon, delta)-differential privacy as it was promised."""

    epsilon: float
    delta: float


@dataclass(frozen=True)
class Leakage:
    """What the synthetic records leak.

    Attributes:
        membership: what each attack found, by its name.
        bounds: the epsilon that each attack's success takes at least, canaries' among them; they
            hold together at 95 %.
        delta: of the bounds.
        copies: None of a holdout too small to say what a near copy is.
        attributes: what is learned of each sensitive column, by the attacker's way of learning.
        exposed: what shadow models found of the most exposed people; None where none were trained.
        planted: the AUC of telling which canaries were planted, by attack; empty where none were.
    """

    membership: Mapping[str, Membership]
    bounds: Mapping[str, float]
    delta: float
    copies: Copies | None
    attributes: Mapping[str, Mapping[str, AttributeInference]]
    exposed: Membership | None = None
    planted: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def epsilon(self) -> float:
        """The largest of the bounds."""
        return max(self.bounds.values())

    @property
    def strongest(self) -> str:
        """The attack of the largest AUC."""
        return max(self.membership, key=lambda name: self.everyone(name).figures.auroc.value)

    @property
    def areas(self) -> list[tuple[str, Estimate]]:
        """Every AUC that chance may lift over 0.5, and the attack that it is of."""
        found = []
        for name, one in self.membership.items():
            found += [(name, each.figures.auroc) for each in (one.everyone, one.outliers) if each]
        if self.exposed is not None:
            found.append((SHADOW, self.exposed.everyone.figures.auroc))
        return [*found, *((f"{CANARIES}/{name}", area) for name, area in self.planted.items())]

    def everyone(self, attack: str) -> Finding:
        """What an attack found of all records."""
        return self.membership[attack].everyone

    def accused(self) -> list[str]:
        """The attacks by which members can be told from others.

        By an AUC over 0.5, of all or of the outliers, or a bound over 0. Chance alone makes the
        list longer than empty in about 1 of 20 audits: the intervals are as wide as it takes for
        all tests of either kind to hold together at 97.5 % (Bonferroni).
        """
        areas = self.areas
        certain = {name for name, area in areas if above_chance(area, len(areas))}
        return [name for name, bound in self.bounds.items() if bound > 0 or name in certain]

    def copied(self) -> bool:
        """Whether more of the synthetic records are copies than of people who were not members."""
        found = self.copies
        return found is not None and (
            found.exact.low > found.exact_control.high or found.near.low > found.near_control.high
        )


@dataclass(frozen=True)
class Distances:
    """How far rows lie from those held out; 0 is best, of each.

    Attributes:
        marginals: of each column, by its name; in [0, 1].
        pairs: the mean of pairs of columns, in [0, 1]; None of one column.
        correlations: of associations; None of one column.
    """

    marginals: Mapping[str, float]
    pairs: float | None
    correlations: Correlations | None


@dataclass(frozen=True)
class Use:
    """What the synthetic records are worth, and beside it what the real ones are.

    Attributes:
        synthetic: how well the target is predicted after training on synthetic rows, by classifier;
            empty where there is no target, or a table has no rows that have it.
        real: after training on real ones.
        apart: how far synthetic rows lie from those held out.
        apart_real: how far the real rows do.
        two_sample: the AUC of telling synthetic rows from those held out.
        coverage: of the real rows' values.
        fairness: of the classifier trained on synthetic rows, and of that on real ones.
        shapes: how the values of the columns that are least like the real ones are shared out.
    """

    synthetic: Mapping[str, Prediction]
    real: Mapping[str, Prediction]
    apart: Distances
    apart_real: Distances
    two_sample: Estimate | None
    coverage: Coverage
    fairness: tuple[Fairness, Fairness] | None
    shapes: tuple[Shares, ...] = ()


@dataclass(frozen=True)
class Audit:
    """All that an audit found.

    Attributes:
        leakage: what is leaked.
        use: what the records are worth; None where they are no table.
        protocol: what the figures depend on beside the records, in plain values.
        promise: of privacy, where there is one.
        notes: what was left out, and why.
    """

    leakage: Leakage
    use: Use | None
    protocol: Mapping[str, Any]
    promise: Promise | None = None
    notes: list[str] = field(default_factory=list)


def audit(
    sides: Sides,
    tables: Tables | None = None,
    *,
    white_box: WhiteBox | None = None,
    shadows: Shadows | None = None,
    planting: Planting | None = None,
    promise: Promise | None = None,
    records: int = 5_000,
    seed: int = 0,
) -> Audit:
    """Attacks synthetic records, and looks at their use.

    Args:
        sides: all records.
        tables: the same as frames, of a table.
        white_box: the generator's discriminator, where the attacker may have it.
        shadows: what asks about the most exposed people.
        planting: what asks about canaries.
        promise: of privacy, which the attacks' success is held against.
        records: how many members, and how many others, are asked about; as many again, of those
            held out, are the attacker's own. Drawn at random where there are more.
        seed: of all draws.

    Raises:
        UsageError: records that do not go together, or too few of them.
    """
    if records < 2:
        raise UsageError(f"records={records}: it has to be 2 or more")
    delta = promise.delta if promise else DELTA
    notes = list[str]()
    steps: dict[str, Callable[[], Any]] = {}
    places = {
        "members": drawn(len(sides.members), records, "members", seed),
        "holdout": drawn(len(sides.holdout), 2 * records, "holdout", seed),
    }

    def attacked(sides: Sides, name: str, attack: Attack) -> dict[str, Membership]:
        asked = sides.members[places["members"]], sides.holdout[places["holdout"]]
        return membership(*asked, sides.synthetic, {name: attack}, seed)

    attacks: dict[str, Attack] = {
        "density_ratio": DensityRatio(),
        "kernel_density": KernelDensity(),
        "nearest": Nearest(),
    }
    for name, attack in attacks.items():
        steps[name] = lambda name=name, attack=attack: attacked(sides, name, attack)  # type: ignore[misc]
    if white_box is not None:
        steps["discriminator"] = lambda: attacked(
            white_box.sides, "discriminator", white_box.attack
        )
    every = list(steps)
    tests = len(every) + (shadows is not None) + (len(attacks) if planting is not None else 0)
    level = 1 - (1 - LEVEL) / 2 / tests
    if shadows is not None:
        steps[SHADOW] = lambda: asked_of(shadows, places, seed)
    if planting is not None:
        steps[CANARIES] = lambda: looked_for(planting, attacks, delta, level)
    if len(sides.holdout) < 2 / NEAR:
        notes.append(
            f"Copies were not looked for: what a near copy is takes {2 / NEAR:.0f} records that "
            f"were held out, and there are {len(sides.holdout):,}."
        )
    else:
        steps["copies"] = lambda: copies(
            cut(sides.synthetic, COPIED, "copies", seed),
            cut(sides.members, LOOKED_AT, "copied", seed),
            cut(sides.holdout, COPIED, "copies", seed),
            seed,
        )
    columns: tuple[str, ...] = tables.sensitive if tables else ()
    for column in columns:
        for learner in LEARNERS:
            steps[f"{column} by {learner}"] = lambda column=column, learner=learner: guessed(  # type: ignore[misc]
                tables, column, learner, places, seed
            )
    if tables is not None:
        steps["use"] = lambda: use(tables, notes, seed)

    found: dict[str, Any] = {}
    with tqdm(total=len(steps), unit="step", delay=2, leave=False, disable=None) as progress:
        for name, step in steps.items():
            progress.set_description(name)
            found[name] = step()
            progress.update()
    told = {name: found[name][name] for name in every}
    shadow: Membership | None = found.get(SHADOW)
    canaries: dict[str, Planted] = found.get(CANARIES, {})
    leakage = Leakage(
        told,
        {
            name: epsilon_bound(one.members, one.non_members, delta, level, seed)
            for name, one in (told | ({SHADOW: shadow} if shadow else {})).items()
        }
        | {f"{CANARIES}/{name}": one.bound for name, one in canaries.items()},
        delta,
        found.get("copies"),
        {
            column: {learner: found[f"{column} by {learner}"] for learner in LEARNERS}
            for column in columns
        },
        shadow,
        {name: one.area for name, one in canaries.items()},
    )
    first = told[every[0]]
    protocol = {
        "members": len(sides.members),
        "holdout": len(sides.holdout),
        "synthetic": len(sides.synthetic),
        "features": sides.members.shape[1],
        "asked_members": len(first.members),
        "asked_others": len(first.non_members),
        "attackers_own": len(places["holdout"]) - len(first.non_members),
        "attacks": ",".join(every),
        "shadows": shadows.models if shadows else 0,
        "canaries": len(planting.canaries.records) if planting else 0,
        "delta": delta,
        "seed": seed,
    }
    return Audit(leakage, found.get("use"), protocol, promise, notes)


def asked_of(shadows: Shadows, places: Mapping[str, Tensor], seed: int) -> Membership:
    """What shadow models say of the most exposed of those who are asked about."""
    own, others = places["members"], places["holdout"]
    sides = shadows.sides

    def train(left_out: Tensor, let_in: Tensor, seed: int) -> Tensor:
        return shadows.train(own[left_out], others[let_in], seed)

    members, holdout = sides.members[own], sides.holdout[others]
    return exposed(members, holdout, sides.synthetic, train, shadows.models, seed)


def looked_for(
    planting: Planting, attacks: Mapping[str, Attack], delta: float, level: float
) -> dict[str, Planted]:
    """What attacks find of canaries."""
    evidence = Evidence(planting.train(), planting.holdout)
    return planted(planting.canaries, evidence, attacks, delta, level)


def guessed(
    tables: Tables | None, column: str, learner: str, places: Mapping[str, Tensor], seed: int
) -> AttributeInference:
    """What an attacker learns of a column who knows the others; of a number its tenth."""
    assert tables is not None
    schema = tables.schema
    number = [each.name for each in judged(schema)].index(column)

    def people(frame: pl.DataFrame) -> People:
        secret = cells(schema, tables.real, frame)[:, number]
        return People(features(schema, frame, column), secret)

    return attribute_inference(
        people(tables.synthetic),
        people(tables.real[places["members"].numpy()]),
        people(tables.holdout[places["holdout"].numpy()]),
        LEARNERS[learner],
        seed,
    )


def use(tables: Tables, notes: list[str], seed: int = 0) -> Use:
    """What synthetic rows are worth beside real ones; what cannot be said is noted."""
    schema, real, holdout = tables.schema, tables.real, tables.holdout
    frames = {"synthetic": tables.synthetic, "real": real}
    said: dict[str, dict[str, Prediction]] = {"synthetic": {}, "real": {}}
    fair: tuple[Fairness, Fairness] | None = None
    if schema.target is not None:
        try:
            test = labelled(schema, holdout)
            likely = {
                kind: {name: train(name, schema, frame, seed)(test) for name in CLASSIFIERS}
                for kind, frame in frames.items()
            }
            said = {
                kind: {name: predicted(schema, one, test, seed) for name, one in of.items()}
                for kind, of in likely.items()
            }
        except UsageError as error:
            notes.append(f"The prediction of the target was left out: {error}.")
        else:
            if tables.groups is not None:
                made, own = (
                    fairness(schema, tables.groups, of[CLASSIFIERS[0]], test, seed=seed)
                    for of in likely.values()
                )
                fair = made, own
    apart = {kind: distances(schema, real, holdout, frame) for kind, frame in frames.items()}
    told = None
    try:
        told = two_sample(schema, holdout, tables.synthetic, seed)
    except UsageError as error:
        notes.append(f"The two-sample test was left out: {error}.")
    return Use(
        said["synthetic"],
        said["real"],
        apart["synthetic"],
        apart["real"],
        told,
        coverage(schema, real, tables.synthetic),
        fair,
        worst(schema, apart["synthetic"].marginals, holdout, tables.synthetic),
    )


def worst(
    schema: Schema, marginals: Mapping[str, float], real: pl.DataFrame, synthetic: pl.DataFrame
) -> tuple[Shares, ...]:
    """The columns of the largest distances, and how their values are shared out."""
    ordered = sorted(judged(schema), key=lambda column: -marginals[column.name])
    return tuple(shares(column, real, synthetic) for column in ordered[:DRAWN])


def distances(
    schema: Schema, real: pl.DataFrame, holdout: pl.DataFrame, frame: pl.DataFrame
) -> Distances:
    """How far a frame's columns, pairs of columns and associations lie from the holdout's."""
    double = pairs(schema, real, holdout, frame).values()
    return Distances(
        marginals(schema, holdout, frame),
        statistics.fmean(double) if double else None,
        correlations(schema, holdout, frame),
    )


def above_chance(area: Estimate, tests: int) -> bool:
    """Whether an AUC is above 0.5, as far as chance would have it in 1 of 40 audits of so many."""
    from scipy.special import ndtri

    wider = float(ndtri(1 - (1 - LEVEL) / 2 / tests) / ndtri((1 + LEVEL) / 2))
    return area.value - wider * (area.value - area.low) > 0.5


def drawn(number: int, most: int, name: str, seed: int) -> Tensor:
    """At most so many of the indices up to `number`, int64, at random where there are more."""
    if number <= most:
        return torch.arange(number)
    generator = torch.Generator().manual_seed(derive(seed, "audit", name))
    return torch.randperm(number, generator=generator)[:most]


def cut(rows: Tensor, most: int, name: str, seed: int) -> Tensor:
    """At most so many of the rows `(N, F)`, at random where there are more."""
    return rows[drawn(len(rows), most, name, seed)]


def figures(found: Audit) -> dict[str, float]:
    """All figures by their names, the headline first."""
    leakage = found.leakage
    strongest = leakage.everyone(leakage.strongest)
    by_name = _estimate("leakage/auc", strongest.figures.auroc)
    by_name |= _estimate("leakage/auc/control", strongest.control.auroc)
    by_name["leakage/epsilon"] = leakage.epsilon
    for attack, one in leakage.membership.items():
        name = f"leakage/{attack}"
        by_name |= _finding(name, one.everyone)
        if one.outliers is not None:
            by_name |= _finding(f"{name}/outliers", one.outliers)
    if leakage.exposed is not None:
        by_name |= _finding(f"leakage/{SHADOW}", leakage.exposed.everyone)
    for attack, area in leakage.planted.items():
        by_name |= _estimate(f"leakage/{CANARIES}/{attack}/auc", area)
    by_name |= {f"leakage/{name}/epsilon": bound for name, bound in leakage.bounds.items()}
    for column, learners in leakage.attributes.items():
        for learner, told in learners.items():
            for kind, guess in (("accuracy", told.accuracy), ("auc", told.auroc)):
                if guess is not None:
                    name = f"leakage/attribute/{column}/{learner}/{kind}"
                    by_name |= _estimate(name, guess.members)
                    by_name |= _estimate(f"{name}/control", guess.control)
                    by_name |= _estimate(f"{name}/advantage", guess.advantage)
    if leakage.copies is not None:
        for key in ("exact", "near"):
            by_name |= _estimate(f"leakage/copies/{key}", getattr(leakage.copies, key))
            control = getattr(leakage.copies, f"{key}_control")
            by_name |= _estimate(f"leakage/copies/{key}/control", control)
    if found.use is not None:
        by_name |= _of_use(found.use)
    return by_name


def higher_is_better(name: str) -> bool:
    """Of a figure: of how well a target is predicted, and of what is covered."""
    return name.startswith(("use/tstr", "use/real", "use/coverage"))


def _estimate(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}/low": estimate.low, f"{name}/high": estimate.high}


def _finding(name: str, finding: Finding) -> dict[str, float]:
    return _figures(name, finding.figures) | _figures(f"{name}/control", finding.control)


def _figures(name: str, of: Figures) -> dict[str, float]:
    by_name = _estimate(f"{name}/auc", of.auroc)
    for share, rate in of.tpr.items():
        by_name |= _estimate(f"{name}/tpr_at_{share:g}", rate)
    return by_name


def _of_use(use: Use) -> dict[str, float]:
    by_name = dict[str, float]()
    for kind, predictions in (("tstr", use.synthetic), ("real", use.real)):
        for classifier, one in predictions.items():
            for key in ("auc", "f1", "accuracy"):
                by_name |= _estimate(f"use/{kind}/{classifier}/{key}", getattr(one, key))
    for suffix, apart in (("", use.apart), ("/real", use.apart_real)):
        if apart.marginals:
            by_name[f"use/marginals{suffix}"] = statistics.fmean(apart.marginals.values())
            by_name[f"use/marginals/largest{suffix}"] = max(apart.marginals.values())
        if apart.pairs is not None:
            by_name[f"use/pairs{suffix}"] = apart.pairs
        if apart.correlations is not None:
            by_name[f"use/correlations{suffix}"] = apart.correlations.mean
            by_name[f"use/correlations/largest{suffix}"] = apart.correlations.largest
    if use.two_sample is not None:
        by_name |= _estimate("use/two_sample", use.two_sample)
    for key in ("categories", "pairs", "rare"):
        if (share := getattr(use.coverage, key)) is not None:
            by_name[f"use/coverage/{key}"] = share
    if use.fairness is not None:
        for suffix, one_side in zip(("", "/real"), use.fairness, strict=True):
            name = f"use/fairness{suffix}"
            by_name |= _estimate(f"{name}/demographic_parity", one_side.demographic_parity)
            if one_side.equal_opportunity is not None:
                by_name |= _estimate(f"{name}/equal_opportunity", one_side.equal_opportunity)
    return by_name
