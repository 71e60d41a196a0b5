"""The main job from the command line: what it leaves behind, and what a wrong word gets."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from touchstone.cli import report
from touchstone.gan import GAN
from touchstone.losses import Vanilla

ROOT = Path(__file__).parents[2]
SMALL = ("data=digits", "model.width=4", "batch_size=16")

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
Train = Callable[..., Path]


def test_a_run_is_its_plain_record(environment: dict[str, str], tmp_path: Path) -> None:
    """python train.py from another folder: what the run's folder holds, and the last words."""
    words = [*SMALL, "images=160", "every.log=32", "every.evaluation=80", "protocol.generated=64"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (run,) = (tmp_path / "runs").glob("2*")
    assert run.name.endswith("_dcgan_vanilla_digits_s0")

    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    curves = [line for line in lines if "loss/generator" in line]
    assert [line["images"] for line in curves] == [32, 64, 96, 128, 160]
    for quantity in (
        "loss/discriminator",
        "logits/real",
        "logits/fake",
        "gradient_norm/generator",
        "gradient_norm/discriminator",
        "learning_rate/generator",
        "learning_rate/discriminator",
        "speed/images_per_second",
        "speed/seconds",
        "memory/peak_gib",
    ):
        assert all(isinstance(line[quantity], float) for line in curves), quantity
    figures = {line["images"]: line["fid64_fashion"] for line in lines if "fid64_fashion" in line}
    assert list(figures) == [80, 160]

    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["images"] == 160
    counts = summary["multiply_adds"]
    # From 32x32 to 16x16, to 8x8, to 4x4, and to the logit.
    assert counts["discriminator"] == 16 * (4 * 16**2 + 4 * 8 * 8**2 + 8 * 16 * 4**2 + 16)
    assert counts["iteration"] > 3 * 16 * (counts["generator"] + counts["discriminator"])
    assert "energy_joules" not in summary  # a CPU does not tell
    assert summary["figures"] == {"fid64_fashion": figures[160]}
    assert summary["best"] == {
        "figure": min(figures.values()),
        "images": min(figures, key=lambda images: figures[images]),
    }
    started = json.loads((run / "environment.json").read_text())
    assert torch.__version__.startswith(started["versions"]["torch"])
    assert started["command"][1:] == words
    for name in ("000000080.png", "000000160.png"):
        with Image.open(run / "samples" / name) as picture:
            assert picture.width == picture.height >= 400
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    assert list((run / "wandb").glob("offline-run-*/*.wandb"))

    assert f"fid64_fashion   {figures[160]:.2f}" in done.stdout
    assert re.search(r"cost +[\d.]+ k \+ [\d.]+ k? parameters, .* multiply-adds", done.stdout)
    assert f"run             runs/{run.name}" in done.stdout
    assert f"wandb leet runs/{run.name}/wandb" in done.stdout
    assert f"wandb sync runs/{run.name}/wandb/offline-run-" in done.stdout
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


class Peeking(nn.Module):
    """A generator that looks at values, which cannot be counted without any."""

    latent_size = 2

    def forward(self, latents: torch.Tensor, labels: None = None) -> torch.Tensor:
        return latents * float(latents.mean())


def test_a_network_that_cannot_be_counted_ends_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    assert report.multiply_adds(GAN(Peeking(), nn.Flatten(0), Vanilla(), optimizers={}), 8) == {}
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.5, "0.5"), (999.4, "999"), (999.5, "1 k"), (12_345, "12.3 k"), (3.1e9, "3.1 G")],
)
def test_quantities_in_three_digits(number: float, text: str) -> None:
    assert report.scaled(number) == text
    assert report.scaled(1e3 * 5, "J") == "5 kJ"


def test_the_same_seed_gives_the_same_run(train: Train) -> None:
    runs = [train(*SMALL, "images=64", f"seed={seed}") for seed in (5, 5, 6)]
    weights = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in runs
    ]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert not torch.equal(
        weights[0]["generator.start.weight"], weights[2]["generator.start.weight"]
    )


def test_numbers_that_a_cpu_is_slow_with_are_zeros(environment: dict[str, str]) -> None:
    """In all of torch's threads: 1e-40 of each of so many numbers that they are shared out."""
    program = (
        "import torch; from touchstone.cli.game import flush_denormals; flush_denormals();"
        "made = torch.full((2_000_000,), 1e-38) * 1e-2; print(int((made != 0).sum()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n"


def test_the_evaluation_leaves_the_training_as_it_was(train: Train) -> None:
    often = train(*SMALL, "images=64", "every.evaluation=16", "every.log=16", "every.checkpoint=16")
    seldom = train(*SMALL, "images=64")
    one, other = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (often, seldom)
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["model=dcgn"],
            "model=dcgn: there is no such part. Did you mean dcgan? There are article",
        ),
        (["modle=dcgan"], "modle: there is no such setting or group. Did you mean model?"),
        (["imagse=5"], "imagse: there is no such setting or group. Did you mean images?"),
        (["model.widht=5"], "model.widht: there is no such setting or group."),
        (["model=[dcgan"], "model=[dcgan: cannot be read"),
        (["optimizer.lr=-1"], "optimizer: Invalid learning rate: -1"),
        (["model=dcgan", "loss=wgan_gp", "model.normalization=batch"], "loss=wgan_gp"),
        (["penalty=[r1]", "model.normalization=batch"], "penalty=r1"),
        (["data=digits", "batch_size=2000"], "batch_size=2000"),
        (["images=-5"], "images=-5: it has to be a whole number, 1 or more"),
        (["images=many"], "images=many: it has to be a whole number, 1 or more"),
        (["seed=-1"], "seed=-1: it has to be a whole number, 0 or more"),
        (["every.log=0"], "every.log=0: it has to be a whole number, 1 or more"),
        (["gradient_clip=0"], "gradient_clip=0: it has to be null or a number above 0"),
        (["data.resolution=37"], "data.resolution"),
        (["data.channels=4"], "data.channels=4: it has to be 1 (grey), 2 (grey, beside its"),
        (["model.width=0"], "model.width=0: it has to be a whole number, 1 or more"),
        (["data=image_folder", "data.path=nowhere", "metrics=none"], "nowhere"),
        (["data=image_folder", "metrics=none"], "data.path"),
        (
            ["data=image_folder", "data.path=true", "data.resolution=32", "metrics=none"],
            "data.path=True: there is no such folder",
        ),
        (["protocol.generated=10"], "protocol.generated=10: 10 images are too few"),
        (["protocol.extractor=inseption"], "inseption"),
        (["protocol.weights=nowhere.pth", "protocol.extractor=inception"], "nowhere.pth"),
        (["trainer.precision=12"], "trainer.precision=12"),
        (["trainer.accelerator=tpux"], "trainer.accelerator=tpux"),
        (["micro_batch=0"], "micro_batch=0: it has to be auto, null or a whole number"),
        (["micro_batch=7"], "micro_batch=7: it has to divide the batch of a device, 64"),
        (
            ["micro_batch=auto", "penalty=[lecam]"],
            "micro_batch: lecam has to see a batch as a whole",
        ),
        (["trainer.profiler=xla"], "trainer.profiler=xla: it has to be null, simple, advanced"),
        (
            ["trainer.cuda_graphs=true", "trainer.accelerator=cpu"],
            "trainer.cuda_graphs=true: it needs a CUDA device",
        ),
        (["trainer=ddp", "trainer.devices=2", "batch_size=7"], "batch_size=7: it is shared by 2"),
        (["model.normalization=bach"], "model.normalization=bach"),
        (
            ["model=stylegan2", "model.normalization=spectral"],
            "model.normalization=spectral: the discriminator of model=stylegan2 has none, by its",
        ),
        (["subset=0"], "subset=0: it has to be null or a whole number, 1 or more"),
        (["subset=70_000", "metrics=none"], "subset=70000: the data has 60000 samples"),
        (["head=projection", "data.classes=7"], "data.classes=7: the data has 10"),
        (["head=projection", "data.classes=null"], "data.classes=null: model=dcgan with its head"),
        (["head=acgan", "labelled=10"], "labelled=10: model=dcgan with its head is told"),
        (["metrics=[recognition]"], "metrics=recognition: the discriminator's head guesses no"),
        (["loss.penalties.x=3"], "x"),
        (["experiments=nothing"], "experiments=nothing: there is no such part. There are acgan, "),
    ],
)
def test_a_wrong_word_gets_one_message(
    here: Cli, tmp_path: Path, words: list[str], message: str
) -> None:
    done = here("train", "logger=none", *words, status=1)
    assert message in done.stderr, done.stderr
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert not (tmp_path / "runs").exists()


def test_no_compiler_is_said_in_one_message(cli: Cli, tmp_path: Path) -> None:
    words = [*SMALL, "images=16", "metrics=none", "logger=none", "trainer.compile=true"]
    nowhere = {"CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled")}
    done = cli("train", *words, "trainer.accelerator=cpu", status=1, **nowhere)
    assert "touchstone: trainer.compile=true: " in done.stderr
    assert "Traceback" not in done.stderr


def test_lightning_s_profiler_writes_into_the_run(train: Train) -> None:
    run = train(*SMALL, "images=32", "trainer.profiler=simple")
    assert "run_training_batch" in (run / "profile" / "fit-simple.txt").read_text()


def test_debug_shows_the_traceback(cli: Cli) -> None:
    done = cli("train", "images=-5", "debug=true", status=1)
    assert "Traceback" in done.stderr
    assert "images=-5" in done.stderr


def test_runs_that_cannot_be_written(here: Cli, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    done = here("train", *SMALL, "images=16", "metrics=none", "logger=none", status=1)
    assert "runs_dir=runs: cannot write a run there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_loses_nothing(
    train: Train, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of files stands in for the disk: the checkpoint cannot be written."""
    import resource

    run = train(*SMALL, "images=32")
    checkpoint = run / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        train(f"resume={run}", "images=64", status=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    said = capfd.readouterr().err
    assert "last.ckpt" in said
    assert "File too large" in said
    assert "Traceback" not in said
    assert checkpoint.read_bytes() == before
    assert [path.name for path in checkpoint.parent.iterdir()] == ["last.ckpt"]
    train(f"resume={run}", "images=64")


def test_a_run_that_diverges_stops_and_keeps_the_last_good_checkpoint(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["images=3200", "every.checkpoint=32", "every.log=48", "loss=wasserstein"]
    # Without its constraint, at such a rate, the critic grows beyond all bounds.
    rates = ["optimizer.discriminator.lr=1e30", "loss.constraint=null", "loss.critic_steps=1"]
    run = train(*SMALL, *words, *rates, status=1)
    said = capfd.readouterr().err
    assert "the run diverged in iteration" in said
    assert "is not finite" in said
    assert "Traceback" not in said
    assert json.loads((run / "summary.json").read_text())["status"] == "diverged"
    last = run / "checkpoints" / "last.ckpt"
    if last.exists():
        assert str(last.relative_to(Path.cwd())) in said
        weights = torch.load(last, weights_only=True)["state_dict"]
        assert all(bool(value.isfinite().all()) for value in weights.values())
    else:
        assert "No checkpoint had been written yet" in said


PART = """
import torch
from torch import nn

from touchstone.authenticity.detectors.detector import Detector
from touchstone.data.images import Images


class Squares:
    relativistic = False

    def discriminator(self, real_logits, fake_logits):
        return (real_logits - 2).square().mean() + (fake_logits + 2).square().mean()

    def generator(self, fake_logits, real_logits=None):
        return (fake_logits - 2).square().mean()


class Generator(nn.Module):
    def __init__(self, latent_size):
        super().__init__()
        self.latent_size = latent_size
        self.layer = nn.Linear(latent_size, 64)

    def forward(self, latents, labels=None):
        return self.layer(latents).tanh().view(-1, 1, 8, 8)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 1)

    def forward(self, samples, labels=None):
        return self.layer(samples.flatten(1)).squeeze(1)


def load(split):
    pixels = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    labels = torch.arange(48) % (1 if split == "train" else 2)
    return Images(pixels.repeat(48, 1, 1, 1), labels, ("square", "round"))


class Darkness(Detector):
    def score(self, samples):
        return -samples.mean((1, 2, 3))


class Brightness:
    higher_is_better = False
    extractor = None

    def check(self, sets):
        assert len(sets.generated) == 32

    def __call__(self, sets):
        means = [images.pixels().float().mean() for images in (sets.generated, sets.reference)]
        return {"brightness": abs(means[0] - means[1])}
"""

SETTINGS = {
    "loss/squares": """
name: squares
critic_steps: 1
normalizations: [none]
adversarial: {_target_: parts.Squares}
penalties: {}
constraint: null
""",
    "model/flat": """
name: flat
latent_size: 4
width: 1
normalization: none
generator: {_target_: parts.Generator, latent_size: 4}
discriminator: {_target_: parts.Discriminator}
""",
    "data/squares": """
name: squares
resolution: 8
channels: 1
load: {_target_: parts.load, _partial_: true}
""",
    "detector/darkness": """
# @package detectors
darkness: {_target_: parts.Darkness}
""",
    "metrics/brightness": """
figures:
  brightness: {_target_: parts.Brightness}
""",
}


def test_parts_from_outside_the_package(
    cli: Cli, here: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss, a network, data, a metric and a detector: a class and a YAML each, unknown to us."""
    (tmp_path / "parts.py").write_text(PART)
    for name, text in SETTINGS.items():
        path = tmp_path / "mine" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    words = ["loss=squares", "model=flat", "data=squares", "detector=[darkness]", "logger=none"]
    words += ["metrics=[brightness,detection]", "metrics.figures.detection.false_alarms=0.1"]
    words += ["protocol.generated=32", "subset=32"]
    cli(
        "train",
        "--config-dir",
        "mine",
        *words,
        "batch_size=8",
        "images=64",
        PYTHONPATH=str(tmp_path),
    )
    (run,) = (tmp_path / "runs").glob("2*")
    assert run.name.endswith("_flat_squares_squares_s0")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["figures"]["brightness32"] > 0
    assert summary["figures"]["detection/darkness/round/auroc"] == 0.5  # of equal pictures
    monkeypatch.syspath_prepend(tmp_path)
    here("sample", f"run={run}", "n=4")
    del sys.modules["parts"]


def test_several_loggers_at_once(train: Train) -> None:
    run = train(*SMALL, "images=32", "every.log=16", "logger=[csv,tensorboard]")
    assert (run / "csv" / "metrics.csv").read_text().startswith("gradient_norm/discriminator")
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))


@pytest.mark.parametrize("word", ["--help", "model=nonsense"])
def test_nothing_heavy_is_imported_before_it_is_needed(word: str) -> None:
    """Help and composition errors come before torch, Lightning and the trackers."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "train.py", word],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "hydra" in imported
    heavy = {"torch", "numpy", "pytorch_lightning", "wandb", "torchmetrics", "torchvision"}
    assert not heavy & imported
