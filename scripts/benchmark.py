"""Measures what training under the trainer costs, against a plain PyTorch loop of the same work.

    python scripts/benchmark.py speed memory start --width 64

speed   iterations a second of both, on the CPU: short stretches of each take turns in one process,
        so that whatever else the machine does weighs on both.
memory  the peak of each, in a process of its own.
start   the seconds that `python train.py` takes to show its help, and to refuse a wrong word.

The trainer is the one that `python train.py` makes, with its callbacks, those that sample left out,
and the run's own record; the plain loop draws, computes and steps alike, and does nothing else.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import chain, islice
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn import functional

from touchstone.cli.front import plain, register_resolvers
from touchstone.data.batches import Batch, Batches
from touchstone.data.images import Images

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 10  # iterations of each before the first that counts
STRETCH = 1.0  # seconds that one stretch takes, about
ALONE_ITERATIONS = 20


class Loop:
    """What one would write by hand: one process, one device, no run.

    It shares the networks with the trainer, and computes the rest itself: the batches from uint8
    pixels, the losses, the penalty, the average.
    """

    def __init__(self, settings: DictConfig, images: Images) -> None:
        self.batch_size: int = settings.batch_size
        self.critic_steps: int = settings.loss.critic_steps
        self.latent_size: int = settings.model.latent_size
        self.half_life: float = settings.average_half_life
        self.penalized = "gradient_penalty" in settings.loss.penalties
        self.discriminator_loss, self.generator_loss = LOSSES[settings.loss.name]

        self.generator: nn.Module = instantiate(settings.model.generator)
        self.discriminator: nn.Module = instantiate(settings.model.discriminator)
        self.generator.to(memory_format=torch.channels_last)
        self.discriminator.to(memory_format=torch.channels_last)
        # Batch statistics must be those of one kind of sample; without them one pass does for both.
        self.apart = any(isinstance(m, nn.BatchNorm2d) for m in self.discriminator.modules())
        self.optimizers = [
            torch.optim.Adam(network.parameters(), adam.lr, tuple(adam.betas), fused=True)
            for network, adam in (
                (self.generator, settings.optimizer.generator),
                (self.discriminator, settings.optimizer.discriminator),
            )
        ]
        average = deepcopy(self.generator).requires_grad_(False)
        self.averaged, self.weights = (
            [t for t in chain(network.parameters(), network.buffers()) if t.is_floating_point()]
            for network in (average, self.generator)
        )
        self.pixels = images.pixels
        self.order: Iterator[Tensor] = iter(())
        self.images = 0

    def run(self, iterations: int) -> None:
        """Trains for so many iterations."""
        for _ in range(iterations):
            self.iteration()

    def iteration(self) -> None:
        """Updates the discriminator `critic_steps` times, the generator and the average once."""
        before = self.images
        for step in range(self.critic_steps):
            real = self.batch()
            with torch.set_grad_enabled(step == self.critic_steps - 1):
                fake = self.generator(torch.randn(self.batch_size, self.latent_size))
            self.update_discriminator(real, fake.detach())
            self.images += self.batch_size
        self.update_generator(fake)
        half_life = min(self.half_life, 0.05 * before)
        decay = 0.5 ** ((self.images - before) / half_life) if half_life else 0.0
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, self.weights, 1 - decay)

    def batch(self) -> Tensor:
        """Takes the next real samples; what does not fill a batch at an epoch's end is left."""
        indices = next(self.order, None)
        if indices is None or len(indices) < self.batch_size:
            self.order = iter(torch.split(torch.randperm(len(self.pixels)), self.batch_size))
            indices = next(self.order)
        return self.pixels[indices].float().div_(127.5).sub_(1)

    def update_discriminator(self, real: Tensor, fake: Tensor) -> None:
        """Takes one step of the discriminator."""
        if self.apart:
            real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
        else:
            real_logits, fake_logits = self.discriminator(torch.cat([real, fake])).chunk(2)
        loss = self.discriminator_loss(real_logits, fake_logits)
        if self.penalized:
            epsilon = torch.rand(len(real), 1, 1, 1)
            between = torch.lerp(fake, real, epsilon).requires_grad_()
            logits = self.discriminator(between)
            (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
            norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
            loss = loss + 10 * (norms - 1).square().mean()
        self.step(self.optimizers[1], loss)

    def update_generator(self, fake: Tensor) -> None:
        """Takes one step of the generator, on the samples that the discriminator saw last."""
        self.discriminator.requires_grad_(False)
        self.step(self.optimizers[0], self.generator_loss(self.discriminator(fake)))
        self.discriminator.requires_grad_(True)

    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Takes one step of an optimizer."""
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


# The discriminator's and the generator's, by the names of conf/loss/.
LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "vanilla": (
        lambda real, fake: functional.softplus(-real).mean() + functional.softplus(fake).mean(),
        lambda fake: functional.softplus(-fake).mean(),
    ),
    "wgan_gp": (lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
    "hinge": (
        lambda real, fake: functional.relu(1 - real).mean() + functional.relu(1 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
}


class Turns:
    """The trainer's batches, between which the loop has its turns.

    While the trainer waits for its next batch, the loop trains. The trainer's stretch lasts from
    the end of the loop's to the request that begins the next: all that it does is counted. Who
    goes first changes from round to round. The last batch, at which a run logs and saves, comes
    after all the stretches.
    """

    def __init__(
        self,
        batches: Batches,
        loop: Loop,
        rounds: int,
        iterations: int,
        clock: Callable[[], float],
    ) -> None:
        self.batches, self.loop, self.clock = iter(batches), loop, clock
        self.rounds, self.iterations = rounds, iterations
        self.seconds: dict[str, list[float]] = {"trainer": [], "loop": []}

    def __len__(self) -> int:
        return WARM_UP + self.rounds * self.iterations + 1

    def __iter__(self) -> Iterator[Batch]:
        yield from islice(self.batches, WARM_UP)
        self.loop.run(WARM_UP)
        for number in range(self.rounds):
            for turn in ("trainer", "loop") if number % 2 else ("loop", "trainer"):
                started = self.clock()
                if turn == "loop":
                    self.loop.run(self.iterations)
                else:
                    yield from islice(self.batches, self.iterations)
                self.seconds[turn].append(self.clock() - started)
        yield from self.batches


def composed(arguments: argparse.Namespace) -> DictConfig:
    """The settings of `python train.py`, without what makes samples."""
    register_resolvers()
    overrides = [
        "model=dcgan",
        f"model.width={arguments.width}",
        f"loss={arguments.loss}",
        f"batch_size={arguments.batch}",
        "metrics=none",
        "logger=none",
        "trainer.accelerator=cpu",
        "~callbacks.samples",
        "~callbacks.evaluation",
        "every.checkpoint=1_000_000_000",
    ]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", overrides)


def train(settings: DictConfig, images: Images, loader: Callable[[Batches], object]) -> None:
    """Trains under the trainer as `python train.py` makes it, in a folder that is then removed.

    Args:
        settings: whose `images` are the budget.
        images: the training split.
        loader: makes of the batches what the trainer iterates over.
    """
    from pytorch_lightning.loggers import Logger

    from touchstone.cli.train import build, make_trainer, quieten
    from touchstone.data.module import Data
    from touchstone.tracking.loggers import Record
    from touchstone.tracking.run import Run

    class Lent(Data):
        def train_dataloader(self) -> object:  # type: ignore[override]
            return loader(super().train_dataloader())

    quieten()
    gan = build(settings)
    data = Lent(
        images,
        batch_size=settings.batch_size,
        critic_steps=settings.loss.critic_steps,
        seed=settings.seed,
        budget=settings.images,
    )
    with tempfile.TemporaryDirectory() as folder:
        networks = {part: plain(settings.model[part]) for part in ("generator", "discriminator")}
        run = Run.create(Path(folder), "benchmark", OmegaConf.to_yaml(settings), networks)
        loggers: list[Logger] = [Record(run)]
        callbacks = list(instantiate(settings.callbacks).values())
        make_trainer(settings, run, loggers, callbacks).fit(gan, datamodule=data)


def speed(arguments: argparse.Namespace) -> list[str]:
    """Lets both take turns, and compares each stretch with the one beside it."""
    settings = composed(arguments)
    images = instantiate(settings.data.load)(split="train")
    loop = Loop(settings, images)
    iterations = max(1, round(STRETCH / fastest(loop)))

    made: list[Turns] = []

    def loader(batches: Batches) -> Turns:
        made.append(Turns(batches, loop, arguments.rounds, iterations, CLOCKS[arguments.clock]))
        return made[0]

    span = settings.batch_size * settings.loss.critic_steps
    settings.images = (WARM_UP + arguments.rounds * iterations + 1) * span
    train(settings, images, loader)
    pairs = list(zip(made[0].seconds["trainer"], made[0].seconds["loop"], strict=True))
    ratios = sorted(loop / trainer for trainer, loop in pairs)
    added = statistics.median(1000 * (trainer - loop) / iterations for trainer, loop in pairs)
    quartiles = statistics.quantiles(ratios, n=4)
    rates = {
        name: iterations / statistics.median(seconds) for name, seconds in made[0].seconds.items()
    }
    return [
        f"{arguments.rounds} rounds of {iterations} iterations each, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {arguments.clock} clock",
        *(f"{name:10}{rate:8.2f} iterations/s" for name, rate in rates.items()),
        f"ratio     {statistics.median(ratios):8.3f} median of the rounds' "
        f"(quartiles {quartiles[0]:.3f} and {quartiles[2]:.3f}, "
        f"all from {ratios[0]:.3f} to {ratios[-1]:.3f})",
        f"added     {added:8.2f} ms an iteration, median of the rounds'",
    ]


CLOCKS = {"wall": time.perf_counter, "process": time.process_time}


def fastest(loop: Loop) -> float:
    """The seconds of the fastest of some iterations: what else the machine does only slows them."""
    seconds = []
    for _ in range(WARM_UP):
        started = time.perf_counter()
        loop.iteration()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def memory(arguments: argparse.Namespace) -> list[str]:
    """Trains with each in a process of its own."""
    lines = []
    for name, meaning in ALONE.items():
        command = [sys.executable, __file__, "--only", name]
        for option in ("width", "batch", "loss"):
            command += [f"--{option}", str(getattr(arguments, option))]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        lines.append(f"{output.strip():>6} MiB resident at the peak: {meaning}")
    return lines


ALONE = {
    "loop": "the loop",
    "loaded": "the loop in a process that has imported what the trainer needs",
    "trainer": "the trainer, with a checkpoint at its end",
}


def alone(arguments: argparse.Namespace) -> float:
    """Trains with the trainer or the loop alone; gives the process's peak memory in MiB."""
    settings = composed(arguments)
    images = instantiate(settings.data.load)(split="train")
    if arguments.only == "trainer":
        settings.images = ALONE_ITERATIONS * settings.batch_size * settings.loss.critic_steps
        train(settings, images, lambda batches: batches)
    else:
        if arguments.only == "loaded":
            import touchstone.callbacks
            import touchstone.gan  # noqa: F401
        Loop(settings, images).run(ALONE_ITERATIONS)
    # Of this program alone: getrusage's figure begins with that of the process that started it.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None, "only Linux says how much memory a process had at its peak"
    return int(peak[1]) / 1024


def start(arguments: argparse.Namespace) -> list[str]:
    """Times whole processes: the median of five."""
    lines = []
    for words in (["--help"], ["model=nonsense"]):
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run([sys.executable, ROOT / "train.py", *words], capture_output=True)
            seconds.append(time.perf_counter() - started)
        command = " ".join(["python train.py", *words])
        lines.append(
            f"{command:32}{statistics.median(seconds):5.2f} s "
            f"(from {min(seconds):.2f} to {max(seconds):.2f})"
        )
    return lines


PARTS = {"speed": speed, "memory": memory, "start": start}


def main() -> None:
    """Measures what is asked for, and prints it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--width", type=int, default=64, help="of dcgan")
    parser.add_argument("--batch", type=int, default=64, help="samples in a batch")
    parser.add_argument("--loss", choices=LOSSES, default="vanilla")
    parser.add_argument("--rounds", type=int, default=24, help="stretches of each, for the speed")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="process: this process's own time, for a busy machine, with OMP_NUM_THREADS=1",
    )
    parser.add_argument(
        "--only", choices=ALONE, help="train with one alone and give its memory, as memory does"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if arguments.only:
        print(f"{alone(arguments):.0f}")
        return
    print(f"dcgan of width {arguments.width}, {arguments.loss}, batch {arguments.batch}, CPU")
    for part in arguments.parts or PARTS:
        print(f"\n{part}", *PARTS[part](arguments), sep="\n", flush=True)


if __name__ == "__main__":
    main()
