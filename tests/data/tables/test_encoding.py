from datetime import date, datetime, timedelta

import polars as pl
import pytest
import torch

from touchstone.data.tables.encoding import Encoder, Modes, name_of, type_of, typed
from touchstone.data.tables.schema import Category, Constant, Determined, Key, Number, Schema
from touchstone.data.tables.stated import within
from touchstone.errors import UsageError

TWO = Modes((0.0, 100.0), (1.0, 5.0), (0.25, 0.75))
DAY = datetime(2020, 1, 31, 17, 5)
FRAME = pl.DataFrame(
    {
        "age": pl.Series([17, None, 90, 40], dtype=pl.Int8),
        "height": pl.Series([1.5, 1.25, 2.0, 1.75], dtype=pl.Float32),
        "born": [date(1950, 1, 1), date(2000, 12, 31), None, date(1999, 2, 28)],
        "seen": [DAY, DAY + timedelta(hours=1, seconds=7), DAY + timedelta(days=9), None],
        "sex": ["Female", "Male", None, "Male"],
        "yes": [True, False, True, None],
        "code": pl.Series([3, 1, 3, 2], dtype=pl.Int64),
        "name": ["three", "one", "three", None],
        "year": ["2020"] * 4,
        "none": pl.Series([None] * 4, dtype=pl.Date),
        "id": ["A1", "A2", "A3", "A4"],
    }
)
NUMBERS = (
    Number("age", 17, 90, missing=True, dtype="Int8"),
    Number("height", 1.25, 2.0, 2, dtype="Float32"),
    Number("born", -7305, 11322, missing=True, dtype="Date"),
    Number("seen", 1.5804e15, 1.5813e15, -6, missing=True, dtype="Datetime"),
)
SCHEMA = Schema(
    (
        *NUMBERS,
        Category("sex", ("Female", "Male"), missing=True),
        Category("yes", ("false", "true"), missing=True, dtype="Boolean"),
        Category("code", ("1", "2", "3"), dtype="Int64"),
        Determined("name", "code", ("one", None, "three")),
        Constant("year", "2020"),
        Constant("none", None, "Date"),
        Key("id", "A", "String"),
    )
)
ENCODER = Encoder(
    SCHEMA, {number.name: Modes.between(number.low, number.high) for number in NUMBERS}
)


def test_every_kind_of_column_comes_back_as_it_was() -> None:
    rows = ENCODER.encode(FRAME)
    decoded = ENCODER.decode(rows)
    assert decoded.schema == FRAME.schema
    assert decoded.drop("seen").equals(FRAME.drop("seen"))
    # float32 resolves a millionth of ten days: a second.
    late = (decoded["seen"] - FRAME["seen"]).drop_nulls().abs()
    assert late.max() <= timedelta(seconds=1)  # type: ignore[operator]
    assert decoded["seen"].null_count() == 1
    assert all(moment.microsecond == 0 for moment in decoded["seen"].drop_nulls())


def test_a_row_is_scalars_in_their_range_and_one_hot_blocks() -> None:
    rows = ENCODER.encode(FRAME)
    assert ENCODER.layout == [
        *[("number", 2), ("number", 1), ("number", 2), ("number", 2)],
        *[("category", 3), ("category", 3), ("category", 3)],
    ]
    assert rows.dtype == torch.float32
    assert rows.shape == (4, ENCODER.width) == (4, 20)
    assert rows.abs().max() <= 1
    for (kind, _), place in zip(ENCODER.layout, ENCODER.places.values(), strict=True):
        hot = rows[:, place][:, 1:] if kind == "number" else rows[:, place]
        assert torch.equal(hot.sum(dim=1), torch.ones(4))
    # Of a missing number the scalar is 0, and the mode the last.
    assert rows[1, ENCODER.places["age"]].tolist() == [0, 0, 1]


def test_keys_count_on() -> None:
    assert ENCODER.decode(ENCODER.encode(FRAME), first=100)["id"].to_list()[:2] == ["A101", "A102"]


def test_what_a_generator_makes_is_within_the_schema() -> None:
    made = ENCODER.decode(3 * torch.randn(500, 20, generator=torch.Generator().manual_seed(0)))
    assert made.schema == FRAME.schema
    assert made["age"].min() == 17
    assert made["age"].max() == 90
    pairs = set(made.select("code", "name").unique().iter_rows())
    assert pairs == {(1, "one"), (2, None), (3, "three")}


@pytest.mark.parametrize(
    ("dtype", "most"), [(pl.Int64(), 2**63 - 1), (pl.UInt64(), 2**64 - 1), (pl.UInt64(), 2**63)]
)
def test_the_largest_whole_numbers_come_back_as_near_as_floats_are(
    dtype: pl.DataType, most: int
) -> None:
    frame = pl.DataFrame({"a": pl.Series([0, most], dtype=dtype)})
    schema = Schema((Number("a", 0.0, float(most), dtype=name_of(dtype)),))
    encoder = Encoder(schema, {"a": Modes.between(0.0, float(most))})
    for made in (encoder.decode(encoder.encode(frame)), within(schema, frame)):
        assert made.schema == frame.schema
        assert made["a"][0] == 0
        assert most - 2**11 < made["a"][1] <= most


def test_one_mode_between_two_bounds_ends_at_one() -> None:
    modes = Modes.between(-2, 10)
    values = torch.tensor([-2.0, 4.0, 10.0, 50.0], dtype=torch.float64)
    chosen = torch.zeros(4, dtype=torch.int64)
    assert modes.alpha(values, chosen).tolist() == [-1, 0, 1, 1]
    assert modes.values(modes.alpha(values, chosen), chosen).tolist() == [-2, 4, 10, 10]


def test_the_posterior_is_bayes_rule() -> None:
    value = torch.tensor([3.0], dtype=torch.float64)
    # N(3; 0, 1) / 4 against 3 N(3; 100, 5) / 4, by hand: exp(-4.5) against 3 exp(-188.18) / 5.
    assert TWO.posterior(value)[0, 0] == pytest.approx(1, abs=1e-12)
    near = Modes((0.0, 2.0), (1.0, 2.0), (0.5, 0.5)).posterior(torch.tensor([1.0]).double())
    # exp(-1/2) against exp(-1/8) / 2.
    assert near[0, 0] == pytest.approx(0.60653066 / (0.60653066 + 0.88249690 / 2), abs=1e-8)


def test_modes_are_drawn_from_the_posterior_and_alike_for_equal_frames() -> None:
    encoder = Encoder(
        Schema((Number("a", -10, 10, 3, dtype="Float64"),)),
        {"a": Modes((0.0, 2.0), (1.0, 2.0), (0.5, 0.5))},
    )
    frame = pl.DataFrame({"a": [1.0] * 4_000})
    rows = encoder.encode(frame)
    # 0.5789 of 4,000, give or take four deviations of 31.
    assert 2_190 < int(rows[:, 1].sum()) < 2_441
    assert torch.equal(rows, encoder.encode(frame))
    assert encoder.decode(rows)["a"].to_list() == [1.0] * 4_000


def test_an_encoder_is_read_as_it_was_written() -> None:
    assert Encoder.from_json(ENCODER.to_json()) == ENCODER
    for text in ("", "{}", '{"schema": 3, "modes": {}}', '{"modes": {"a": {"means": 3}}}'):
        with pytest.raises(UsageError, match=r"damaged, or no (table|schema) of touchstone"):
            Encoder.from_json(text)


def test_values_that_the_schema_does_not_have_are_refused() -> None:
    with pytest.raises(UsageError, match="column sex: it has no value 'male' in its schema"):
        ENCODER.encode(FRAME.with_columns(sex=pl.lit("male")))
    with pytest.raises(UsageError, match="column height: a value is missing"):
        ENCODER.encode(FRAME.with_columns(height=pl.lit(None, pl.Float32)))


@pytest.mark.parametrize(
    ("dtype", "text", "value"),
    [
        ("UInt8", "255", 255),
        ("Float64", "0.1", 0.1),
        ("Boolean", "true", True),
        ("Date", "2020-01-31", date(2020, 1, 31)),
        ("Datetime", "2020-01-31 17:05:00.000000", DAY),
        ("String", "x", "x"),
    ],
)
def test_values_are_of_the_type_that_the_schema_names(dtype: str, text: str, value: object) -> None:
    series = typed("a", [text, None], dtype)
    assert series.to_list() == [value, None]
    assert name_of(series.dtype) == dtype
    assert series.dtype == type_of(dtype)
