import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from touchstone.data.tables.schema import Category, Number, Schema
from touchstone.errors import UsageError
from touchstone.privacy.use.fairness import fairness

SCHEMA = Schema(
    (
        Category("sex", ("f", "m", "o"), missing=True),
        Category("y", ("no", "yes"), missing=True),
        Number("n", 0, 9),
    ),
    target="y",
)


def people(*groups: tuple[str | None, str, float, int]) -> tuple[pl.DataFrame, torch.Tensor]:
    """Rows of a sex and a target, how likely "yes" is said to be, and how many of them."""
    rows = [(sex, target, likely) for sex, target, likely, number in groups for _ in range(number)]
    said = torch.tensor([[1 - likely, likely] for _, _, likely in rows]).double()
    frame = pl.DataFrame([row[:2] for row in rows], schema=["sex", "y"], orient="row")
    return frame, said


# Of women 20 of 40 with yes are found and 10 of 100 in all; of men 45 of 60, and 10 of 40.
FRAME, SAID = people(
    ("f", "yes", 0.9, 20),
    ("f", "yes", 0.2, 20),
    ("f", "no", 0.1, 60),
    ("m", "yes", 0.8, 45),
    ("m", "yes", 0.3, 15),
    ("m", "no", 0.7, 10),
    ("m", "no", 0.3, 30),
    ("o", "yes", 0.9, 5),
    (None, "no", 0.9, 25),
)


def test_groups_have_their_rates_and_the_differences_are_between_the_farthest() -> None:
    found = fairness(SCHEMA, "sex", SAID, FRAME, positive="yes")
    # Five rows of "o" are too few; those whose sex is missing have no positives.
    assert list(found.groups) == ["f", "m", "missing"]
    women, men, missing = found.groups.values()
    assert (women.rows, men.rows, missing.rows) == (100, 100, 25)
    selected = [group.selected.value for group in found.groups.values()]
    assert selected == pytest.approx([0.2, 0.55, 1])
    assert women.tpr is not None
    assert men.tpr is not None
    assert men.auc is not None
    assert [women.tpr.value, men.tpr.value] == pytest.approx([0.5, 0.75])
    theirs = FRAME["sex"] == "m"
    area = roc_auc_score(
        (FRAME["y"] == "yes").filter(theirs), SAID[theirs.to_numpy().nonzero()[0], 1]
    )
    assert men.auc.value == pytest.approx(area)
    assert (missing.tpr, missing.auc) == (None, None)
    assert found.demographic_parity.value == pytest.approx(0.8)
    assert found.equal_opportunity is not None
    assert found.equal_opportunity.value == pytest.approx(0.25)
    # The difference of two shares: 1.96 sqrt(0.5² / 40 + 0.75 0.25 / 60) to either side.
    half = 1.96 * (0.25 / 40 + 0.1875 / 60) ** 0.5
    assert found.equal_opportunity.low == pytest.approx(0.25 - half, abs=0.03)
    assert found.equal_opportunity.high == pytest.approx(0.25 + half, abs=0.03)


def test_by_default_people_are_selected_for_the_rarer_value() -> None:
    # 105 are "yes" and 125 "no"; of the first 190, 100 and 90.
    frame, said = FRAME[:190], SAID[:190]
    for given, rarer in (
        ((SCHEMA, "sex", said, frame), "no"),
        ((SCHEMA, "sex", SAID, FRAME), "yes"),
    ):
        named = {value: fairness(*given, positive=value) for value in ("no", "yes")}
        assert fairness(*given) == named[rarer]
        assert named["no"] != named["yes"]


def test_rows_without_a_target_do_not_count() -> None:
    unknown = FRAME.head(30).with_columns(y=pl.lit(None, pl.String))
    found = fairness(SCHEMA, "sex", torch.cat([SAID, SAID[:30]]), pl.concat([FRAME, unknown]))
    assert found == fairness(SCHEMA, "sex", SAID, FRAME)


def test_what_cannot_be_compared_is_refused() -> None:
    for groups in ("n", "y", "nothing"):
        with pytest.raises(
            UsageError, match=f"groups={groups}: it has to be one of the categories sex"
        ):
            fairness(SCHEMA, groups, SAID, FRAME)
    with pytest.raises(UsageError, match="positive=maybe: y is one of no, yes"):
        fairness(SCHEMA, "sex", SAID, FRAME, positive="maybe")
    with pytest.raises(UsageError, match="groups=sex: of its values 1 have 20 test rows"):
        fairness(SCHEMA, "sex", SAID[:100], FRAME[:100])
