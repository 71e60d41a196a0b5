import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from omegaconf import DictConfig
from PIL import Image

from touchstone import pages
from touchstone.cli.front import explanation, register_resolvers
from touchstone.cli.inspect import inspect
from touchstone.errors import UsageError

CONF = Path(__file__).parents[2] / "conf"
Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def picture(seed: int) -> Image.Image:
    patches = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((80, 64), Image.Resampling.BICUBIC)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Six training pictures of two kinds, two for testing, with something wrong of each kind."""
    root = tmp_path / "pets"
    for split, kind, seeds in (
        ("train", "cat", (0, 1, 2)),
        ("train", "<dog>", (3,)),
        ("test", "cat", (0, 9)),
    ):
        (root / split / kind).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            picture(seed).save(root / split / kind / f"{seed}.png")
    picture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "train/cat/flipped.png")
    picture(2).save(root / "train/cat/again.bmp")
    Image.new("L", (40, 40), 7).save(root / "train/cat/blank.png")
    (root / "train/cat/broken.jpg").write_text("text")
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_CACHE", str(tmp_path / "cache"))


def settings(*words: str) -> DictConfig:
    """What Hydra composes of a command line's words."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("inspect", overrides=list(words))


class Elements(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.images: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        elif tag not in ("meta", "!doctype"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_folder_with_everything_wrong(cli: Cli, pets: Path, tmp_path: Path) -> None:
    done = cli("inspect", "data=image_folder", f"data.path={pets}")

    lines = done.stdout.splitlines()
    assert lines[0] == f"{pets}: 7 train and 2 test images of 3x64x64"
    assert lines[-1] == "inspection_image_folder.html"
    assert [line.strip() for line in lines[1:-1:2]] == [
        "1 of 2 (50%) test images are also in the training split, equal or nearly so",
        "1 of 10 (10%) files cannot be decoded and are skipped",
        "1 of 9 (11%) images are blank",
        "1 of 7 (14%) train images repeat another one, pixel by pixel",
        "2 of 7 (29%) train images are near-duplicates of another, in 1 pair, 1 mirrored",
        "the largest class has 6 training images, the smallest 1 (6.0 to 1)",
        "1 of 9 (11%) pictures are smaller than the resolution of 64 and are enlarged",
    ]
    page = (tmp_path / lines[-1]).read_text()
    elements = Elements(page)
    assert elements.open == []
    # The overlap's pair, the equal pair, the mirrored pair and the blank one, all in the page.
    assert len(elements.images) == 7
    assert all(source.startswith("data:image/png;base64,") for source in elements.images)
    assert not re.search(r"https?:|<script|url\(", page)
    for text in (
        "train/cat/0.png · test/cat/0.png: equal",
        "train/cat/2.png · train/cat/again.bmp",
        "train/cat/1.png · train/cat/flipped.png: equal, mirrored",
        "train/cat/blank.png",
        "train/cat/broken.jpg: cannot identify image file",
        "The smallest is 40x40, the largest 80x64",
        "<dog>",
    ):
        assert text in elements.text, text


def test_sound_data_and_where_the_page_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "digits.html"
    inspect(settings("data=digits", f"to={path}"))

    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "digits: 1,442 train and 355 test images of 1x32x32"
    assert lines[-1] == str(path)
    assert said.err == ""
    # Scikit-learn's classes have 174 to 183 pictures, of which every fifth is for the test.
    assert "147 images in the largest, 140 in the smallest, 1.05 times" in path.read_text()


def test_a_source_without_a_test_split(
    pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (pets / "test").rglob("*.png"):
        file.unlink()
    path = tmp_path / "page.html"
    inspect(settings("data=image_folder", f"data.path={pets}", f"to={path}"))

    reason = f"No test split was looked at: data.path={pets}: none of its 8 pictures falls to"
    assert reason in capsys.readouterr().out
    assert reason in path.read_text()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.path=missing", "data.path=missing: there is no such folder"),
        ("data.path=empty", "data.path=empty: no pictures in it"),
        ("data.path=single", "data.path=single: it has one picture; a data set has two or more"),
        ("to=page.pdf", "to=page.pdf: it has to end in .html"),
    ],
)
def test_what_cannot_be_inspected_is_said(
    word: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "single/train", "single/test"):
        (tmp_path / name).mkdir(parents=True)
    picture(0).save(tmp_path / "single/train/0.png")
    assert errors(settings("data=image_folder", word)).startswith(message)
    assert list(tmp_path.glob("*.html")) == []


def errors(composed: DictConfig) -> str:
    """What the command line would say went wrong."""
    with pytest.raises((UsageError, InstantiationException)) as caught:
        inspect(composed)
    return str(explanation(caught.value))


def test_bars_are_in_proportion_and_names_are_escaped() -> None:
    made = pages.bars([("<a>", 40), ("b", 10), ("c", 0)])
    assert re.findall(r"width:([\d.]+)%", made) == ["100.0", "25.0", "0.0"]
    assert "&lt;a&gt;" in made


def test_pictures_are_held_whole_or_made_smaller() -> None:
    import base64
    import io

    for side, held in ((28, 28), (400, 160)):
        element = pages.embedded(Image.new("L", (side, side), 9))
        content = base64.b64decode(element.split("base64,")[1].split('"')[0])
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (held, held)
            assert image.getpixel((0, 0)) == 9
