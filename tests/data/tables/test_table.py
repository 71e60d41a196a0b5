from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from touchstone.data.tables import table
from touchstone.data.tables.encoding import Modes
from touchstone.data.tables.finding import find
from touchstone.data.tables.rows import Rows
from touchstone.data.tables.schema import Number
from touchstone.data.tables.summary import describe
from touchstone.errors import UsageError

N = 200
FRAME = pl.DataFrame(
    {
        "n": range(1, N + 1),
        "age": [20 + n * 7 % 41 for n in range(N)],
        "sex": [("f", "m")[n % 2] for n in range(N)],
        "paid": [None if n % 20 == 0 else n * 13 % 100 / 4 for n in range(N)],
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    FRAME.write_csv(tmp_path / "people.csv")
    return tmp_path / "people.csv"


def load(path: Path, split: str = "train", **settings: Any) -> Rows:
    return table.load(path, split, cache=path.parent / "cache", **settings)


def test_each_row_falls_to_one_split(path: Path) -> None:
    parts = {split: load(path, split) for split in ("train", "test")}
    assert (len(parts["train"]), len(parts["test"])) == (160, 40)
    numbers = [*parts["train"].frame["n"], *parts["test"].frame["n"]]
    assert sorted(numbers) == list(range(1, N + 1))
    assert parts["train"].frame["n"].is_sorted()
    assert parts["train"].encoder == parts["test"].encoder


def test_the_split_is_by_seed(path: Path) -> None:
    first, again, other = (load(path, "test", seed=seed).frame["n"] for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)
    assert len(load(path, "test", test=0.5)) == 100


def test_the_encoder_is_fitted_on_the_training_split_alone(path: Path) -> None:
    rows = load(path)
    changed = FRAME.with_columns(
        # The test split's numbers become others within the range.
        paid=pl.when(pl.col("n").is_in(rows.frame["n"].to_list())).then("paid").otherwise(3.25)
    )
    changed.write_csv(path)
    assert load(path).encoder.modes == rows.encoder.modes


def test_a_fit_is_made_once(path: Path) -> None:
    load(path)
    (kept,) = (path.parent / "cache" / "tables").glob("*.json")
    before = kept.stat()
    load(path, "test")
    assert kept.stat().st_mtime_ns == before.st_mtime_ns
    assert [file.name for file in kept.parent.iterdir() if not file.name.startswith(".")] == [
        kept.name
    ]
    kept.write_text("{}")
    with pytest.raises(UsageError, match=f"{kept.name}: damaged"):
        load(path)


def test_rows_come_back(path: Path) -> None:
    rows = load(path, conditional=True)
    assert rows.encoder.decode(rows.values).drop("n").equals(rows.frame.drop("n"))
    assert rows.frequencies == [(rows.frame["sex"] == value).mean() for value in ("f", "m")]


def test_what_was_found_is_said_once(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(path, target="sex")
    load(path, "test", target="sex")
    assert capsys.readouterr().err.splitlines() == [
        "column  kind               values                missing",
        "n       key                made anew: 1, 2, ...  -",
        "age     number             20 to 60              -",
        "sex     category (target)  f, m                  -",
        "paid    number             0.25 to 24.75         5.0%",
    ]


def test_types_of_parquet_are_kept(path: Path) -> None:
    typed = FRAME.with_columns(pl.col("age").cast(pl.Int16), pl.col("paid").cast(pl.Float32))
    typed.write_parquet(path.with_suffix(".parquet"))
    rows = load(path.with_suffix(".parquet"))
    assert rows.encoder.decode(rows.values).schema == typed.schema


def test_a_saved_encoder_is_taken_as_it_is(path: Path, tmp_path: Path) -> None:
    saved = tmp_path / "table.json"
    encoder = load(path, columns={"age": {"low": 0, "high": 99}}).encoder
    saved.write_text(encoder.to_json())
    assert load(path, encoder=saved).encoder == encoder
    with pytest.raises(UsageError, match="nowhere"):
        load(path, encoder=tmp_path / "nowhere.json")


def test_a_public_encoder_does_not_depend_on_the_rows(path: Path) -> None:
    stated = {
        "n": {"kind": "drop"},
        "age": {"kind": "number", "low": 30, "high": 50},
        "sex": {"kind": "category", "values": ["f", "x"]},
        "paid": {"kind": "number", "low": 0, "high": 10, "decimals": 1, "missing": True},
    }
    rows = load(path, columns=stated, public=True)
    FRAME.with_columns(age=99, sex=pl.lit("?"), paid=pl.lit("none")).write_csv(path)
    others = load(path, columns=stated, public=True)
    assert rows.encoder == others.encoder
    assert rows.encoder.modes["age"] == Modes.between(30, 50)
    assert (rows.frame["age"].min(), rows.frame["age"].max()) == (30, 50)
    assert set(rows.frame["sex"]) == {"f"}
    assert others.frame["paid"].null_count() == len(others)
    assert others.values.isfinite().all()
    with pytest.raises(UsageError, match="paid: kind"):
        load(path, columns={name: of for name, of in stated.items() if name != "paid"}, public=True)


def test_a_public_row_does_not_depend_on_the_others(tmp_path: Path) -> None:
    stated = {"day": {"kind": "number", "low": "2020-01-01", "high": "2020-12-31"}}
    days = [f"2020-01-{1 + n % 28:02}" for n in range(20)]
    both = []
    for last in ("2020-02-01", "soon"):
        (tmp_path / "a.csv").write_text("\n".join(["day", *days, last]))
        both.append(load(tmp_path / "a.csv", columns=stated, public=True).frame["day"])
    assert int((both[0] != both[1]).sum()) <= 1
    assert both[1].n_unique() > 10


def test_a_column_that_the_training_split_lacks_has_a_mode(tmp_path: Path) -> None:
    frame = FRAME.with_columns(paid=pl.Series([1.5, 2.5, 3.5] + [None] * (N - 3)))
    frame.write_csv(tmp_path / "a.csv")
    held = pl.Series([n < 50 for n in range(N)])
    schema, typed = find(frame, {}, typed=True)
    rows = table.split_of(typed, held, "train", cache=tmp_path / "cache", typed=True)
    assert rows.encoder.modes["paid"] == Modes.between(1.5, 3.5)
    assert isinstance(schema["paid"], Number)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"path": None}, r"data\.path is not set"),
        ({"test": 1.5}, r"data\.test=1\.5: it has to be between 0 and 1"),
        ({"split": "valid"}, "split=valid"),
        ({"target": "age2"}, r"data\.target=age2"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    path: Path, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        table.load(**({"path": path, "cache": path.parent} | settings))


def test_a_summary_shows_dates_and_what_is_left_out() -> None:
    frame = pl.DataFrame(
        {
            "day": pl.Series([0, 364] * 10).cast(pl.Date),
            "many": [f"kind {n % 10}" for n in range(20)],
            "land": ["D"] * 20,
        }
    )
    schema, _ = find(frame, {}, typed=True)
    assert describe(schema, frame).splitlines()[1:] == [
        "day     number    1970-01-01 to 1970-12-31                   -",
        "many    category  kind 0, kind 1, kind 2, kind 3 and 6 more  -",
        "land    constant  D                                          -",
    ]


def test_no_row_is_in_both_splits_however_few(tmp_path: Path) -> None:
    FRAME[:10].write_csv(tmp_path / "a.csv")
    assert len(load(tmp_path / "a.csv", "test", test=0.01)) == 1
    assert len(load(tmp_path / "a.csv", "train", test=0.99)) == 1
    assert torch.equal(load(tmp_path / "a.csv").values, load(tmp_path / "a.csv").values)
