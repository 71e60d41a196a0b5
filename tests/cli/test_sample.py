import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import polars as pl
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

import touchstone
from touchstone.cli.formats import FORMATS
from touchstone.cli.sample import sample
from touchstone.data.images import quantize
from touchstone.data.tables.encoding import Encoder, Modes
from touchstone.data.tables.schema import Category, Key, Number, Schema
from touchstone.errors import UsageError
from touchstone.sheets.interpolation import between
from touchstone.trained import build, save

# What a run of ten iterations makes is nearly one grey: where samples have to differ, these do.
CONFIGURATION = {
    "_target_": "touchstone.networks.dcgan.Generator",
    "latent_size": 8,
    "resolution": 32,
    "channels": 1,
    "width": 4,
}
CONF = Path(__file__).parents[2] / "conf" / "sample.yaml"
Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def settings(**changes: Any) -> DictConfig:
    """What Hydra composes of the front door and a command line's changes."""
    made = OmegaConf.load(CONF)
    assert isinstance(made, DictConfig)
    del made["defaults"], made["hydra"]
    made.runs_dir = "runs"
    OmegaConf.set_struct(made, True)
    for name, value in changes.items():
        made[name] = str(value) if isinstance(value, Path) else value
    return made


@pytest.fixture
def lively(tmp_path: Path) -> Path:
    """An exported generator whose samples differ widely."""
    torch.manual_seed(0)
    network = build(CONFIGURATION)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    path = tmp_path / "lively.safetensors"
    save(network, CONFIGURATION, path)
    return path


def expected(run: Path, n: int, seed: int = 0) -> numpy.ndarray[Any, Any]:
    """The samples as uint8 `(n, H, W, C)`, made by the library."""
    made: numpy.ndarray[Any, Any]
    made = quantize(touchstone.load(run).sample(n, seed)).permute(0, 2, 3, 1).numpy()
    return made


def test_a_grid_from_the_command_line(cli: Cli, tiny_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "grid.png"
    done = cli("sample", f"run={tiny_run}", "n=5", "seed=3", f"to={path}")

    assert done.stdout == f"{path}\n"
    with Image.open(path) as picture:
        # Three columns of 34 pixels and a gap, five times; two rows.
        assert picture.size == (5 * 104, 5 * 70)
        small = numpy.asarray(picture)[::5, ::5]
    tiles = expected(tiny_run, 5, seed=3)[..., 0]
    for number, tile in enumerate(tiles):
        top, left = 2 + number // 3 * 34, 2 + number % 3 * 34
        assert numpy.array_equal(small[top : top + 32, left : left + 32], tile)
    assert (small[36:68, 70:102] == 255).all()


def test_an_array_begins_alike_for_any_number(lively: Path, tmp_path: Path) -> None:
    arrays = []
    for n in (300, 7):
        path = tmp_path / f"{n}.npz"
        sample(settings(run=lively, n=n, format="npz", to=path))
        with numpy.load(path) as content:
            assert content.files == ["samples"]
            arrays.append(content["samples"])
    many, few = arrays

    assert (many.shape, many.dtype) == ((300, 32, 32, 1), numpy.uint8)
    assert numpy.array_equal(many, expected(lively, 300))
    assert numpy.abs(many[:7].astype(int) - few).max() <= 1  # rounding may differ by batch size
    assert len(numpy.unique(many.reshape(300, -1), axis=0)) == 300


def test_another_seed_gives_other_samples(lively: Path) -> None:
    first, second = expected(lively, 4, seed=0), expected(lively, 4, seed=1)
    assert not any(numpy.array_equal(a, b) for a in first for b in second)


def test_single_pictures(lively: Path, tmp_path: Path) -> None:
    sample(settings(run=lively, n=3, seed=2, format="png", to=tmp_path / "new" / "pictures"))

    paths = sorted((tmp_path / "new" / "pictures").iterdir())
    assert [path.name for path in paths] == ["000000.png", "000001.png", "000002.png"]
    for path, pixels in zip(paths, expected(lively, 3, seed=2), strict=True):
        assert numpy.array_equal(numpy.asarray(Image.open(path)), pixels[..., 0])


def test_a_walk_passes_through_its_latents(lively: Path, tmp_path: Path) -> None:
    path = tmp_path / "walk.gif"
    sample(settings(run=lively, n=3, steps=4, format="gif", to=path))

    with Image.open(path) as walk:
        assert walk.n_frames == 12  # type: ignore[attr-defined]
        assert walk.info["loop"] == 0
        assert walk.size == (256, 256)
        for number, pixels in enumerate(expected(lively, 3)[..., 0]):
            walk.seek(4 * number)
            frame = numpy.asarray(walk.convert("L"))[::8, ::8].astype(int)
            assert numpy.abs(frame - pixels).max() <= 1


def test_between_two_latents_by_hand() -> None:
    right, up = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    walk = between(right, up, torch.tensor([0.0, 1 / 3, 0.5, 1.0]))

    half, root = 0.5, 3**0.5 / 2
    by_hand = torch.tensor([[1, 0], [root, half], [half**0.5, half**0.5], [0, 1]])
    assert torch.allclose(walk, by_hand, rtol=0, atol=1e-6)


def test_between_latents_of_one_direction() -> None:
    start = torch.tensor([1.0, 2.0])
    walk = between(start, 3 * start, torch.tensor([0.0, 0.5, 1.0]))

    assert torch.allclose(walk, torch.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]))


def test_where_samples_go_by_default(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample(settings(run=tiny_run.name, runs_dir=tiny_run.parent, n=2, seed=9, format="npz"))
    path = tiny_run / "samples" / "last_n2_seed9.npz"
    assert capsys.readouterr().out == f"{path}\n"
    path.unlink()

    exported = tmp_path / "generator.safetensors"
    exported.write_bytes((tiny_run / "generator.safetensors").read_bytes())
    sample(settings(run=exported, n=2, seed=9))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "generator.safetensors",
        "last_n2_seed9.png",
    ]


def test_an_exported_file_gives_the_same_samples(tiny_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    sample(settings(run=tiny_run / "generator.safetensors", n=4, format="npz", to=path))

    with numpy.load(path) as content:
        assert numpy.array_equal(content["samples"], expected(tiny_run, 4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "n=0: it has to be a whole number, 1 or more"),
        ({"n": 2.5}, "n=2.5: it has to be a whole number, 1 or more"),
        ({"n": "many"}, "n=many: it has to be a whole number, 1 or more"),
        ({"n": True}, "n=True: it has to be a whole number, 1 or more"),
        ({"n": 1, "format": "gif"}, "n=1: it has to be a whole number, 2 or more"),
        ({"seed": -1}, "seed=-1: it has to be a whole number, 0 or more"),
        ({"steps": 0}, "steps=0: it has to be a whole number, 1 or more"),
        ({"format": "jpg"}, "format=jpg: it has to be grid or png or npz or gif or numbered"),
        ({"labels": [0]}, "labels=[0]: the generator knows no classes"),
        ({"labels": 3}, "labels=3: it has to be a list of classes, as [0,3], or null"),
        ({"truncation": 0}, "truncation=0: it has to be a number, more than 0, or null"),
        ({"standing": 2.5}, "standing=2.5: it has to be a whole number, 0 or more"),
        ({"format": "classes"}, "format=classes: the generator knows no classes"),
        ({"format": "traversal"}, "format=traversal: only a generator of model=infogan can"),
        ({"format": "experts"}, "format=experts: only a generator of model=mixture can"),
        ({"format": "arithmetic"}, "format=arithmetic: name groups of samples"),
        ({"format": "arithmetic", "plus": [3]}, "plus=[3]: it has to be groups of samples'"),
        ({"format": "arithmetic", "minus": [[]]}, "minus=[[]]: it has to be groups"),
        ({"checkpoint": "first"}, "checkpoint=first: it has to be last or best"),
        ({"checkpoint": "best"}, "best.ckpt: there is no such checkpoint"),
        ({"run": None}, "run=null: name a run's folder, or an exported generator's file"),
        ({"run": "nowhere"}, "run=nowhere: no run, for it does not exist"),
        ({"run": 2026}, "run=2026: no run, for it does not exist"),
        ({"to": "grid.jpg"}, "to=grid.jpg: for format=grid it has to end in .png"),
        ({"to": "array", "format": "npz"}, "to=array: for format=npz it has to end in .npz"),
    ],
)
def test_what_cannot_be_done_is_said(
    changes: dict[str, Any],
    message: str,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        sample(settings(**{"run": tiny_run, **changes}))
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "name", "size"),
    [
        # Tiles of 3 * 32 = 96 pixels and gaps of 4; a caption's line has 24.
        ({"format": "numbered", "n": 5}, "last_n5_seed0_numbered.png", (304, 4 + 2 * 124)),
        ({"format": "rows", "n": 2, "steps": 5}, "last_n2_seed0_rows.png", (504, 204)),
        (
            # Columns of 104, signs of 48; two tiles of samples and the mean's, each with its gap
            # and a caption, and twice the edge.
            {"format": "arithmetic", "plus": [[1, 7], [2, 3]], "minus": [[4]]},
            "last_n64_seed0_plus1-7_plus2-3_minus4_arithmetic.png",
            (3 * 104 + 3 * 48 + 304, 3 * 124 + 2 * 4),
        ),
        ({"truncation": 0.5, "standing": 2, "n": 1}, "last_n1_seed0_t0.5_standing2.png", None),
    ],
)
def test_sheets_are_named_by_what_they_show(
    changes: dict[str, Any], name: str, size: tuple[int, int] | None, lively: Path
) -> None:
    sample(settings(run=lively, **changes))
    with Image.open(lively.with_name(name)) as picture:
        assert size is None or picture.size == size


def test_truncated_samples_are_the_librarys(lively: Path, tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    sample(settings(run=lively, n=4, truncation=0.5, standing=2, format="npz", to=path))
    made = touchstone.load(lively).sample(4, truncation=0.5, standing=2)

    with numpy.load(path) as content:
        assert numpy.array_equal(content["samples"], quantize(made).permute(0, 2, 3, 1).numpy())
    assert not torch.allclose(made, touchstone.load(lively).sample(4), atol=0.1)


def test_the_help_names_every_format(cli: Cli) -> None:
    text = cli("sample", "--help").stdout
    for name in FORMATS:
        assert f"\n  {name} " in text, name
    assert "where.COLUMN=VALUE" in text


TABLE = Encoder(
    Schema(
        (
            Key("id"),
            Number("hours per week", 1, 99, dtype="Int8"),
            Category("income", ("<=50K", ">50K")),
            Category("sex", ("Female", "Male"), missing=True),
        )
    ),
    {"hours per week": Modes.between(1, 99)},
)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """An exported generator of a table's rows."""
    configuration = {
        "_target_": "touchstone.networks.ctgan.Generator",
        "noise": 4,
        "layout": [list(block) for block in TABLE.layout],
        "width": 8,
    }
    torch.manual_seed(0)
    path = tmp_path / "people.safetensors"
    save(build(configuration), configuration, path, TABLE)
    return path


def test_rows_of_a_table(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample(settings(run=people, format="parquet"))
    path = people.with_name("last_n1000_seed0.parquet")
    assert capsys.readouterr() == (f"{path}\n", "")

    trained = touchstone.load(people)
    assert trained.table == TABLE
    made = TABLE.decode(trained.sample(1_000))
    frame = pl.read_parquet(path)
    assert frame.schema == made.schema
    assert frame.equals(made)

    sample(settings(run=people, format="csv", n=7))
    text = pl.read_csv(people.with_name("last_n7_seed0.csv"), schema=made.schema)
    assert text.equals(made[:7])


def test_rows_of_some_people_from_the_command_line(cli: Cli, people: Path) -> None:
    where = ["where.income=>50K", "+where.sex=null", "where.hours per week=[30, 60]"]
    done = cli("sample", f"run={people}", "n=300", "format=parquet", "seed=2", *where)

    name = "last_n300_seed2_income=%3E50K_sex=null_hours%20per%20week=[30,%2060].parquet"
    assert done.stdout == f"{people.with_name(name)}\n"
    frame = pl.read_parquet(people.with_name(name).open("rb"))
    assert frame["id"].to_list() == list(range(1, 301))
    assert (frame["income"] == ">50K").all()
    assert frame["sex"].is_null().all()
    assert frame["hours per week"].is_between(30, 60).all()
    every = TABLE.decode(touchstone.load(people).sample(2_500, seed=2))
    fitting = every.filter(
        pl.col("income") == ">50K",
        pl.col("sex").is_null(),
        pl.col("hours per week").is_between(30, 60),
    )
    assert frame.drop("id").equals(fitting.drop("id")[:300])
    assert done.stderr == (
        "where.income=>50K where.sex=null where.hours per week=[30, 60]: "
        f"{len(fitting)} of the 2,500 rows made fit\n"
    )


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ({}, [], "format=grid: the run is of a table; it has to be csv or parquet"),
        ({"format": "npz"}, [], "format=npz: the run is of a table; it has to be csv or parquet"),
        ({"format": "csv"}, ["sex"], "where.sex: name a value, as where.sex=VALUE"),
        ({"format": "csv"}, ["sexes=Male"], "there is no such column; did you mean sex?"),
        ({"format": "csv"}, ["sex=X"], "where.sex=X: the column has no such value; it has "),
        ({"format": "csv"}, ["id=1"], "where.id=1: the column tells rows apart"),
        ({"format": "csv", "labels": [1]}, [], "labels=[1]: the generator knows no classes"),
        ({"format": "csv", "to": "t.parquet"}, [], "for format=csv it has to end in .csv"),
    ],
)
def test_what_a_table_cannot_be_asked_for_is_said(
    changes: dict[str, Any], where: list[str], message: str, people: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        sample(settings(run=people, **changes), where)
    assert message in str(caught.value)
    assert list(people.parent.iterdir()) == [people]


def test_images_are_no_table(lively: Path) -> None:
    with pytest.raises(UsageError, match="format=csv: the run is of no table; it has to be grid"):
        sample(settings(run=lively, format="csv"))
    with pytest.raises(UsageError, match=r"where\.sex=Male: the run is of no table"):
        sample(settings(run=lively), ["sex=Male"])
