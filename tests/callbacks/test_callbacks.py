"""What happens around training, each callback in a real trainer with a game of two weights."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule, Trainer
from torch import Tensor, nn

from touchstone.callbacks import (
    Checkpointing,
    Curves,
    Divergence,
    Evaluation,
    Progress,
    Pruning,
    Samples,
)
from touchstone.data.images import Images, quantize
from touchstone.errors import DivergedError, InterruptionError, UsageError
from touchstone.gan import GAN
from touchstone.losses import Wasserstein
from touchstone.metrics.protocol import Protocol
from touchstone.metrics.sets import Sets
from touchstone.sampling import samples
from touchstone.tracking.checkpoints import Checkpoints
from touchstone.tracking.loggers import Record
from touchstone.tracking.reading import read
from touchstone.tracking.run import Run
from touchstone.trained import weights_hash

BATCH = 4


class Pixel(nn.Module):
    """Makes images of one pixel, `tanh(w z)`."""

    latent_size = 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return (self.weight * latents).tanh().view(-1, 1, 1, 1)


class Judge(nn.Module):
    """Gives the logit `w x`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.weight * samples.flatten()


class Spoilt(Wasserstein):
    """A loss that is not a number from the `at`-th call of the generator's on."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        self.calls += 1
        loss = super().generator(fake_logits)
        return loss * float("nan") if self.calls >= self.at else loss


class Rows:
    """A loader: any iterable with a length."""

    def __init__(self, batch: tuple[Tensor, None], iterations: int) -> None:
        self.batches = [batch] * iterations

    def __iter__(self) -> Iterator[list[tuple[Tensor, None]]]:
        return iter([batch] for batch in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Data(LightningDataModule):
    """The same four pixels at each iteration."""

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.images = Images(torch.arange(BATCH).byte().view(BATCH, 1, 1, 1), None, ())

    def train_dataloader(self) -> Rows:
        return Rows((self.images.batch(torch.arange(BATCH))[0], None), self.iterations)


class Scripted:
    """A metric whose figures are given."""

    higher_is_better = False
    extractor = None

    def __init__(self, figures: list[float]) -> None:
        self._figures: Iterator[float] = iter(figures)
        self.seen: list[Sets] = []

    def check(self, sets: Sets) -> None:
        if len(sets.reference) > BATCH:
            raise UsageError("too many")

    def __call__(self, sets: Sets) -> dict[str, float]:
        self.seen.append(sets)
        return {"scripted": next(self._figures)}


def evaluating(metric: Scripted, every: int, generated: int = 7) -> Evaluation:
    protocol = Protocol(generated, "train", 0)
    return Evaluation({"scripted": metric}, protocol, every, lambda split: Images.__new__(Images))


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., tuple[Run, GAN]]:
    """Plays some iterations with callbacks, and a run's own record as the logger."""

    def run(iterations: int, *callbacks: Callback, loss: Any = None) -> tuple[Run, GAN]:
        rates: dict[str, Any] = dict.fromkeys(
            ("generator", "discriminator"), lambda given: torch.optim.SGD(given, lr=0.01)
        )
        gan = GAN(
            Pixel(), Judge(), loss or Wasserstein(), optimizers=rates, budget=iterations * BATCH
        )
        made = Run.create(tmp_path, "played", "", {})
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=[Record(made)],
            callbacks=list(callbacks),
            plugins=[Checkpoints()],
            default_root_dir=made.path,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
        )
        trainer.fit(gan, datamodule=Data(iterations))
        return made, gan

    return run


def test_divergence_names_the_iteration_and_the_quantity(play: Callable[..., Any]) -> None:
    with pytest.raises(DivergedError, match=r"iteration 3 \(12 images\): loss/generator is not"):
        play(10, Divergence(every=20), loss=Spoilt(at=3))


def test_divergence_is_seen_at_the_next_look_whenever_it_began(play: Callable[..., Any]) -> None:
    with pytest.raises(DivergedError, match=r"iteration 8 \(32 images\): loss/generator is not"):
        play(10, Divergence(every=12), loss=Spoilt(at=8))


def test_what_has_diverged_is_not_saved(play: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        play(10, Divergence(every=1000), Checkpointing(every=8), loss=Spoilt(at=6))
    (last,) = tmp_path.glob("*/checkpoints/*")
    assert last.name == "last.ckpt"
    assert read(last)["images"] == 16


def test_a_weight_that_is_not_finite_is_named(play: Callable[..., Any]) -> None:
    class Spoil(Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:
            if module.images == 8:
                # A weight that no loss shows: the network stops using it.
                module.discriminator.spare = nn.Parameter(torch.tensor(float("inf")))

    with pytest.raises(DivergedError, match="the discriminator's spare is not finite"):
        play(5, Spoil(), Divergence(every=4))


def test_the_best_checkpoint_is_that_of_the_lowest_figure(play: Callable[..., Any]) -> None:
    metric = Scripted([3.0, 1.0, 2.0])
    checkpointing = Checkpointing(every=1000)
    run, _ = play(6, evaluating(metric, every=8), checkpointing)
    assert checkpointing.best == (1.0, 16)
    assert read(run.checkpoint("best"))["images"] == 16
    assert read(run.checkpoint("last"))["images"] == 24
    figures = [line for line in run.metrics() if "scripted7" in line]
    assert figures == [
        {"images": 8, "scripted7": 3.0},
        {"images": 16, "scripted7": 1.0},
        {"images": 24, "scripted7": 2.0},
    ]


def test_a_figure_that_is_no_number_is_never_the_best(play: Callable[..., Any]) -> None:
    checkpointing = Checkpointing(every=1000)
    figures = Scripted([float("nan"), 5.0, float("nan")])
    run, _ = play(6, evaluating(figures, every=8), checkpointing)
    assert checkpointing.best == (5.0, 16)
    assert read(run.checkpoint("best"))["images"] == 16


def test_the_best_is_written_before_the_last_that_tells_of_it(play: Callable[..., Any]) -> None:
    """A kill after either leaves a best that the last agrees with, or will come to again."""
    written: list[str] = []

    class Watch(Callback):
        def on_fit_start(self, trainer: Any, module: Any) -> None:
            save = trainer.save_checkpoint

            def watched(path: Path, **options: Any) -> None:
                written.append(path.name)
                save(path, **options)

            trainer.save_checkpoint = watched

    play(2, evaluating(Scripted([1.0]), every=8), Checkpointing(every=8), Watch())
    assert written == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize(
    ("others", "own", "images"),
    [
        ([1.0, 2.0, 4.0], 2.5, 8),  # worse than their median of 2
        ([1.0, 2.0, 4.0], 1.5, 24),
        ([1.0, 2.0], 9.0, 24),  # too few to say
    ],
)
def test_a_run_worse_than_the_median_of_the_others_ends(
    play: Callable[..., Any], tmp_path: Path, others: list[float], own: float, images: int
) -> None:
    jobs = tmp_path / "sweep" / "jobs"
    jobs.mkdir(parents=True)
    for number, figure in enumerate(others):
        other = Run.create(tmp_path / "others", "run", "", {})
        other.append(8, {"scripted7": figure})
        other.append(16, {"scripted7": 0.0})
        (jobs / f"{number}.run").write_text(str(other.path))
    pruning = Pruning(tmp_path / "sweep", others=3)
    run, gan = play(6, evaluating(Scripted([own, -1.0, -1.0]), every=8), pruning)
    assert gan.images == images
    assert pruning.pruned is (images == 8)
    if pruning.pruned:
        assert read(run.checkpoint())["images"] == 8


def test_evaluations_are_left_out_of_the_seconds(play: Callable[..., Any]) -> None:
    """An evaluation between two lines of the log; the clock stands still while it runs."""
    curves = Curves(every=16)
    during: list[tuple[float, float | None]] = []

    class Slow(Scripted):
        def __call__(self, sets: Sets) -> dict[str, float]:
            during.append((curves.seconds, curves._started))
            return super().__call__(sets)

    play(4, curves, evaluating(Slow([1.0, 1.0]), every=8))
    assert [started for _, started in during] == [None, None]
    assert 0 < during[0][0] < during[1][0] <= curves.seconds


def test_a_metric_gets_the_averages_samples_and_the_training_split(
    play: Callable[..., Any],
) -> None:
    metric = Scripted([0.0])
    _, gan = play(1, evaluating(metric, every=4, generated=600))
    [sets] = metric.seen
    made = torch.cat(list(samples(gan.average.network, 600, seed=0)))
    assert torch.equal(sets.generated.pixels(), quantize(made))
    assert sets.reference.pixels().flatten().tolist() == [0, 1, 2, 3]
    assert gan.generator.training


def test_figures_are_recorded_with_their_protocol_and_the_hash_of_the_weights(
    play: Callable[..., Any],
) -> None:
    run, gan = play(2, evaluating(Scripted([2.0, 3.0]), every=4))
    first, last = run.figures()
    assert (first.name, first.value, first.images) == ("scripted7", 2.0, 4)
    assert (last.value, last.images) == (3.0, 8)
    assert last.generator == weights_hash(gan.average.network) != first.generator
    assert {"generated": 7, "reference": "train", "seed": 0}.items() <= last.protocol.items()
    assert [line["scripted7"] for line in run.metrics()] == [2.0, 3.0]


def test_a_signal_at_any_moment_is_followed_by_a_checkpoint(
    play: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = GAN.passed
    asked: list[int] = []

    def interrupted(module: GAN, every: int) -> bool:
        asked.append(module.images)
        # By the step whether its stretch is over, and by the callback whether a checkpoint is due.
        if module.images == 8 and asked.count(8) == 2:
            signal.raise_signal(signal.SIGTERM)
        return passed(module, every)

    monkeypatch.setattr(GAN, "passed", interrupted)
    with pytest.raises(InterruptionError):
        play(6, Checkpointing(every=1000))
    [checkpoint] = tmp_path.glob("*/checkpoints/*.ckpt")
    assert read(checkpoint)["images"] == 12


def test_the_highest_figure_is_the_best_where_higher_is_better(play: Callable[..., Any]) -> None:
    metric = Scripted([1.0, 3.0, 2.0])
    metric.higher_is_better = True
    checkpointing = Checkpointing(every=1000)
    play(6, evaluating(metric, every=8), checkpointing)
    assert checkpointing.best == (3.0, 16)


def test_a_picture_of_a_metric_is_shown(play: Callable[..., Any]) -> None:
    class Pictured(Scripted):
        def __call__(self, sets: Sets) -> dict[str, Any]:
            return super().__call__(sets) | {"scripted/pair": PIL.Image.new("L", (3, 2))}

    run, _ = play(1, evaluating(Pictured([1.0]), every=4))
    with PIL.Image.open(run.path / "scripted7" / "pair" / "000000004.png") as picture:
        assert picture.size == (3, 2)


def test_curves_show_the_gradients_and_rates_of_the_iteration(play: Callable[..., Any]) -> None:
    seen: list[dict[str, Tensor]] = []

    class Look(Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            for optimizer in trainer.optimizers:
                optimizer.register_step_pre_hook(look)

    def look(optimizer: Any, *_: Any) -> None:
        (weight,) = optimizer.param_groups[0]["params"]
        seen.append({"gradient": weight.grad.abs().clone()})

    curves = Curves(every=8)
    run, _ = play(4, curves, Look())
    lines = list(run.metrics())
    assert [line["images"] for line in lines] == [8, 16]
    # Four iterations of two steps each, the discriminator's first.
    for line, steps in zip(lines, (seen[2:4], seen[6:8]), strict=True):
        assert line["gradient_norm/discriminator"] == pytest.approx(float(steps[0]["gradient"]))
        assert line["gradient_norm/generator"] == pytest.approx(float(steps[1]["gradient"]))
        assert line["learning_rate/generator"] == 0.01
        assert line["speed/images_per_second"] > 0
    assert curves.state_dict()["seconds"] >= lines[-1]["speed/seconds"] > 0
    # Real pixels 0 to 3 of 255 are close to -1, and the judge's weight is close to 2.
    assert lines[0]["logits/real"] == pytest.approx(-2, abs=0.1)


def test_samples_are_drawn_from_the_same_latents(play: Callable[..., Any]) -> None:
    run, _ = play(3, Samples(every=4, columns=3))
    names = sorted(path.name for path in (run.path / "samples").iterdir())
    assert names == ["000000004.png", "000000008.png", "000000012.png"]


def test_progress_ends_at_the_budget(
    play: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    class Detailed(Scripted):
        def __call__(self, sets: Sets) -> dict[str, float]:
            return super().__call__(sets) | {"scripted/part": 1.5}

    play(4, evaluating(Detailed([2.5]), every=16), Progress(every=8))
    said = capfd.readouterr().err
    assert "100%" in said
    assert "16.0/16.0" in said
    assert "scripted7=2.50" in said
    assert "part" not in said  # hundreds of figures would be no line
