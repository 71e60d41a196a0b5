import polars as pl
import pytest
import torch

from touchstone.data.tables.schema import Category, Number, Schema
from touchstone.errors import UsageError
from touchstone.privacy.use.two_sample import two_sample

SCHEMA = Schema((Number("x", -9, 9, 6, dtype="Float64"), Category("c", ("a", "b"))))


def table(number: int, seed: int, apart: float = 0.0) -> pl.DataFrame:
    draws = torch.randn(number, 2, generator=torch.Generator().manual_seed(seed))
    categories = ["ab"[int(value)] for value in draws[:, 1] > 0]
    return pl.DataFrame({"x": (draws[:, 0] + apart).tolist(), "c": categories})


def test_rows_of_one_population_cannot_be_told_apart() -> None:
    found = two_sample(SCHEMA, table(300, 0), table(400, 1))
    assert found.covers(0.5)
    # Of two samples of 300 the deviation is sqrt(601 / (12 300²)) = 0.0236.
    assert 3.5 < (found.high - found.low) / 0.0236 < 4.3
    assert two_sample(SCHEMA, table(300, 0), table(400, 1)) == found


def test_a_shift_is_seen_as_far_as_it_can_be() -> None:
    # Two normal distributions by d apart: the best AUC is Phi(d / sqrt 2).
    best = float(torch.special.ndtr(torch.tensor(1.5 / 2**0.5)))
    found = two_sample(SCHEMA, table(400, 0), table(400, 1, apart=1.5))
    assert best - 0.05 < found.value < best + 0.02
    assert two_sample(SCHEMA, table(90, 0), table(90, 1, apart=9)).value > 0.97


def test_what_goes_together_is_seen_where_columns_alone_are_alike() -> None:
    real = table(300, 0).with_columns(
        c=pl.when(pl.col("x") > 0).then(pl.lit("a")).otherwise(pl.lit("b"))
    )
    made = table(300, 1)
    assert two_sample(SCHEMA, real, made).value > 0.65


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(UsageError, match=r"600 real rows and 5 synthetic ones: .* takes 6 of each"):
        two_sample(SCHEMA, table(600, 0), table(5, 1))
