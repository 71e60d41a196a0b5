"""The columns of a table as a picture, in a real trainer."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import polars as pl
import pytest
import torch
from pytorch_lightning import LightningDataModule, Trainer
from torch import Tensor, nn

from touchstone.callbacks.table import (
    GENERATED,
    HEADING,
    HEIGHT,
    INNER,
    LEFT,
    REAL,
    TALL,
    TOP,
    WIDTH,
    Bars,
    Histogram,
    Table,
    draw,
    font,
    scales,
    shares,
    shortened,
    text_of,
)
from touchstone.data import Points, Split
from touchstone.data.tables.encoding import Encoder, Modes
from touchstone.data.tables.rows import Rows
from touchstone.data.tables.schema import Category, Constant, Determined, Key, Number, Schema
from touchstone.errors import UsageError
from touchstone.gan import GAN
from touchstone.losses import Wasserstein
from touchstone.tracking.checkpoints import Checkpoints
from touchstone.tracking.loggers import Record
from touchstone.tracking.run import Run

BATCH = 4
SCHEMA = Schema((Number("age", 0, 9), Category("sex", ("f", "m"))))
FRAME = pl.DataFrame({"age": [0, 3, 6, 9], "sex": ["f", "f", "m", "f"]})
ENCODER = Encoder(SCHEMA, {"age": Modes.between(0, 9)})


class Maker(nn.Module):
    """Rows of any number and of either sex."""

    latent_size = 4

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(4))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return (latents + self.shift).tanh()


class Judge(nn.Module):
    """The sum of a row."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        return samples[:, :4] @ self.weight


class Data(LightningDataModule):
    """The same four rows at each of three iterations."""

    def __init__(self, images: Split) -> None:
        super().__init__()
        self.images = images

    def train_dataloader(self) -> "Loader":
        return Loader(self.images.batch(torch.arange(BATCH)))


class Loader:
    """A loader: any iterable with a length."""

    def __init__(self, batch: Any) -> None:
        self.batches = [[batch]] * 3

    def __iter__(self) -> Iterator[Any]:
        return iter(map(iter, self.batches))

    def __len__(self) -> int:
        return len(self.batches)


def play(folder: Path, images: Split) -> Run:
    rates: dict[str, Any] = dict.fromkeys(
        ("generator", "discriminator"), lambda given: torch.optim.SGD(given, lr=0.01)
    )
    run = Run.create(folder, "played", "", {})
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=[Record(run)],
        callbacks=[Table(every=8, rows=300)],
        plugins=[Checkpoints()],
        default_root_dir=run.path,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    gan = GAN(Maker(), Judge(), Wasserstein(), optimizers=rates, budget=3 * BATCH)
    trainer.fit(gan, datamodule=Data(images))
    return run


def test_a_run_leaves_a_picture_of_the_columns(tmp_path: Path) -> None:
    run = play(tmp_path, Rows.of(FRAME, ENCODER))
    paths = sorted((run.path / "samples").iterdir())
    assert [path.name for path in paths] == ["000000008.png", "000000012.png"]  # and at the end
    with PIL.Image.open(paths[0]) as picture:
        assert picture.size == (2 * WIDTH, HEADING + HEIGHT)


def test_what_is_no_table_has_its_own_callback(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the shape \(2,\); use callbacks=points"):
        play(tmp_path, Points(torch.zeros(BATCH, 2), None, ()))
    with pytest.raises(UsageError, match=r"the shape \(4,\); use callbacks=default"):
        play(tmp_path, Points(torch.zeros(BATCH, 4), None, ()))


def test_every_bin_holds_as_many_whole_numbers() -> None:
    # 0 to 99 in bins of five each; what lies beyond is in the first and the last.
    scale = Histogram.of(Number("n", -99, 999), pl.Series("n", range(100)))
    assert (scale.low, scale.width, scale.bins) == (-0.5, 5, 20)
    assert scale.shares(pl.Series(range(100))) == [0.05] * 20 + [0]
    made = scale.shares(pl.Series([-99, 4, 5, 999, None]))
    assert made == [0.4, 0.2, *[0.0] * 17, 0.2, 0.2]
    assert scale.ends == ("0", "99")


def test_a_few_far_values_do_not_take_the_room_of_all_others() -> None:
    real = pl.Series("n", [*range(1, 1000), 10**6])
    scale = Histogram.of(Number("n", 0, 10**6), real)
    assert scale.ends == ("<= 6", ">= 995")
    assert sum(scale.shares(real)) == pytest.approx(1)


def test_a_column_without_numbers_has_bins_for_what_it_may_have() -> None:
    gone = pl.Series("n", [None, None], dtype=pl.Int64)
    scale = Histogram.of(Number("n", 0, 9, missing=True), gone)
    assert scale.shares(gone) == [*[0] * 10, 1]


def test_the_most_frequent_values_are_named_and_the_others_are_one() -> None:
    letters = "abcdefghij"
    column = Category("c", tuple(letters), missing=True)
    real = pl.Series("c", [*"jjj", *"ii", None, None, None, None, *letters[:5]])
    scale = Bars.of(column, real)
    assert scale.names == ("missing", "j", "i", "a", "b", "c", "d", "e", "other (3)")
    assert scale.shares(pl.Series(["j", "j", "g", None])) == [0.25, 0.5, 0, 0, 0, 0, 0, 0, 0.25]
    nine = Category("c", tuple(letters[:9]))
    assert Bars.of(nine, pl.Series(["b", "b", "a"])).names == tuple("bacdefghi")


def test_what_is_not_learned_is_not_shown() -> None:
    schema = Schema((Key("id"), Category("c", ("a",)), Constant("k", "1"), Number("n", 0, 9)))
    frame = pl.DataFrame({"id": [1], "c": ["a"], "k": ["1"], "n": [3]})
    assert [scale.column.name for scale in scales(schema, frame)] == ["c", "n"]


def test_joined_columns_are_shown_as_what_they_were_joined_to() -> None:
    joint = Category("a & b", ("p & 1", "q & 1"), joins=("a", "b"))
    parts = (Determined("a", "a & b", ("p", "q")), Determined("b", "a & b", ("1", "1")))
    frame = pl.DataFrame({"a": ["q", "q", "p"], "b": ["1"] * 3})
    (by,) = scales(Schema((joint, *parts)), frame)
    assert isinstance(by, Bars)
    assert by.names == ("q & 1", "p & 1")
    assert shares([by], frame[:1]) == [[1, 0]]


def test_the_real_values_are_areas_and_the_generated_ones_lines() -> None:
    by = scales(SCHEMA, FRAME)
    made = pl.DataFrame({"age": [0, 0, 0, 0], "sex": ["m"] * 4})
    pixels = np.asarray(draw(by, shares(by, FRAME), shares(by, made), "0 images")).astype(int)
    assert pixels.shape == (HEADING + HEIGHT, 2 * WIDTH, 3)

    def is_at(x: float, y: float, colour: tuple[int, int, int]) -> bool:
        return bool(abs(pixels[round(y), round(x)] - colour).max() <= 3)

    # Ten bins of ages: the first holds a quarter of the real ones and all of the generated.
    first, bottom = LEFT + INNER / 20, HEADING + TOP + TALL
    assert is_at(first, bottom - TALL / 4 + 3, REAL)
    assert is_at(first, bottom - TALL / 4 - 3, (255, 255, 255))
    assert is_at(first, bottom - TALL, GENERATED)
    assert is_at(LEFT + 1.5 * INNER / 10, bottom - 5, (255, 255, 255))
    # Three quarters of the real ones are f, and all of the generated m.
    end, top = WIDTH + LEFT + INNER, HEADING + TOP
    assert is_at(end - 40, top + 7, REAL)
    assert is_at(end - 3, top + 16 + 7, GENERATED)
    assert is_at(end - 3, top + 7, (255, 255, 255))
    # Far apart in grey, too.
    red, green, blue = np.abs(np.subtract(REAL, GENERATED))
    assert 0.3 * red + 0.59 * green + 0.11 * blue > 100


def test_of_no_real_rows_nothing_is_shown() -> None:
    values = tuple(f"v{number}" for number in range(20))  # eight are named, the others are one
    schema = Schema((*SCHEMA.columns, Category("place", values)))
    frame = FRAME.with_columns(place=pl.Series(["v0", "v1", "v19", "v19"]))
    by = scales(schema, frame.clear())
    ages = by[0]
    assert isinstance(ages, Histogram)
    assert ages.ends == ("0", "9")  # what the column may have, and not what rows had
    real, generated = shares(by, frame.clear()), shares(by, frame)
    assert not any(map(any, real))
    assert [sum(column) for column in generated] == [1, 1, 1]
    picture = np.asarray(draw(by, real, generated, "")).reshape(-1, 3)
    assert not (picture == REAL).all(axis=1).any()
    assert (picture == GENERATED).all(axis=1).any()


def test_columns_stand_five_abreast() -> None:
    schema = Schema(tuple(Number(f"n{number}", 0, 9) for number in range(11)))
    frame = pl.DataFrame({f"n{number}": [1, 2] for number in range(11)})
    by = scales(schema, frame)
    picture = draw(by, shares(by, frame), shares(by, frame), "")
    assert picture.size == (5 * WIDTH, HEADING + 3 * HEIGHT) == (1200, HEADING + 3 * HEIGHT)


def test_words_fit_their_place() -> None:
    assert shortened("Österreich\nund", 200) == "Osterreich und"
    short = shortened("a name that is far too long", 60)
    assert short.endswith("…")
    assert 45 < font().getlength(short) <= 60
    assert shortened("x" * 50, 0) == "…"


def test_values_are_written_as_they_are_read() -> None:
    days = (date(2024, 2, 29) - date(1970, 1, 1)).days
    assert text_of(Number("d", 0, 1, dtype="Date"), days) == "2024-02-29"
    assert text_of(Number("t", 0, 1, dtype="Datetime"), days * 86_400_000_000 + 5) == "2024-02-29"
    moment = Number("t", 0, 1, decimals=-6, dtype="Datetime UTC")
    assert text_of(moment, days * 86_400_000_000) == "2024-02-29"
    assert text_of(Number("n", 0, 1, decimals=-2), 1_200) == "1,200"
    assert text_of(Number("n", 0, 1), 12_345) == "12,345"
    assert text_of(Number("n", 0, 1, decimals=2), -0.5) == "-0.50"
    assert text_of(Number("n", 0, 1, decimals=9), 0.000012) == "1.2e-05"
    assert text_of(Number("n", 0, 1), 3e9) == "3e+09"
