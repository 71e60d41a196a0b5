import polars as pl
import pytest
import torch
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.privacy import audit as audits
from touchstone.privacy.attacks.attack import Evidence
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.audit import (
    Audit,
    Planting,
    Promise,
    Shadows,
    Sides,
    WhiteBox,
    above_chance,
    audit,
    cut,
    drawn,
    figures,
    higher_is_better,
)
from touchstone.privacy.bound import epsilon_bound
from touchstone.privacy.canaries import Canaries
from touchstone.privacy.intervals import Estimate
from touchstone.privacy.page import page, verdict
from touchstone.privacy.planted import planted
from touchstone.privacy.tables import Tables, schema_of


def people(number: int, seed: int) -> pl.DataFrame:
    """A made table: two numbers, two categories, and whether somebody is ill."""
    draws = torch.Generator().manual_seed(seed)
    age = torch.randint(18, 80, (number,), generator=draws)
    income = (torch.randn(number, generator=draws) * 20 + age).round(decimals=2)
    town = torch.randint(4, (number,), generator=draws)
    ill = age + 20 * torch.randn(number, generator=draws) > 55
    female = torch.rand(number, generator=draws) < 0.5
    return pl.DataFrame(
        {
            "age": age.numpy(),
            "income": income.double().round(decimals=2).numpy(),
            "town": [("Ulm", "Bonn", "Jena", "Kiel")[place] for place in town.tolist()],
            "sex": ["f" if one else "m" for one in female.tolist()],
            "ill": ["yes" if one else "no" for one in ill.tolist()],
        }
    )


def tables(synthetic: pl.DataFrame, members: pl.DataFrame, **settings: object) -> Tables:
    frames = {"real": members, "holdout": people(600, 2), "synthetic": synthetic}
    schema = schema_of(members, {}, "ill", typed=True)
    return Tables.of(frames, schema, **settings)  # type: ignore[arg-type]


def of(made: Tables, **settings: object) -> Audit:
    found = made.features()
    sides = Sides(found["real"], found["holdout"], found["synthetic"])
    return audit(sides, made, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def copied() -> Audit:
    members = people(400, 1)
    return of(tables(members, members, groups="sex", sensitive=("ill", "age")))


@pytest.fixture(scope="module")
def independent() -> Audit:
    return of(tables(people(400, 3), people(400, 1)))


def test_who_copies_is_accused(copied: Audit) -> None:
    leakage, named = copied.leakage, figures(copied)
    assert set(leakage.accused()) >= {"density_ratio", "nearest"}
    assert leakage.copied()
    assert named["leakage/auc"] >= 0.9
    assert named["leakage/nearest/auc"] >= 0.9
    assert named["leakage/copies/exact"] == 1
    assert named["leakage/epsilon"] > 2
    assert named["leakage/attribute/ill/nearest_record/accuracy"] == 1
    assert named["leakage/attribute/ill/nearest_record/accuracy/advantage/low"] > 0.1
    assert verdict(copied)[0].startswith("These records give people away")
    # Copies are worth what the real records are.
    for classifier in ("gradient_boosting", "logistic_regression", "random_forest"):
        made, real = (named[f"use/{kind}/{classifier}/auc"] for kind in ("tstr", "real"))
        assert made == real
    assert named["use/marginals"] == named["use/marginals/real"]
    assert named["use/fairness/demographic_parity"] == named["use/fairness/real/demographic_parity"]
    assert named["use/coverage/categories"] == 1


def test_who_never_saw_the_people_is_not_accused(independent: Audit) -> None:
    leakage = independent.leakage
    assert leakage.accused() == []
    assert not leakage.copied()
    assert leakage.epsilon == 0
    for one in leakage.membership.values():
        assert one.everyone.figures.auroc.covers(0.5)
    assert verdict(independent)[0].startswith("No leak")


def test_a_promise_that_is_broken(copied: Audit, independent: Audit) -> None:
    promise = Promise(1.0, 1e-5)
    broken = Audit(copied.leakage, None, copied.protocol, promise)
    assert verdict(broken)[0].startswith("The promise of privacy is broken")
    kept = Audit(independent.leakage, None, independent.protocol, promise)
    assert verdict(kept)[0].startswith("No leak")
    ((_, said),) = [point for point in verdict(kept)[1] if point[0].startswith("Lower")]
    assert said.startswith("0.00 at a delta of 1e-05, where 1 was promised")


def test_the_delta_of_the_bound_is_that_of_the_promise(copied: Audit) -> None:
    assert copied.leakage.delta == audits.DELTA
    draws = torch.Generator().manual_seed(0)
    members, holdout = (torch.randn(number, 3, generator=draws) for number in (40, 300))
    found = audit(Sides(members, holdout, members), promise=Promise(1.0, 0.1))
    assert found.leakage.delta == found.protocol["delta"] == 0.1
    # The bounds hold together: each has its share of what may go wrong.
    told = found.leakage.membership
    for name, one in told.items():
        level = 1 - 0.025 / len(told)
        assert found.leakage.bounds[name] == epsilon_bound(
            one.members, one.non_members, 0.1, level, 0
        )


def test_the_discriminator_is_asked_about_its_own_form_of_the_same_records() -> None:
    draws = torch.Generator().manual_seed(0)
    members, holdout = (torch.rand(40, 3, generator=draws) for _ in range(2))
    seen: list[Tensor] = []

    def logit(records: Tensor, evidence: object) -> Tensor:
        seen.append(records)
        return records.sum(1).double()

    taken = Sides(100 * members, 100 * holdout, 100 * members)
    found = audit(Sides(members, holdout, members), white_box=WhiteBox(logit, taken), records=20)
    assert list(found.leakage.membership) == [
        "density_ratio",
        "kernel_density",
        "nearest",
        "discriminator",
    ]
    assert len(seen[0]) == 20 + 20
    assert seen[0].max() > 10
    # The very same people as of the other attacks.
    ours = {tuple(row) for row in (100 * torch.cat([members, holdout])).tolist()}
    assert {tuple(row) for row in seen[0].tolist()} <= ours
    assert found.protocol["asked_members"] == 20
    assert found.protocol["asked_others"] == found.protocol["attackers_own"] == 20
    assert found.leakage.copies is None
    assert "takes 200 records" in found.notes[0]
    assert found.use is None
    assert not [name for name in figures(found) if name.startswith("use/")]


def test_a_target_that_is_always_missing_leaves_the_prediction_out() -> None:
    synthetic = people(400, 3).with_columns(ill=pl.lit(None, pl.String))
    found = of(tables(synthetic, people(400, 1), groups="sex"), records=100)
    assert "The prediction of the target was left out: data.target=ill: none" in found.notes[0]
    assert found.use is not None
    assert (found.use.synthetic, found.use.real, found.use.fairness) == ({}, {}, None)
    assert "leakage/nearest/auc" in figures(found)
    assert "none of the 400 rows has one" in page("a table", found)


def test_figures_are_named_and_their_better_side_known(copied: Audit) -> None:
    named = figures(copied)
    assert next(iter(named)) == "leakage/auc"
    assert {
        "leakage/nearest/auc/low",
        "leakage/nearest/control/auc",
        "leakage/nearest/outliers/auc",
        "leakage/nearest/tpr_at_0.01/high",
        "leakage/attribute/age/boosted_trees/auc/control",
        "leakage/copies/near/control",
        "use/tstr/gradient_boosting/f1",
        "use/two_sample/low",
        "use/correlations/largest/real",
    } <= named.keys()
    assert all(isinstance(value, float) for value in named.values())
    assert higher_is_better("use/tstr/random_forest/auc")
    assert not higher_is_better("use/two_sample")
    assert not higher_is_better("leakage/auc")


def test_further_trainings_are_asked_about_the_same_people() -> None:
    draws = torch.Generator().manual_seed(0)
    members, holdout = (torch.randn(number, 3, generator=draws) for number in (60, 200))
    sides = Sides(members, holdout, members)
    made_up = torch.randn(80, 3, generator=draws)
    canaries = Canaries(made_up, torch.rand(80, generator=draws) < 0.5)

    def copied(left_out: Tensor, let_in: Tensor, seed: int) -> Tensor:
        kept = torch.ones(len(members), dtype=torch.bool)
        kept[left_out] = False
        return torch.cat([members[kept], holdout[let_in]])

    found = audit(
        sides,
        shadows=Shadows(copied, sides, 8),
        planting=Planting(canaries, lambda: canaries.planted, holdout),
        records=40,
    )
    leakage, named = found.leakage, figures(found)
    assert leakage.exposed is not None
    assert (len(leakage.exposed.members), len(leakage.exposed.non_members)) == (40, 40)
    assert named["leakage/shadow/auc"] == named["leakage/canaries/nearest/auc"] == 1
    assert {"shadow", "canaries/nearest"} <= set(leakage.accused())
    assert found.protocol["shadows"] == 8
    assert found.protocol["canaries"] == 80
    # Seven bounds hold together.
    level = 1 - 0.025 / 7
    evidence = Evidence(canaries.planted, holdout)
    bound = planted(canaries, evidence, {"nearest": Nearest()}, audits.DELTA, level)
    assert named["leakage/canaries/nearest/epsilon"] == bound["nearest"].bound
    told = leakage.exposed
    assert leakage.bounds["shadow"] == epsilon_bound(
        told.members, told.non_members, audits.DELTA, level, 0
    )


def test_chance_is_allowed_for_by_the_number_of_tests() -> None:
    # 1.96 deviations on either side; one test takes as many, six take 2.638.
    within = Estimate(0.52, 0.52 - 1.96 * 0.008, 0.52 + 1.96 * 0.008)  # 2.5 deviations
    assert above_chance(within, 1)
    assert not above_chance(within, 6)
    beyond = Estimate(0.522, 0.522 - 1.96 * 0.008, 0.522 + 1.96 * 0.008)  # 2.75
    assert above_chance(beyond, 6)
    assert not above_chance(Estimate(0.45, 0.44, 0.46), 1)


def test_samples_are_drawn_once_and_for_all() -> None:
    assert drawn(3, 5, "members", 0).tolist() == [0, 1, 2]
    some = drawn(100, 5, "members", 0)
    assert some.equal(drawn(100, 5, "members", 0))
    assert len(set(some.tolist())) == 5
    assert not some.equal(drawn(100, 5, "members", 1))
    assert not some.equal(drawn(100, 5, "holdout", 0))
    assert cut(torch.arange(100)[:, None], 5, "members", 0)[:, 0].equal(some)


def test_too_few_to_ask_about() -> None:
    rows = torch.zeros(9, 2)
    with pytest.raises(UsageError, match="records=1: it has to be 2 or more"):
        audit(Sides(rows, rows, rows), records=1)
