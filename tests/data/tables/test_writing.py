from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from touchstone.data.tables.reading import read
from touchstone.data.tables.writing import write

FRAME = pl.DataFrame(
    {
        'a, "quoted"\nname': ["x", 'a "word", and\na line', None, ""],
        "number": [1, None, 3, 4],
        "small": pl.Series([1, 2, 3, 4], dtype=pl.UInt8),
        "share": [0.1, 1e-9, None, 3.0],
        "flag": [True, False, None, True],
        "day": [date(2020, 2, 29), None, date(1999, 1, 1), date(2000, 1, 1)],
        "moment": [datetime(2020, 1, 1, 1, 2, 3, 4, tzinfo=UTC)] * 4,
    }
)


@pytest.mark.parametrize("folder", ["plain", "a [b] *", "sex=Female"])
def test_parquet_is_the_frame_again(folder: str, tmp_path: Path) -> None:
    path = tmp_path / folder / "age=[30,40]_%3E.parquet"
    path.parent.mkdir()
    write(iter([FRAME[:1], FRAME[1:3], FRAME[3:]]), path)

    again = pl.read_parquet(path.open("rb"))
    assert again.schema == FRAME.schema
    assert again.equals(FRAME)
    assert list(path.parent.iterdir()) == [path]


def test_csv_has_one_header_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    frame = FRAME.select("number", "share", "flag", name=FRAME.columns[0])
    write(iter([frame[:1], frame[1:]]), path)

    assert path.read_text() == (
        "number,share,flag,name\n"
        "1,0.1,true,x\n"
        ',1e-9,false,"a ""word"", and\na line"\n'
        "3,,,\n"
        '4,3.0,true,""\n'
    )
    texts = read(path)
    assert texts["number"].to_list() == ["1", None, "3", "4"]
    assert texts["name"].to_list() == ["x", 'a "word", and\na line', None, None]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_whole_or_not_at_all(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"table{ending}"
    path.write_text("what was there")

    def breaking() -> Iterator[pl.DataFrame]:
        yield FRAME
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(breaking(), path)
    assert path.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [path]
