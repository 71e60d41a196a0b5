"""`touchstone evaluate`: figures of a run and of others' images, from the command line."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import PIL.Image
import pytest
import torch

from touchstone.tracking.run import Run
from touchstone.trained import load, weights_hash

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
QUICK = ("protocol.generated=100", "metrics.interval=null")


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A finished run of one's own, to be written to."""
    return Path(shutil.copytree(tiny_run, tmp_path / "runs" / tiny_run.name))


def said(done: "subprocess.CompletedProcess[str]") -> dict[str, float]:
    """The figures that were printed."""
    lines = (line.split() for line in done.stdout.splitlines())
    return {words[0]: float(words[1]) for words in lines if words[0] != "picture"}


def test_a_runs_figures_are_printed_and_recorded(cli: Cli, run: Path) -> None:
    done = cli("evaluate", f"run={run.name}", "metrics=[fid,isc]", *QUICK)
    printed = said(done)
    assert list(printed) == ["fid100_fashion", "isc100_fashion", "isc100_fashion/deviation"]
    first, *_ = Run(run).figures()
    assert first.name == "fid100_fashion"
    assert first.value == pytest.approx(printed["fid100_fashion"], rel=1e-4)
    assert first.images == 640
    assert first.generator == weights_hash(load(run).generator)
    assert first.protocol["generated"] == 100
    assert first.protocol["reference"] == "train"
    lines = [line for line in Run(run).metrics() if "fid100_fashion" in line]
    assert [line["images"] for line in lines] == [640]


def test_a_figure_can_be_computed_again_from_the_run_and_from_its_samples(
    cli: Cli, here: Cli, run: Path, tmp_path: Path
) -> None:
    for way in (cli, here):
        way("evaluate", f"run={run}", *QUICK)
    first, second = Run(run).figures()
    assert first.value == second.value
    assert first.protocol == second.protocol
    # The same latents, by the same seed, as a file of arrays and as a folder of pictures.
    here("sample", f"run={run}", "n=100", "format=npz", f"to={tmp_path / 'made.npz'}")
    here("sample", f"run={run}", "n=100", "format=png", f"to={tmp_path / 'made'}")
    for fake in ("made.npz", "made"):
        words = (f"fake={fake}", "data=digits", "protocol.extractor=fashion", "to=there")
        here("evaluate", *words, "metrics.interval=null")
    made = [
        json.loads(line) for line in (tmp_path / "there/figures.jsonl").read_text().splitlines()
    ]
    assert [line["value"] for line in made] == [first.value] * 2
    assert [line["name"] for line in made] == ["fid100_fashion"] * 2


def test_a_run_is_evaluated_by_its_own_protocol_unless_another_is_named(
    here: Cli, run: Path
) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("generated: 10000", "generated: 70"))
    words = (f"run={run}", "metrics.interval=null")
    assert list(said(here("evaluate", *words))) == ["fid70_fashion"]
    assert list(said(here("evaluate", *words, "protocol.seed=1"))) == ["fid70_fashion"]
    named = said(here("evaluate", *words, "protocol=default", "protocol.generated=80"))
    assert list(named) == ["fid80_fashion"]
    assert [figure.protocol["seed"] for figure in Run(run).figures()] == [0, 1, 0]


def test_truncation_is_part_of_the_protocol_also_of_an_earlier_versions_run(
    here: Cli, run: Path
) -> None:
    config = run / "config.yaml"
    text = config.read_text()
    lines = ("  truncation: null\n", "  standing: 0\n")
    assert all(line in text for line in lines)
    for line in lines:
        text = text.replace(line, "")
    config.write_text(text)
    words = ("protocol.truncation=0.5", "protocol.standing=2")
    here("evaluate", f"run={run}", *QUICK)
    printed = said(here("evaluate", f"run={run}", *QUICK, *words))
    assert list(printed) == ["fid100_fashion_t0.5_standing2"]
    plain, truncated = Run(run).figures()
    assert truncated.protocol == {**plain.protocol, "truncation": 0.5, "standing": 2}
    assert truncated.generator == plain.generator
    assert truncated.value != plain.value


def test_a_runs_tracker_is_told(here: Cli, run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(
        config.read_text().replace(
            "logger: {}",
            "logger:\n  csv: {_target_: touchstone.tracking.loggers.csv, _partial_: true}",
        )
    )
    here("evaluate", f"run={run}", *QUICK)
    assert (run / "csv" / "metrics.csv").read_text().startswith("fid100_fashion,step")


def test_folders_of_pictures_are_compared(here: Cli, tmp_path: Path) -> None:
    draws = numpy.random.default_rng(0)
    for name in ("fake", "real"):
        (tmp_path / name).mkdir()
        for number in range(70):
            pixels = draws.integers(0, 256, (12, 9, 3), dtype=numpy.uint8)
            PIL.Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    words = ("fake=fake", "real=real", "protocol.extractor=fashion", "to=there")
    figures = said(here("evaluate", *words, "metrics=[fid,prdc]"))
    assert {"fid70_fashion", "fid70_fashion/infinity", "precision70_fashion"} <= set(figures)
    line = json.loads((tmp_path / "there" / "figures.jsonl").read_text().splitlines()[0])
    assert line["protocol"]["reference"] == "all"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name either run=RUN, or fake=FOLDER"),
        (["run=nothing"], "run=nothing: no run, for it does not exist"),
        (["run=RUN", "fake=made"], "name either run=RUN, or fake=FOLDER"),
        (["run=RUN", "data=digits"], "leave out data="),
        (["fake=made"], "by either real=FOLDER or data=NAME"),
        (["fake=nowhere", "data=digits"], "fake=nowhere: there is no such folder"),
        (["fake=true", "real=true"], "fake=True: there is no such folder"),
        (["fake=empty", "data=digits"], "fake=empty: "),
        (["fake=floats.npz", "data=digits"], "fake=floats.npz: "),
        (["fake=one.npz", "data=digits"], "fake=one.npz: "),
        (["run=RUN", "protocol.generated=63"], "protocol.generated=63: 63 images are too few"),
        (["run=RUN", "metrics=kdi"], "metrics=kdi: there is no such part. Did you mean kid?"),
        (["run=RUN", "metrics=none"], "metrics=none: name at least one metric"),
        (["run=RUN", "metrics=cas"], "metrics=cas"),
        (["run=RUN", "metrics=class_fid"], "metrics=class_fid"),
        (["run=RUN", "metrics.interval=wide"], "metrics.interval=wide"),
        (["run=RUN", "protocol=fid"], "protocol=fid: there is no such part"),
        (["run=RUN", "protocol.reference=valid"], "protocol.reference=valid"),
        (["run=RUN", "protocol.truncation=-1"], "protocol.truncation=-1: it has to be a number"),
        (["run=RUN", "protocol.standing=x"], "protocol.standing=x: it has to be a whole number"),
        (["fake=made", "data=digits", "protocol.truncation=1"], "leave protocol.truncation out"),
        (["run=RUN", "protocol.extractor=fashoin"], "protocol.extractor=fashoin is unknown"),
        (["run=RUN", "protocol.extractor=inception"], "protocol.weights=PATH"),
        (["run=RUN", "device=cuda:7"], "device=cuda:7: "),
        (["run=RUN", "checkpoint=first"], "checkpoint=first: it has to be last or best"),
    ],
)
def test_a_wrong_word_gets_one_message(
    here: Cli, run: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    numpy.savez(tmp_path / "floats.npz", samples=numpy.random.default_rng(0).random((100, 8, 8, 1)))
    numpy.savez(tmp_path / "one.npz", samples=numpy.full((1, 8, 8, 1), 7, numpy.uint8))
    before = sorted(run.rglob("*"))
    done = here("evaluate", *(word.replace("RUN", run.name) for word in words), status=1)
    assert message in done.stderr, done.stderr
    assert done.stderr.startswith("touchstone: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert sorted(run.rglob("*")) == before


def test_samples_of_a_generator_that_ends_at_0_are_refused(
    cli: Cli, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "from touchstone.networks.dcgan import Generator\n"
        "class Sigmoid(Generator):\n"
        "    def forward(self, latents, labels=None):\n"
        "        made = super().forward(latents, labels)\n"
        "        return (made - made.amin()) / (made.amax() - made.amin())\n"
    )
    networks = json.loads((run / "networks.json").read_text())
    networks["generator"]["_target_"] = "mine.Sigmoid"
    (run / "networks.json").write_text(json.dumps(networks))
    done = cli("evaluate", f"run={run}", *QUICK, status=1, PYTHONPATH=str(tmp_path))
    assert "they have to be in [-1, 1]" in done.stderr
    assert done.stdout == ""


def test_the_help_names_every_metric_and_protocol(cli: Cli) -> None:
    text = cli("evaluate", "--help").stdout
    conf = Path(__file__).parents[2] / "conf"
    for group in ("metrics", "protocol"):
        for name in {path.stem for path in (conf / group).glob("*.yaml")} - {"none"}:
            assert f" {name}" in text, name


def test_torchrun_divides_the_work_and_gives_the_same_figures(
    here: Cli, run: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    words = (f"run={run}", "metrics=[fid,kid]", "protocol.generated=1100")
    alone = here("evaluate", *words)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port",
         "29517", "-m", "touchstone", "evaluate", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == alone.stdout
    values = [figure.value for figure in Run(run).figures()]
    assert values[: len(values) // 2] == values[len(values) // 2 :]
    assert torch.tensor(values).isfinite().all()
