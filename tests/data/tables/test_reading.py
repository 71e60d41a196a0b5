import datetime
import gzip
from pathlib import Path

import polars as pl
import pytest

from touchstone.data.tables.reading import read
from touchstone.errors import UsageError


def written(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    lines = ["a b,c", "1.5,x y", "2.5,z"]
    path = written(tmp_path, "\n".join(line.replace(",", separator) for line in lines))
    assert read(path).to_dict(as_series=False) == {"a b": ["1.5", "2.5"], "c": ["x y", "z"]}


def test_a_decimal_comma_is_no_separator(tmp_path: Path) -> None:
    frame = read(written(tmp_path, "a;b\n1,5;2,5\n3;4,25\n"))
    assert frame.to_dict(as_series=False) == {"a": ["1,5", "3"], "b": ["2,5", "4,25"]}


def test_what_is_missing_is_null_and_blanks_are_no_part(tmp_path: Path) -> None:
    frame = read(written(tmp_path, 'a, b\n x ,?\n,N/A\nnull, "NaN"\nNone,NA\nnone, 3\n'))
    assert frame.to_dict(as_series=False) == {
        "a": ["x", None, None, None, "none"],
        "b": [None, None, None, None, "3"],
    }


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_ways_to_end_a_line_are_one(tmp_path: Path, ending: str, quote: str) -> None:
    lines = ["", "a,b", f"{quote}1{quote},2", "", "3,4", ""]
    frame = read(written(tmp_path, ending.join(lines)))
    assert frame.rows() == [("1", "2"), ("3", "4")]


def test_a_quote_in_the_header_is_kept(tmp_path: Path) -> None:
    frame = read(written(tmp_path, '"size ""L""","a,b"\n1,"two\nlines, ""both"""\n'))
    assert frame.columns == ['size "L"', "a,b"]
    assert frame.row(0) == ("1", 'two\nlines, "both"')


def test_a_packed_file_with_a_mark_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress("\ufeffä\nö\n".encode()), "a.csv.gz")
    assert read(path).to_dict(as_series=False) == {"ä": ["ö"]}


def test_names_are_given_to_a_file_without_header(tmp_path: Path) -> None:
    assert read(written(tmp_path, "1,2\n3,4\n"), ("a", "b")).rows() == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a,b,a\n1,2,3\n", "header has the name a more than once"),
        ("a, a\n1,2\n", "header has the name a more than once"),
        (",a\n0,1\n", "column 1 has no name"),
        ("a,b\n1,2\n\n1\n", "line 4 has 1 values, the header 2"),
        ('a,b\n"1\n2",2\n1,2,3\n', "line 4 has 3 values, the header 2"),
        (b"a,b\n1,2\n\xe4,3\n", "line 3 is not UTF-8"),
        ("a,b\n", "it has no rows"),
        ("", "it is empty"),
        ("\n\n", "it is empty"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, content: str | bytes, told: str
) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        read(written(tmp_path, content))
    assert "a.csv" in str(refused.value)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"a,b\n1,2\n" * 100)
    with pytest.raises(UsageError, match="it cannot be read"):
        read(written(tmp_path, whole[: len(whole) // 2], "a.csv.gz"))
    with pytest.raises(UsageError, match="no Parquet file"):
        read(written(tmp_path, b"PAR1 and nothing", "a.parquet"))


def test_a_file_that_is_not_there_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"b\.csv: there is no such file"):
        read(tmp_path / "b.csv")
    with pytest.raises(UsageError, match=r"its name has to end in \.csv"):
        read(written(tmp_path, "a", "a.xlsx"))


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "small": pl.Series([1, None], dtype=pl.Int8),
            "large": pl.Series([1, 2], dtype=pl.UInt64),
            "single": pl.Series([0.1, float("nan")], dtype=pl.Float32),
            "text": ["NA", None],
            "yes": [True, None],
            "day": [datetime.date(2020, 1, 31), None],
            "zone": pl.Series([datetime.datetime(2020, 1, 31, 5), None]).dt.replace_time_zone(
                "UTC"
            ),
            "few": pl.Series(["a", "b"], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet")

    kept = frame.with_columns(pl.col("single").fill_nan(None), pl.col("few").cast(pl.String))
    assert found.schema == kept.schema
    assert found.equals(kept)


@pytest.mark.parametrize(
    ("series", "told"),
    [
        (pl.Series("a", [[1], [2]]), "column a is of type List"),
        (pl.Series("a", [1.0, float("inf")]), "column a has a value that is infinite"),
    ],
)
def test_a_column_of_no_plain_values_is_refused(
    tmp_path: Path, series: pl.Series, told: str
) -> None:
    series.to_frame().write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=told):
        read(tmp_path / "a.parquet")
