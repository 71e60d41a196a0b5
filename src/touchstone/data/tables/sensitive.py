"""Columns that name a person, reach one or tell of one: no input for a model, unless it is meant.

A generator that learns such a column repeats people's own; what its values are is guessed by the
column's name and by its content.
"""

from collections.abc import Mapping

import polars as pl

from touchstone.data.tables.keys import KEYS, is_key
from touchstone.data.tables.naming import saying, words
from touchstone.errors import UsageError

EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
TELEPHONE = r"^(\+|00?)?[\d(][\d\s()/.-]{5,}\d$"  # among text: what is all digits is a number
PERSON = r"^\p{Lu}[\p{L}'’.-]*([ ,]+\p{Lu}[\p{L}'’.-]*){1,3}$"  # noqa: RUF001

FEW = 10  # different values, up to which a column is a category whatever it is called
DISTINCT = 0.9  # the share of different values from which text is every row's own
LONG = 100_000  # numbers from which one may be a telephone's
WORDS = 5  # words of a value, on average, from which text is a sentence

# Words of a column's name; `name` itself tells of people only beside one of PEOPLE, or alone.
NAMED = {
    "a person's name": {"surname", "forename", "firstname", "lastname", "fullname", "vorname"},
    "an e-mail address": {"email", "mail"},
    "a telephone number": {"phone", "telephone", "tel", "mobile", "fax", "telefon"},
    "an address": {"address", "street", "adresse"},
    "a number of a person or an account": {"ssn", "passport", "iban", "taxid"},
}
PEOPLE = {"first", "last", "full", "given", "family", "middle", "maiden", "sur", "user", "person"}
PEOPLE |= {"patient", "customer", "client", "employee", "member", "contact", "mother", "father"}


def check(columns: Mapping[str, pl.Series]) -> None:
    """Refuses what a model should not learn.

    Args:
        columns: those whose kind the user has not stated, by name.

    Raises:
        UsageError: some are sensitive; the message names each, why, and what to say.
    """
    found = {name: reason for name, series in columns.items() if (reason := why(name, series))}
    if not found:
        return
    listed = "\n  ".join(f"{name}: {reason}" for name, reason in found.items())
    first = next(iter(found))
    raise UsageError(
        f"columns that no model should learn:\n  {listed}\n"
        f"Leave each out by {saying(first, 'kind', 'drop')}, or have it made anew by "
        f"{saying(first, 'kind', 'key')}; if it is meant, say {saying(first, 'kind', 'category')}"
    )


def why(name: str, series: pl.Series) -> str | None:
    """What a column seems to hold that no model should learn; None where it seems harmless.

    By its name, where it has more than `FEW` different values: a person's name, an address, a
    number that reaches a person. By its content: most values are e-mail addresses or telephone
    numbers; they are different, for the most part, and each two to four capitalised words; they
    are sentences; nearly every one is another, and no identifier.
    """
    values = series.drop_nulls()
    different = values.n_unique()
    if different <= FEW and not _mostly(values, EMAIL):
        return None
    named = _by_name(name)
    if not isinstance(values.dtype, pl.String):
        # Of numbers, those as long as a telephone's: `mobile_minutes` are none.
        long = values.dtype.is_integer() and values.abs().median() >= LONG  # type: ignore[operator]
        return named if long else None
    if named:
        return named
    share = different / len(values)
    if _mostly(values, EMAIL):
        return "e-mail addresses"
    if _mostly(values, TELEPHONE) and not words(name) & KEYS:
        return "telephone numbers, or others that tell a person"
    if share > 0.5 and _mostly(values, PERSON):
        return "names of people"
    # The phrases that a form offers repeat more often.
    if share > 0.25 and float(values.str.count_matches(r"\S+").mean() or 0) >= WORDS:  # type: ignore[arg-type]
        return "free text"
    if share >= DISTINCT and not is_key(series):
        return "nearly every value is another text"
    return None


def _mostly(values: pl.Series, pattern: str) -> bool:
    return (
        isinstance(values.dtype, pl.String)
        and len(values) > 0
        and 2 * int(values.str.contains(pattern).sum()) > len(values)
    )


def _by_name(name: str) -> str | None:
    parts = words(name)
    for reason, known in NAMED.items():
        if parts & known:
            return reason
    return "a person's name" if "name" in parts and parts - {"name"} <= PEOPLE else None
