"""The tables that come with a statement of what their columns are."""

import hashlib
import os
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from omegaconf import DictConfig, OmegaConf
from tests.conftest import default_data

from touchstone.data.tables import census_income, fair
from touchstone.data.tables.schema import Determined
from touchstone.data.tables.stated import schema
from touchstone.errors import UsageError

CONF = Path(__file__).parents[3] / "conf" / "data"
COLUMNS = {"adult": 15, "census_income": 42, "fair": 9, "randhie": 10}


def settings_of(name: str) -> dict[str, Any]:
    settings = OmegaConf.load(CONF / f"{name}.yaml")
    assert isinstance(settings, DictConfig)
    return cast(dict[str, Any], OmegaConf.to_container(settings, resolve=False))


@pytest.mark.parametrize("name", COLUMNS)
def test_what_is_stated_is_enough_for_private_training(name: str) -> None:
    settings = settings_of(name)
    columns = settings["columns"]
    made = schema(columns, {column: pl.String() for column in columns}, settings["target"])
    assert len(made.columns) == COLUMNS[name]
    assert made.target == settings["target"]


def test_the_names_of_census_income_are_those_of_its_settings() -> None:
    assert tuple(settings_of("census_income")["columns"]) == census_income.NAMES


def test_an_education_of_adult_has_its_number() -> None:
    columns = settings_of("adult")["columns"]
    made = schema(columns, {column: pl.String() for column in columns}, None)
    number, name = made["education-num"], made["education"]
    assert isinstance(number, Determined)
    pairs = dict(zip(vars(name)["values"], number.values, strict=True))
    assert (pairs["Preschool"], pairs["HS-grad"], pairs["Doctorate"]) == ("1", "9", "16")


def test_the_test_split_of_census_income_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {name: {"kind": "drop"} for name in census_income.NAMES} | {
        "age": {"kind": "number"},
        "sex": {"kind": "category"},
    }
    line = ", ".join(["{age}"] + ["x"] * 11 + ["{sex}"] + ["y"] * 29)
    home = tmp_path / "census_income"
    home.mkdir()
    for part, ages in (("train", range(30)), ("test", range(50, 62))):
        path = home / f"census_income_1994_1995_{part}.csv"
        path.write_text("\n".join(line.format(age=age, sex="FM"[age % 2]) for age in ages))
        monkeypatch.setitem(
            census_income.SHA256, part, hashlib.sha256(path.read_bytes()).hexdigest()
        )
    for part, ages in (("train", range(30)), ("test", range(50, 62))):
        rows = census_income.load(tmp_path, part, cache=tmp_path, columns=columns)
        assert rows.frame["age"].to_list() == list(ages)
        assert rows.frame.columns == ["age", "sex"]


def test_fair_is_what_is_stated(tmp_path: Path) -> None:
    data = Path(os.environ.get("TOUCHSTONE_DATA", default_data()))
    settings = settings_of("fair")
    stated = {"columns": settings["columns"], "target": settings["target"]}
    try:
        parts = {
            split: fair.load(data, split, cache=tmp_path, **stated, public=True)
            for split in ("train", "test")
        }
    except UsageError as error:
        pytest.skip(f"no data and no network: {error}")
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 5093, "test": 1273}
    # Nothing is brought into the stated ranges that was not in them.
    whole = pl.concat([rows.frame for rows in parts.values()])
    assert whole["age"].n_unique() == 6
    assert whole["affairs"].max() == pytest.approx(57.5999908)
