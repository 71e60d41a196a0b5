from collections.abc import Sequence

import polars as pl
import pytest
import torch
from sklearn import metrics
from sklearn.datasets import load_breast_cancer

from touchstone.data.tables.schema import Category, Number, Schema
from touchstone.errors import UsageError
from touchstone.privacy.use import prediction as module
from touchstone.privacy.use.prediction import CLASSIFIERS, predicted, prediction, train

SCHEMA = Schema((Number("x", 0, 9), Category("y", ("a", "b", "c"))), target="y")


def table(xs: Sequence[int], ys: Sequence[str | None]) -> pl.DataFrame:
    return pl.DataFrame({"x": xs, "y": ys}, schema={"x": pl.Int64, "y": pl.String})


@pytest.fixture(scope="module")
def cancer() -> tuple[Schema, pl.DataFrame]:
    """Scikit-learn's breast cancer: 212 malignant, which is 0, of 569; five of the columns."""
    data = load_breast_cancer()
    frame = pl.DataFrame({f"x{n}": data.data[:, n] for n in range(5)})
    frame = frame.with_columns(y=pl.Series(data.target).cast(pl.String))
    columns = [
        Number(c.name, float(c.min()), float(c.max()), 4, dtype="Float64")  # type: ignore[arg-type]
        for c in frame.get_columns()[:5]
    ]
    return Schema((*columns, Category("y", ("0", "1"))), target="y"), frame


def test_figures_are_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    likely = torch.randn(90, 3, generator=generator).softmax(1).double()
    truth = torch.randint(3, (90,), generator=generator)
    test = table([0] * 90, ["abc"[value] for value in truth])
    found = predicted(SCHEMA, likely, test)
    area = metrics.roc_auc_score(truth, likely, multi_class="ovr", average="macro")
    assert found.auc.value == pytest.approx(area, rel=1e-9)
    said = likely.argmax(1)
    harmonic = metrics.f1_score(truth, said, average="macro")
    assert found.f1.value == pytest.approx(harmonic, rel=1e-9)
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(truth, said), rel=1e-9)
    for each in (found.auc, found.f1, found.accuracy):
        assert each.low < each.value < each.high


def test_of_two_values_f1_is_of_the_rarer() -> None:
    schema = Schema((Number("x", 0, 9), Category("y", ("a", "b"))), target="y")
    test = table([0] * 5, ["a", "b", "b", "b", "b"])
    likely = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8]]).double()
    found = predicted(schema, likely, test)
    # One a of one found, of three said: precision 1/3, recall 1.
    assert found.f1.value == pytest.approx(0.5)
    assert [found.auc.value, found.accuracy.value] == pytest.approx([1, 0.6])


def test_every_classifier_learns_from_a_table(cancer: tuple[Schema, pl.DataFrame]) -> None:
    schema, frame = cancer
    found = prediction(schema, frame[::2], frame[1::2])
    assert tuple(found) == CLASSIFIERS
    for each in found.values():
        assert 0.94 < each.auc.value < 1
        assert 0.8 < each.f1.value < each.accuracy.value < 1
    assert prediction(schema, frame[::2], frame[1::2]) == found
    # The labels of a table that says the opposite.
    wrong = frame[::2].with_columns(y=(1 - pl.col("y").cast(pl.Int64)).cast(pl.String))
    opposite = predicted(schema, train(CLASSIFIERS[1], schema, wrong)(frame[1::2]), frame[1::2])
    assert opposite.auc.value == pytest.approx(1 - found[CLASSIFIERS[1]].auc.value, abs=1e-3)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_a_table_does_not_have_is_a_guess_and_no_error(name: str) -> None:
    test = table([0, 1, 2, 3, 4, 5], list("aabbcc"))
    one = predicted(SCHEMA, train(name, SCHEMA, table([1, 2], ["b", "b"]))(test), test)
    assert one.auc.value == 0.5
    assert one.accuracy.value == pytest.approx(1 / 3)
    two = train(name, SCHEMA, table([0, 1, 2, 3] * 20, ["a", "a", "c", "c"] * 20))(test)
    assert two.argmax(1).tolist() == [0, 0, 2, 2, 2, 2]
    assert two[:, 1].tolist() == [0] * 6
    torch.testing.assert_close(two.sum(1), torch.ones(6).double())


def test_one_row_of_a_value_is_enough() -> None:
    frame = table([n % 10 for n in range(10_500)], ["a"] * 10_499 + ["b"])
    model = train("gradient_boosting", SCHEMA, frame)
    assert model(frame[:1])[0, 0] > 0.9


def test_rows_without_a_target_do_not_count() -> None:
    schema = Schema((Number("x", 0, 9), Category("y", ("a", "b"), missing=True)), target="y")
    frame = table([0, 1, 8, 9, 4], ["a", "a", "b", "b", None])
    likely = train("logistic_regression", schema, frame)(frame)
    assert likely.shape == (5, 2)
    torch.testing.assert_close(likely, train("logistic_regression", schema, frame[:4])(frame))
    assert predicted(schema, likely, frame) == predicted(schema, likely[:4], frame[:4])


def test_a_large_table_is_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 40)
    frame = table(list(range(10)) * 10, (["a"] * 5 + ["b"] * 5) * 10)
    first, again, other = (
        train("logistic_regression", SCHEMA, frame, seed)(frame) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_table_without_a_target_is_refused() -> None:
    frame = table([1, 2], ["a", "a"])
    with pytest.raises(UsageError, match=r"data\.target=null: name the column"):
        train("random_forest", Schema(SCHEMA.columns), frame)
    with pytest.raises(UsageError, match=r"data\.target=y: none of the 0 rows has one"):
        train("random_forest", SCHEMA, frame[:0])
    with pytest.raises(UsageError, match=r"data\.target=y: the test rows have 1 of its values"):
        predicted(SCHEMA, torch.ones(2, 3).double(), frame)
