"""A table's figures as those of a run: rows are decoded, and compared with the test split."""

import polars as pl
import pytest
import torch

from touchstone.data import Points
from touchstone.data.split import Split
from touchstone.data.subset import subset
from touchstone.data.tables.encoding import Encoder, Modes
from touchstone.data.tables.rows import Rows
from touchstone.data.tables.schema import Category, Number, Schema
from touchstone.errors import UsageError
from touchstone.metrics.metric import Metric
from touchstone.metrics.protocol import Protocol
from touchstone.metrics.sets import ImageSet, Sets, Splits, Stored
from touchstone.privacy.metric import Fidelity, Leakage, Utility, drawn
from touchstone.privacy.use.marginals import marginals
from touchstone.privacy.use.prediction import prediction
from touchstone.privacy.use.two_sample import two_sample

COLUMNS = (
    Number("x", -9, 9, 2, dtype="Float64"),
    Category("c", ("p", "q", "r")),
    Category("y", ("no", "yes")),
)
SCHEMA = Schema(COLUMNS, target="y")


def table(number: int, seed: int) -> pl.DataFrame:
    """Rows of which x says y, for the most part."""
    draws = torch.randn(number, 3, generator=torch.Generator().manual_seed(seed))
    x, noise, c = draws.unbind(1)
    return pl.DataFrame(
        {
            "x": x.clamp(-9, 9).double().numpy().round(2),
            "c": ["pqr"[int(value)] for value in c.abs().clamp(max=2)],
            "y": [("no", "yes")[int(value)] for value in x + 0.5 * noise > 0.5],
        }
    )


def rows(number: int, seed: int, schema: Schema = SCHEMA) -> Rows:
    return Rows.of(table(number, seed), Encoder(schema, {"x": Modes.between(-9, 9)}))


def sets(made: Split, train: Split, test: Split) -> Sets:
    splits = Splits(lambda split: {"train": train, "test": test}[split], device="cpu", cache=None)
    return Sets(ImageSet(Stored(made), "generated"), splits("train"), splits)


@pytest.fixture(scope="module")
def honest() -> Sets:
    """Rows of the same population, made anew."""
    return sets(rows(200, 2), rows(200, 0), rows(160, 1))


def test_use_is_what_the_functions_say_of_the_rows(honest: Sets) -> None:
    metric = Utility()
    metric.check(honest)
    found = metric(honest)
    assert next(iter(found)) == "tstr"
    made, real = (prediction(SCHEMA, table(200, seed), table(160, 1)) for seed in (2, 0))
    for name, by_classifier in {"tstr": made, "tstr/real": real}.items():
        boosted = by_classifier["gradient_boosting"]
        assert (found[f"{name}/low"], found[name], found[f"{name}/high"]) == (
            boosted.auc.low,
            boosted.auc.value,
            boosted.auc.high,
        )
        assert (found[f"{name}/f1"], found[f"{name}/accuracy"]) == (
            boosted.f1.value,
            boosted.accuracy.value,
        )
        for other in ("logistic_regression", "random_forest"):
            assert found[f"{name}/{other}"] == by_classifier[other].auc.value
    assert (found["covered"], found["covered/pairs"]) == (1, 1)
    assert metric(honest) == found  # the real table's own are kept


def test_a_table_is_judged_beside_the_rows_that_the_run_was_shown(honest: Sets) -> None:
    train = honest.split("train")
    assert train is not None
    assert isinstance(train.source, Stored)
    assert isinstance(train.source.images, Rows)
    shown = subset(train.source.images, 80).frame
    found = Utility(subset=80)(honest)
    expected = prediction(SCHEMA, shown, table(160, 1))["gradient_boosting"]
    assert found["tstr/real"] == expected.auc.value


def test_distances_are_of_the_test_split_beside_the_training_splits_own(honest: Sets) -> None:
    metric = Fidelity()
    metric.check(honest)
    found = metric(honest)
    assert next(iter(found)) == "marginals"
    for name, seed in (("", 2), ("/real", 0)):
        single = marginals(SCHEMA, table(160, 1), table(200, seed))
        assert found[f"marginals{name}"] == pytest.approx(sum(single.values()) / 3)
        assert found[f"marginals/largest{name}"] == max(single.values())
        assert 0 < found[f"marginals{name}"] < found[f"pairs{name}"] < 0.25
        assert 0 < found[f"correlations{name}"] < found[f"correlations/largest{name}"] < 0.2
    told = two_sample(SCHEMA, table(160, 1), table(200, 2))
    ends = found["two_sample/low"], found["two_sample"], found["two_sample/high"]
    assert ends == (told.low, told.value, told.high)


def test_a_copied_table_leaks_and_an_honest_one_does_not(honest: Sets) -> None:
    metric = Leakage()
    metric.check(honest)
    fair = metric(honest)
    assert next(iter(fair)) == "membership"
    copied = metric(sets(rows(200, 0), rows(200, 0), rows(160, 1)))
    for found in (fair, copied):
        both = [found[f"membership/{attack}"] for attack in ("density_ratio", "nearest")]
        assert found["membership"] == max(both)
    assert copied["membership"] > 0.8
    for attack in ("density_ratio", "nearest"):
        name = f"membership/{attack}"
        assert fair[f"{name}/low"] < 0.5 < fair[f"{name}/high"]
        assert copied[f"{name}/low"] > 0.5
        assert abs(copied[f"{name}/control"] - 0.5) < 0.2


def test_attacks_are_let_at_some_of_many_rows() -> None:
    many = torch.arange(30_000)[:, None]
    some = drawn(many, "members")
    assert len(some) == len(torch.unique(some)) == 10_000
    assert torch.equal(some, drawn(many, "members"))
    assert not torch.equal(some, drawn(many, "holdout"))
    assert torch.equal(drawn(many[:9], "members").sort(0).values, many[:9])


@pytest.mark.parametrize("metric", [Utility(), Fidelity(), Leakage()])
def test_what_is_no_table_is_refused(metric: Metric, honest: Sets) -> None:
    name = "leakage" if isinstance(metric, Leakage) else "utility"
    points = Points(torch.zeros(9, 2), None, ())
    with pytest.raises(UsageError, match=f"metrics={name}: it is of tables, .* data=adult"):
        metric.check(sets(points, points, points))
    with pytest.raises(UsageError, match=f"metrics={name}: it needs a run, or data=NAME"):
        metric.check(Sets(honest.generated, honest.reference))


def test_use_needs_a_target_and_the_others_do_not() -> None:
    plain = rows(30, 0, Schema(COLUMNS))
    without = sets(plain, plain, plain)
    with pytest.raises(UsageError, match=r"data\.target=null: name the column"):
        Utility().check(without)
    Fidelity().check(without)
    Leakage().check(without)


def test_figures_carry_how_many_rows_were_made() -> None:
    protocol = Protocol(10_000, "train", 0)
    assert protocol.name("tstr/real", Utility(subset=5)) == "tstr10k/real"
    assert not Fidelity().higher_is_better
    assert Utility().higher_is_better
