import polars as pl
import pytest

from touchstone.data.tables.sensitive import check, why
from touchstone.errors import UsageError

FIRST = ("Ada", "Bo", "Cem", "Dana", "Eve", "Finn", "Gül", "Hans")
LAST = ("O'Neill", "Müller", "Åberg", "Smith-Jones", "Li", "Okafor", "Silva")
NAMES = [f"{first} {last}" for first in FIRST for last in LAST]
COMMON = ["No one at all in the universe", "Under 18 and in a family", "Other"]
SENTENCES = [f"Came in with a cold on day {day} and left." for day in range(50)]


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (pl.Series("contact", [f"p{n % 9}@example.org" for n in range(60)]), "e-mail addresses"),
        (pl.Series("reach", [f"+49 30 {n}55{n}1" for n in range(10, 60)]), "telephone numbers"),
        (pl.Series("who", NAMES), "names of people"),
        (pl.Series("lastName", LAST[:6] + FIRST), "a person's name"),
        (pl.Series("customer_name", LAST + FIRST), "a person's name"),
        (pl.Series("phone", [491_700_000 + n * n for n in range(50)]), "a telephone number"),
        (pl.Series("note", SENTENCES), "free text"),
        (pl.Series("word", [chr(97 + n // 26) + chr(97 + n % 26) for n in range(60)]), "nearly"),
    ],
)
def test_what_tells_of_a_person_is_recognised(series: pl.Series, reason: str) -> None:
    assert (why(series.name, series) or "").startswith(reason)


@pytest.mark.parametrize(
    "series",
    [
        pl.Series("education", COMMON * 20),
        pl.Series("name", ["left", "right"] * 30),
        pl.Series("mobile_minutes", list(range(50))),
        pl.Series("product_name", [f"kind {n % 12}" for n in range(60)]),
        pl.Series("customer_id", [f"{n:03}-{n * n:05}" for n in range(60)]),
        pl.Series("age", [n / 2 for n in range(60)]),
        pl.Series("none", [None, None], dtype=pl.String),
    ],
)
def test_what_tells_of_none_is_let_pass(series: pl.Series) -> None:
    assert why(series.name, series) is None


def test_one_message_names_the_columns_and_the_remedies() -> None:
    columns = {
        "age": pl.Series("age", range(60)),
        "mail": pl.Series("mail", [f"p{n}@example.org" for n in range(60)]),
        "Full Name": pl.Series("Full Name", NAMES),
    }
    with pytest.raises(UsageError) as refused:
        check(columns)
    message = str(refused.value)
    assert "\n  mail: an e-mail address\n  Full Name: a person's name\n" in message
    for kind in ("drop", "key", "category"):
        assert f"++data.columns.mail.kind={kind}" in message
    assert "age" not in message
