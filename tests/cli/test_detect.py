import csv
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from PIL import Image

import touchstone
from touchstone.authenticity.authenticator import Authenticator
from touchstone.authenticity.calibration import Verdict
from touchstone.authenticity.page import Findings
from touchstone.authenticity.reading import Files, Read, Reader
from touchstone.cli.detect import detect, judge_all
from touchstone.cli.front import explained, register_resolvers
from touchstone.data import digits
from touchstone.data.images import Images, normalize
from touchstone.errors import UsageError

CONF = Path(__file__).parents[2] / "conf"
Cli = Callable[..., "subprocess.CompletedProcess[str]"]
Detect = Callable[..., int]


def configured(run: Path, **changes: object) -> Path:
    """The run with other settings in its configuration."""
    config = OmegaConf.load(run / "config.yaml")
    config.update(changes)
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config))
    return run


@pytest.fixture(scope="module")
def fitted_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that says of itself that it was shown 1,200 of the 1,442 training digits."""
    run = tmp_path_factory.mktemp("detect") / "run"
    shutil.copytree(tiny_run, run)
    return configured(run, subset=1200)


@pytest.fixture
def run(fitted_run: Path, tmp_path: Path) -> Path:
    """The run, for a test of its own."""
    shutil.copytree(fitted_run, tmp_path / "runs" / "digits")
    return tmp_path / "runs" / "digits"


@pytest.fixture(scope="module")
def unseen() -> Images:
    return digits.load(split="test")


def picture(images: Images, index: int) -> Image.Image:
    return Image.fromarray(images.pixels[index, 0].numpy())


@pytest.fixture
def folder(unseen: Images, tmp_path: Path) -> Path:
    """One digit as it is and in every other form, a picture of another kind, and what is none."""
    root = tmp_path / "pictures"
    (root / "more").mkdir(parents=True)
    digit = picture(unseen, 3)
    digit.save(root / "plain.png")
    Image.fromarray(np.asarray(digit).astype(np.uint16) * 257).save(root / "sixteen_bit.png")
    digit.convert("CMYK").save(root / "cmyk.jpg", quality=100)
    digit.resize((320, 320), Image.Resampling.NEAREST).save(root / "more" / "large.png")
    wide = Image.new("L", (64, 32))
    wide.paste(digit, (16, 0))
    wide.save(root / "wide.png")
    Image.effect_noise((32, 32), 80).save(root / "noise.png")
    (root / "text.png").write_text("text")
    (root / "notes.txt").write_text("notes")
    whole = (root / "cmyk.jpg").read_bytes()
    (root / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    return root


@pytest.fixture
def do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Detect:
    """Detects in this process, as the command line does once it has composed; gives the status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOUCHSTONE_CACHE", str(tmp_path / "cache"))
    register_resolvers()

    def perform(*words: str) -> int:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            settings = compose("detect", overrides=list(words), return_hydra_config=True)
        HydraConfig.instance().set_config(settings)
        assert isinstance(settings, DictConfig)
        with open_dict(settings):
            settings.pop("hydra")
        return explained(detect, settings)

    return perform


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_a_folder_with_everything_in_it(
    do: Detect, run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert do("run=digits", "path=pictures", "to=out") == 0

    said = capsys.readouterr()
    summary, table, page = said.out.splitlines()
    assert summary == "0 counterfeit, 1 cannot tell, 5 genuine, 2 not read"
    assert (table, page) == ("out/detections.csv", "out/detections.html")
    assert "path=pictures: no pictures by their names: notes.txt\n" in said.err
    found = rows(Path(table))
    assert {name: (row["verdict"], row["note"]) for name, row in found.items()} == {
        "plain.png": ("genuine", ""),
        "sixteen_bit.png": ("genuine", ""),
        "cmyk.jpg": ("genuine", ""),
        "more/large.png": ("genuine", "resized from 320x320"),
        "wide.png": ("genuine", "central square resized from 64x32"),
        "noise.png": ("cannot tell", ""),
        "text.png": ("", "cannot be read: cannot identify image file 'pictures/text.png'"),
        "truncated.jpg": ("", found["truncated.jpg"]["note"]),
    }
    assert found["truncated.jpg"]["note"].startswith("cannot be read: image file is truncated")
    # The same pixels by other ways are the same picture; by JPEG nearly so.
    of = {name: float(row["score"] or "nan") for name, row in found.items()}
    assert of["plain.png"] == of["sixteen_bit.png"] == of["wide.png"]
    assert of["cmyk.jpg"] == pytest.approx(of["plain.png"], rel=0.2)
    assert found["noise.png"]["p_value"] == f"{1 / 243:.6g}"
    text = Path(page).read_text()
    assert "learned from 1,200 genuine items and is calibrated on 242 others" in text
    assert not re.search(r"https?:|<script|url\(", text)


def test_what_was_learned_is_kept(
    do: Detect, run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("run=digits", "path=pictures/plain.png")
    kept = run / "detectors" / "mahalanobis.safetensors"
    assert do(*words, "to=first") == 0
    learning = "mahalanobis learns from 1,200 genuine items and is calibrated on 242 others\n"
    assert learning in capsys.readouterr().err
    written = kept.stat().st_mtime_ns

    assert do(*words, "to=second", "false_alarms=0.1") == 0
    assert capsys.readouterr().err == ""
    assert kept.stat().st_mtime_ns == written
    scores = [rows(Path(to, "detections.csv"))["plain.png"]["score"] for to in ("first", "second")]
    assert scores[0] == scores[1]
    assert {path.name for path in kept.parent.iterdir()} == {
        "likeness.safetensors",
        "mahalanobis.safetensors",
    }

    # Another detector beside it, by a setting of its own, and another set of genuine items.
    named = "detector=[neighbours,mahalanobis]"
    assert do(*words, named) == 0
    assert capsys.readouterr().err.startswith("neighbours learns")
    assert do(*words, named, "++detectors.neighbours.neighbours=3") == 0
    assert capsys.readouterr().err.startswith("neighbours learns")
    (row,) = rows(max((run / "detections").glob("*/*.csv"))).values()
    assert row["mahalanobis_score"] == scores[0]
    configured(run, subset=1000)
    assert do(*words) == 0
    assert "mahalanobis learns from 1,000 genuine items" in capsys.readouterr().err


def test_a_new_folder_for_every_call(do: Detect, run: Path, folder: Path) -> None:
    for _ in range(2):
        assert do("run=digits", "path=pictures/plain.png") == 0
    assert len(list((run / "detections").glob("*_plain*/detections.html"))) == 2


def test_by_the_detectors_that_the_run_was_trained_with(
    do: Detect, run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = "touchstone.authenticity.detectors.discriminator.Discriminator"
    configured(run, detectors={"own": {"_target_": target}})
    assert do("run=digits", "path=pictures/plain.png", "to=out") == 0
    assert capsys.readouterr().err.startswith("own learns from")
    judged = touchstone.load_detector(run).score([folder / "plain.png"])
    (row,) = rows(Path("out/detections.csv")).values()
    assert float(row["score"]) == pytest.approx(float(judged.scores), rel=1e-5)

    configured(run, detectors={"own": {"_target_": "os.system"}})
    assert do("run=digits", "path=pictures/plain.png") == 1
    assert "_target_=os.system: refused" in capsys.readouterr().err


def test_a_detector_is_made_for_the_data_of_the_run(do: Detect, run: Path, folder: Path) -> None:
    data = OmegaConf.load(run / "config.yaml").data
    data.counterfeits = data.load
    configured(run, data=data)
    words = ("detector=[supervised]", "+detectors.supervised.iterations=2", "to=out")
    assert do("run=digits", "path=pictures/plain.png", *words) == 0
    assert list(rows(Path("out/detections.csv"))) == ["plain.png"]
    assert (run / "detectors" / "supervised.safetensors").exists()


def test_nothing_that_can_be_judged(
    do: Detect, run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert do("run=digits", "path=pictures/text.png", "to=out") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "touchstone: path=pictures/text.png: none of 1 files could be judged. The first: text.png: "
        "cannot be read: cannot identify image file 'pictures/text.png'. All are in "
        "out/detections.csv"
    )
    assert list(rows(Path("out/detections.csv"))) == ["text.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"run": "null"}, "run=null: name a run's folder"),
        ({"path": "null"}, "path=null: name a picture's file, or a folder of them"),
        ({"run": "digit"}, "run=digit: no run, for it does not exist"),
        ({"path": "picture"}, "path=picture: there is no such file or folder"),
        ({"path": "empty"}, "path=empty: no pictures in it; their names end in .bmp,"),
        ({"templates": "pictures"}, "templates=pictures: the run's data have no templates"),
        ({"false_alarms": "0.001"}, "false_alarms=0.001: it takes 999 genuine items"),
        ({"false_alarms": "1"}, "false_alarms=1: it has to lie between 0 and 1"),
        ({"false_alarms": "few"}, "false_alarms=few: it has to lie between 0 and 1"),
        ({"explanation": "why"}, "explanation=why: it has to be own or integrated_gradients or"),
        ({"detector": "[]"}, "detector=[]: name at least one"),
        (
            {"detector": "[supervised]"},
            "detector=supervised: the run was trained on data without it: Interpolation key "
            "'data.counterfeits' not found",
        ),
        ({"device": "cuda:99"}, "device=cuda:99: "),
        ({"checkpoint": "first"}, "checkpoint=first: it has to be last or best"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: dict[str, str],
    message: str,
    do: Detect,
    run: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("empty").mkdir()
    given = {"run": "digits", "path": "pictures"} | words
    assert do(*(f"{key}={value}" for key, value in given.items())) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"touchstone: {message}")
    assert not (run / "detectors").exists()
    assert not (run / "detections").exists()


def test_a_run_that_held_nothing_out(
    do: Detect, run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(run, subset=None)
    assert do("run=digits", "path=pictures") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "touchstone: run=digits: it was shown all of its 1,442 training images, and none is left "
        "to calibrate on: train it with a part of them, such as subset=1153"
    )


def test_the_command_line_and_a_misspelt_detector(cli: Cli, run: Path, folder: Path) -> None:
    done = cli("detect", "run=digits", "path=pictures", "detector=[neighbors]", status=1)
    assert done.stderr.startswith(
        "touchstone: detector=neighbors: there is no such part. Did you mean neighbours?"
    )
    assert len(done.stderr.splitlines()) == 1
    done = cli("detect", "run=digits", "path=pictures/plain.png", "to=out")
    assert re.fullmatch(
        r"genuine: plain.png: [\d.]+, p = [\d.]+\nout/detections.csv\nout/detections.html\n",
        done.stdout,
    )


def test_an_interruption_keeps_what_was_judged(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(Files):
        """Files of which the user sees the first two only."""

        def read(self, reader: Reader, number: int) -> Iterator[list[Read]]:
            yield next(iter(super().read(reader, 2)))
            raise KeyboardInterrupt

    path = tmp_path / "some.csv"
    files = Interrupted.named(folder)
    with path.open("w", newline="") as file, pytest.raises(KeyboardInterrupt):
        judge_all(files, judge(run), Findings(), file)
    assert capsys.readouterr().err.endswith(f"\n2 of 8 pictures were judged: {path}\n")
    assert list(rows(path)) == list(files.names[:2])


def judge(run: Path, detector: str | None = None, **settings: float) -> Authenticator:
    made = touchstone.load_detector(run, detector, **settings)  # type: ignore[arg-type]
    assert isinstance(made, Authenticator)
    return made


def test_a_program_gets_the_same_of_tensors_images_and_files(
    run: Path, folder: Path, unseen: Images
) -> None:
    one = judge(run, "neighbours", false_alarms=0.05)
    pixels = unseen.pixels[3:4]
    judged = [
        one.score(way)
        for way in (pixels, normalize(pixels), [picture(unseen, 3)], [folder / "plain.png"])
    ]
    assert len({float(each.scores) for each in judged}) == 1
    assert {tuple(each.verdicts) for each in judged} == {(Verdict.GENUINE,)}
    assert one.explained_by == "occlusion"
    maps = one.map(pixels)
    assert maps is not None
    assert maps.shape == (1, 32, 32)

    # The rate asked for on digits that nobody was shown: 18 of 355, give or take 4 by chance, and
    # as many again by the chance of the 242 that were held out.
    verdicts = one.score(unseen.pixels).verdicts
    refused = sum(verdict is not Verdict.GENUINE for verdict in verdicts)
    assert 5 <= refused <= 34
    # The nearest genuine item of one that it learned from is itself.
    genuine = one.genuine.gather(torch.tensor([7, 70]))[0]
    nearest = one.nearest(genuine)
    assert nearest is not None
    assert nearest.equal(genuine)


def test_a_program_is_told_what_cannot_be_done(run: Path) -> None:
    with pytest.raises(UsageError, match=r"Did you mean mahalanobis\?"):
        touchstone.load_detector(run, "mahalanobi")
    with pytest.raises(UsageError, match="run=nowhere: no run"):
        touchstone.load_detector("nowhere")
    with pytest.raises(UsageError, match="a tensor of shape"):
        judge(run).score(torch.zeros(2, 1, 28, 28))
    named = "touchstone.data.image_folder.load"
    load = {"_target_": named, "_partial_": True, "path": "${data_dir}/items"}
    configured(run, data={"name": "items", "load": load | {"folder": "cache", "resolution": 8}})
    with pytest.raises(UsageError, match="elsewhere/items"):
        touchstone.load_detector(run, data_dir="elsewhere")
