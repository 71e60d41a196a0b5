import polars as pl
import pytest
import torch

from touchstone.data.tables.keys import is_key, prefix
from touchstone.data.tables.naming import saying, words


@pytest.mark.parametrize(
    ("series", "found"),
    [
        (pl.Series("a", range(7, 107)), True),  # consecutive
        (pl.Series("a", [*range(10), 9]), False),  # one twice
        (pl.Series("income", [n * 997 for n in range(50)]), False),  # 50^2 / 2 / 48,854 repeats
        (pl.Series("customer_id", [n * 997 for n in range(50)]), True),
        (pl.Series("a", [f"x-{n}" for n in range(50)]), True),
        (pl.Series("a", [f"x {n}" for n in range(50)]), False),
        (pl.Series("a", [*(f"x{n}" for n in range(50)), None]), False),
        (pl.Series("a", [n + 0.5 for n in range(50)]), False),
        (pl.Series("rowId", ["ab", "cd", "ef"]), True),
    ],
)
def test_a_key_tells_rows_apart_and_nothing_else(series: pl.Series, found: bool) -> None:
    assert is_key(series) is found


def test_numbers_that_chance_would_have_repeated_are_a_key() -> None:
    # 2,000 of 10,000: chance would have made 200 of them twice.
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(10_000, generator=generator)[:2_000].tolist()
    assert is_key(pl.Series("a", order))
    assert not is_key(pl.Series("a", order[:100]))


def test_the_prefix_is_what_all_have() -> None:
    assert prefix(pl.Series(["A-001", "A-2"])) == "A-"
    assert prefix(pl.Series(["A1", "B1"])) == ""
    assert prefix(pl.Series(["1", "22"])) == ""
    assert prefix(pl.Series([1, 22])) == ""


@pytest.mark.parametrize("name", ["lastName", "last_name", "LAST NAME", "last-name2", "LastName"])
def test_words_are_parted_however_they_are_joined(name: str) -> None:
    assert words(name) == {"last", "name"}


def test_a_setting_is_said_as_a_command_line_takes_it() -> None:
    assert saying("hours-per-week", "kind", "drop") == "++data.columns.hours-per-week.kind=drop"
    assert saying("Last Name", "low", 3) == "'++data.columns={Last Name: {low: 3}}'"
