from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from touchstone.data.tables.encoding import Encoder, Modes
from touchstone.data.tables.schema import Category, Constant, Determined, Key, Number, Schema
from touchstone.errors import UsageError
from touchstone.networks.ctgan import Generator
from touchstone.sampling import Sampler
from touchstone.synthesis import BLOCK, ENOUGH, Clause, Synthesis

DAYS = (date(2020, 1, 1) - date(1970, 1, 1)).days
MOMENT = (datetime(2020, 1, 1) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
SCHEMA = Schema(
    (
        Key("id", prefix="P", dtype="String"),
        Number("age", 17, 90, missing=True),
        Category("sex", ("Female", "Male")),
        Category("city of birth", ("Bern", "Genf", "Lyon", "Oslo"), missing=True),
        Determined("country", "city of birth", ("CH", "CH", "FR", "NO"), otherwise="?"),
        Determined("dialling", "city of birth", ("41", "41", "33", None), dtype="Int64"),
        Category("flag", ("false", "true"), dtype="Boolean"),
        Category("share", ("0.5", "1.0"), dtype="Float64"),
        Number("height", 1.5, 2.0, decimals=2, dtype="Float64"),
        Number("born", DAYS, DAYS + 365, dtype="Date"),
        Number("seen", MOMENT, MOMENT + 86_400_000_000, decimals=-6, dtype="Datetime"),
        Constant("year", "2020", dtype="Int64"),
    )
)
TYPES: list[Any] = [pl.String, pl.Int64, *3 * [pl.String], pl.Int64, pl.Boolean, *2 * [pl.Float64]]
TYPES += [pl.Date, pl.Datetime("us"), pl.Int64]
ENCODER = Encoder(
    SCHEMA, {each.name: Modes.between(each.low, each.high) for each in SCHEMA.numbers}
)
# sex, city of birth and missing, flag, share: a quarter each. Men are 4 % of the people, and of the
# cities Lyon has 3.2 %, Oslo 4 %; 4 % are missing.
FREQUENCIES = [0.24, 0.01, 0.1, 0.122, 0.008, 0.01, 0.01, 0.05, 0.2, 0.1, 0.15]


def generator(frequencies: Sequence[float] = ()) -> Generator:
    torch.manual_seed(0)
    return Generator(6, ENCODER.layout, frequencies, width=8).eval()


class Obedient(nn.Module):
    """A row is noise, but for the category that it is asked for."""

    latent_size = ENCODER.width + 1

    def __init__(self) -> None:
        super().__init__()
        self.frequencies = torch.tensor(FREQUENCIES)
        self.asked = Counter[int | None]()

    def forward(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        rows = latents[:, :-1].tanh()
        self.asked.update([None] if conditions is None else conditions.tolist())
        if conditions is None:
            return rows
        places = torch.cat(
            [
                torch.arange(ENCODER.width)[place]
                for (kind, _), place in zip(ENCODER.layout, ENCODER.places.values(), strict=True)
                if kind == "category"
            ]
        )
        return rows + 3 * one_hot(places[conditions], ENCODER.width)


def made(
    number: int, *clauses: tuple[str, str], seed: int = 0, of: nn.Module | None = None
) -> pl.DataFrame:
    sampler = Sampler(of or generator(), seed)
    asked = tuple(Clause.of(ENCODER, *clause) for clause in clauses)
    return pl.concat(Synthesis(sampler, ENCODER, asked).frames(number))


def test_rows_have_the_columns_and_types_of_the_original() -> None:
    frame = made(2_600)

    assert frame.columns == [column.name for column in SCHEMA.columns]
    assert frame.dtypes == TYPES
    assert frame["id"].to_list() == [f"P{number}" for number in range(1, 2_601)]
    assert len(frame.drop("id").unique()) > 2_500
    assert made(2_600).equals(frame)
    assert not made(2_600, seed=1).equals(frame)


@pytest.mark.parametrize("clauses", [(), [("sex", "Female")]])
@pytest.mark.parametrize("of", [generator(), generator(FREQUENCIES)])
def test_the_first_rows_are_the_same_for_any_number(
    clauses: Sequence[tuple[str, str]], of: nn.Module
) -> None:
    many = made(2 * BLOCK + 7, *clauses, of=of)

    assert len(many) == 2 * BLOCK + 7
    for number in (1, 249, BLOCK, BLOCK + 1):
        assert made(number, *clauses, of=of).equals(many[:number])


def test_rows_are_the_librarys_samples() -> None:
    rows = Sampler(generator(), 3).of(range(40))
    assert made(40, seed=3).equals(ENCODER.decode(rows))


def test_rejection_keeps_the_rows_that_fit_and_counts_keys_anew() -> None:
    every = made(BLOCK)
    kept = every.filter(pl.col("sex") == "Female", pl.col("age").is_between(30, 40))
    found = made(len(kept), ("sex", "Female"), ("age", "[30, 40]"))

    assert 0 < len(kept) < BLOCK / 2
    assert found.drop("id").equals(kept.drop("id"))
    assert found["id"].to_list() == [f"P{number}" for number in range(1, len(kept) + 1)]


def between(name: str, low: object, high: object) -> pl.Expr:
    return pl.col(name).is_between(low, high)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text", "fits"),
    [
        ("sex", "Male", pl.col("sex") == "Male"),
        ("city of birth", "Lyon", pl.col("city of birth") == "Lyon"),
        ("city of birth", "null", pl.col("city of birth").is_null()),
        ("country", "CH", pl.col("city of birth").is_in(["Bern", "Genf"])),
        ("country", "?", pl.col("city of birth").is_null()),
        ("dialling", "33", pl.col("city of birth") == "Lyon"),
        ("dialling", "null", pl.col("dialling").is_null()),
        ("flag", "true", pl.col("flag")),
        ("flag", "false", ~pl.col("flag")),
        ("share", "1.0", pl.col("share") == 1),
        ("age", "[40,50]", between("age", 40, 50)),
        ("age", "53", pl.col("age") == 53),
        ("age", "null", pl.col("age").is_null()),
        ("age", "[0,1000]", pl.col("age").is_not_null()),
        ("height", "[1.75,1.8]", between("height", 1.75, 1.8)),
        ("born", "[2020-03-01,2020-08-31]", between("born", date(2020, 3, 1), date(2020, 8, 31))),
        (
            "seen",
            "[2020-01-01 06:00:00,2020-01-01T12:00:00]",
            between("seen", datetime(2020, 1, 1, 6), datetime(2020, 1, 1, 12)),
        ),
        ("year", "2020", pl.lit(value=True)),
    ],
)
def test_every_row_fits(name: str, text: str, fits: pl.Expr) -> None:
    every = made(BLOCK)
    found = made(10, (name, text))

    assert found.select(fits).to_series().all()
    assert found.drop("id").equals(every.filter(fits).drop("id")[:10])


@pytest.mark.parametrize(
    ("clauses", "asked"),
    [
        ([("sex", "Female")], None),  # frequent: what does not fit is left out
        ([("sex", "Male")], 1),
        ([("sex", "Male"), ("city of birth", "Lyon"), ("flag", "false")], 4),  # the rarest
        ([("city of birth", "null")], 6),
        ([("country", "NO")], 5),  # what determines it
        ([("dialling", "null"), ("country", "NO")], 5),  # the one value that both come to
        ([("country", "CH")], None),  # two cities: the generator draws which
        ([("age", "[20,60]")], None),
        ([("year", "2020")], None),
        ([], None),
    ],
)
def test_a_conditional_generator_is_asked_for_the_rarest_if_it_is_rare(
    clauses: Sequence[tuple[str, str]], asked: int | None
) -> None:
    obedient = Obedient()
    frame = made(30, *clauses, of=obedient)

    assert set(obedient.asked) == {asked}
    for name, text in clauses:
        if isinstance(SCHEMA[name], Category):
            assert (frame[name].cast(pl.String).fill_null("null") == text).all()


def test_what_is_asked_for_needs_no_rejection() -> None:
    told = []
    sampler = Sampler(Obedient(), 0)
    synthesis = Synthesis(sampler, ENCODER, (Clause.of(ENCODER, "city of birth", "Lyon"),))
    frames = list(synthesis.frames(BLOCK + 1, lambda *each: told.append(each)))

    assert [len(frame) for frame in frames] == [BLOCK, 1]
    assert told == [(BLOCK, BLOCK), (2 * BLOCK, 2 * BLOCK)]


def test_a_generator_that_hardly_makes_such_rows_is_given_up() -> None:
    clauses = [("height", "1.50"), ("born", "2020-12-31"), ("sex", "Male")]
    with pytest.raises(UsageError) as caught:
        made(1, *clauses)
    assert str(caught.value) == (
        "where.height=1.50 where.born=2020-12-31 where.sex=Male: 0 of the 10,000 rows made fit, "
        "fewer than 1 in 1,000; ask for less"
    )


def test_rows_of_one_in_a_few_hundred_are_made() -> None:
    told: list[tuple[int, int]] = []
    clauses = tuple(Clause.of(ENCODER, *each) for each in (("age", "[78,79]"), ("sex", "Male")))
    synthesis = Synthesis(Sampler(generator(), 0), ENCODER, clauses)
    frame = pl.concat(synthesis.frames(30, lambda *each: told.append(each)))

    assert frame["age"].is_between(78, 79).all()
    assert (frame["sex"] == "Male").all()
    (made_so_far, fitting), before = told[-1], told[-2]
    assert fitting >= 30 > before[1]
    assert made_so_far == len(told) * BLOCK
    assert made_so_far > ENOUGH
    assert 0.0005 < fitting / made_so_far < 0.01


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sexe", "Male", "where.sexe=Male: there is no such column; did you mean sex or seen?"),
        ("zzz", "1", "where.zzz=1: there is no such column; id, age, sex, city of birth, country"),
        ("id", "P3", "where.id=P3: the column tells rows apart, and is made anew for each"),
        ("sex", "male", "where.sex=male: the column has no such value; it has Female, Male"),
        ("sex", "null", "where.sex=null: the column has no such value; it has Female, Male"),
        ("city of birth", "Lyons", "no such value; it has Lyon, Bern, Genf, Oslo, null"),
        ("country", "DE", "where.country=DE: the column has no such value; it has CH, FR, NO, ?"),
        ("dialling", "9", "no such value; it has 41, 33, null"),
        ("year", "2021", "where.year=2021: the column has no such value; it has 2020"),
        ("age", "old", "where.age=old: it has to be a value or a range, low end first"),
        ("age", "[40,30]", "not beside where.age=[17,90], which holds all that there are"),
        ("age", "[91,99]", "not beside where.age=[17,90]"),
        ("age", "[30,40,50]", "not beside where.age=[17,90]"),
        ("age", "[30.5,40]", "not beside where.age=[17,90]"),
        ("height", "nan", "not beside where.height=[1.5,2.0]"),
        ("height", "null", "not beside where.height=[1.5,2.0]"),
        ("born", "2020-13-01", "not beside where.born=[2020-01-01,2020-12-31]"),
        ("seen", "noon", "where.seen=[2020-01-01 00:00:00,2020-01-02 00:00:00]"),
    ],
)
def test_what_no_row_can_be_is_said(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Clause.of(ENCODER, name, text)
    assert message in str(caught.value)


def test_of_many_values_the_nearest_are_shown() -> None:
    names = tuple(f"value {number}" for number in range(9_999))
    encoder = Encoder(Schema((Category("code", names),)), {})
    with pytest.raises(UsageError, match=r"it has value 4321, .* and 9,987 more$") as caught:
        Clause.of(encoder, "code", "valu 4321")
    assert len(str(caught.value)) < 250
