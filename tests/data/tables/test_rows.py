import math

import polars as pl
import pytest
import torch

from touchstone.data.batches import Batches
from touchstone.data.tables.encoding import Encoder, Modes
from touchstone.data.tables.rows import BLOCK, Rows
from touchstone.data.tables.schema import Category, Number, Schema

# 1,000 rows: `rare` is "yes" in ten of them; `size` is one of three, as often as it says.
FRAME = pl.DataFrame(
    {
        "rare": ["yes" if number % 100 == 0 else "no" for number in range(1_000)],
        "age": [float(number % 80) for number in range(1_000)],
        "size": [("S", "M", "L", "L")[number % 4] for number in range(1_000)],
    }
)
SCHEMA = Schema(
    (
        Category("rare", ("no", "yes")),
        Number("age", 0, 79, dtype="Float64"),
        Category("size", ("S", "M", "L")),
    )
)
ENCODER = Encoder(SCHEMA, {"age": Modes.between(0, 79)})


@pytest.fixture
def rows() -> Rows:
    return Rows.of(FRAME, ENCODER, conditional=True)


def test_the_first_indices_are_the_rows_in_order(rows: Rows) -> None:
    values, labels = rows.gather(torch.arange(len(rows)))
    assert torch.equal(values, ENCODER.encode(FRAME))
    assert labels is not None
    assert labels.tolist() == [1 if value == "yes" else 0 for value in FRAME["rare"]]


def test_an_index_is_a_row_by_one_of_its_categories(rows: Rows) -> None:
    # Row 7 by the second category: "L", which comes after "no", "yes", "S" and "M".
    values, labels = rows.gather(torch.tensor([1_007]))
    assert torch.equal(values[0], rows.values[7])
    assert labels is not None
    assert labels.tolist() == [4]


def test_frequencies_are_a_categorys_and_then_its_values(rows: Rows) -> None:
    # Each of the two categories by half: 0.99 and 0.01 of one, 1/4, 1/4 and 1/2 of the other.
    assert rows.frequencies == pytest.approx([0.495, 0.005, 0.125, 0.125, 0.25])


def test_rows_without_conditions_have_none() -> None:
    rows = Rows.of(FRAME, ENCODER)
    assert rows.frequencies == []
    assert rows.order(0) is None
    assert rows.gather(torch.tensor([3]))[1] is None


def test_rare_values_are_shown_by_the_logarithm_of_their_number(rows: Rows) -> None:
    order = rows.order(seed=0)
    assert order is not None
    _, labels = rows.gather(order.between(0, 200_000))
    assert labels is not None
    shares = labels.bincount(minlength=5) / 200_000
    # log(1 + n) of 990, 10, and of 250, 250, 500 rows.
    weights = [math.log(1 + n) for n in (990, 10, 250, 250, 500)]
    rare = [weight / sum(weights[:2]) / 2 for weight in weights[:2]]
    size = [weight / sum(weights[2:]) / 2 for weight in weights[2:]]
    # Three deviations of a share are 0.0034 at most.
    torch.testing.assert_close(shares, torch.tensor([*rare, *size]), atol=0.0034, rtol=0)


def test_a_row_has_the_value_that_it_is_shown_by_and_each_such_row_is_as_likely(rows: Rows) -> None:
    order = rows.order(seed=1)
    assert order is not None
    indices = order.between(0, 40_000)
    values, labels = rows.gather(indices)
    assert labels is not None
    # The places of the conditions in a row: 2 of rare, then age's scalar and mode, 3 of size.
    places = torch.tensor([0, 1, 4, 5, 6])
    assert (values.gather(1, places[labels][:, None]) == 1).all()
    rare = (indices[labels == 1] % len(rows)).bincount(minlength=len(rows))[::100]
    # About 5,047 shows of ten rows: each 505 times, of deviation 21.
    assert rare.sum() == (labels == 1).sum()
    assert ((rare - rare.float().mean()).abs() < 4 * 21.3).all()


def test_a_place_shows_the_same_row_wherever_a_run_begins(rows: Rows) -> None:
    first, second = rows.order(seed=5), rows.order(seed=5)
    assert first is not None
    assert second is not None
    whole = first.between(0, 2 * BLOCK + 10)
    assert torch.equal(whole[BLOCK - 7 : BLOCK + 9], second.between(BLOCK - 7, BLOCK + 9))
    other = rows.order(seed=6)
    assert other is not None
    assert not torch.equal(whole, other.between(0, len(whole)))


def test_batches_follow_the_rows_own_order(rows: Rows) -> None:
    batches = Batches(rows, batch_size=50, critic_steps=2, seed=3, start=100, stop=300)
    order = rows.order(seed=3)
    assert order is not None
    (first, labels), (second, _) = batches
    expected, asked = rows.gather(order.between(100, 200))
    assert torch.equal(first, expected)
    assert asked is not None
    assert labels is not None
    assert torch.equal(labels, asked)
    assert torch.equal(second, rows.gather(order.between(200, 300))[0])


def test_a_part_keeps_frame_and_conditions_together(rows: Rows) -> None:
    part = rows.take(torch.tensor([100, 7]))
    assert part.frame["rare"].to_list() == ["yes", "no"]
    assert part.conditions.tolist() == [[1, 0], [2, 4]]
    assert torch.equal(part.values, rows.values[[100, 7]])
    assert part.content_hash != rows.content_hash


def test_a_joined_split_has_frame_and_conditions_of_both(rows: Rows) -> None:
    first, second = torch.tensor([7, 100]), torch.tensor([3])
    joined, taken = rows.take(first).join(rows.take(second)), rows.take(torch.cat([first, second]))
    assert joined.frame.equals(taken.frame)
    assert torch.equal(joined.values, taken.values)
    assert torch.equal(joined.conditions, taken.conditions)
    assert joined.content_hash == taken.content_hash


def test_rows_are_the_same_however_they_are_encoded(rows: Rows) -> None:
    otherwise = Encoder(SCHEMA, {"age": Modes.between(-100, 100)})
    assert Rows.of(FRAME, otherwise).content_hash == rows.content_hash
