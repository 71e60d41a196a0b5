"""Measures what training under the trainer costs, against a PyTorch loop of the same work.

    python scripts/benchmark.py table --device cpu --to table.md
    python scripts/benchmark.py overhead
    python scripts/benchmark.py start

table     time and memory of both for each model, loss and mode, a row as soon as it is measured.
          Time: short stretches of each take turns in one process, so that whatever else the machine
          does weighs on both; the median of the rounds' ratios. Memory: the peak of each in a
          process of its own, in which both have the same libraries.
overhead  what the trainer adds to an iteration, in this process's own time on one thread: both
          train networks of one weight, which cost nothing.
start     the seconds that `python train.py` takes to show its help, and to refuse a wrong word.

The trainer is the one that `python train.py` makes, with its callbacks, those that sample left out,
and the run's own record. The loop is the best that one would write by hand for one loss: it draws,
computes and steps alike, and does nothing else. The images are noise.

On a GPU a row also has the images a second; the share of the device's peak, from the counted
multiply-adds; and how much of the time nothing runs on the device: as the profiler saw it, which
itself slows the process down, and as 1 - (the device's busy time that it saw) / (the time of an
iteration without it). There the memory is all measured first, many processes at a time, which find
out what the compiler has to make.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass
from itertools import chain, islice, product
from pathlib import Path
from typing import Any

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
MODELS = ("dcgan-32", "dcgan-64", "resnet-32")
MODES = {
    "cpu": ("plain", "compiled"),
    "cuda": ("plain", "compiled", "graphs", "compiled+graphs"),
}
ROUNDS = {"cpu": 12, "cuda": 10}
STRETCH = {"cpu": 1.0, "cuda": 0.3}  # seconds that one stretch takes, about
WARM_UP = {"cpu": 3, "cuda": 10}  # iterations of each before the first that counts
IMAGES = {"cpu": 2_000, "cuda": 50_000}  # for the time; an epoch's end costs too
LIMIT = {"cpu": 3_600, "cuda": 300}  # seconds after which a process is given up
ABREAST = {"cpu": 1, "cuda": 8}  # processes that measure memory at a time

# The most floating-point operations a second, by the precision: NVIDIA's data sheets of the H100
# (SXM) and the H200 alike, which give twice as many for the tensor cores, with sparsity.
PEAK_NAMES = re.compile(r"NVIDIA (H100|H200)(?!.*(PCIe|NVL))")
PEAKS = {"float32": 67e12, "tf32": 495e12, "bf16-mixed": 989e12}


@dataclass(frozen=True)
class Cell:
    """What is compared: the settings of both, and how long.

    Attributes:
        model: its name and its resolution.
        mode: of `MODES`.
        rounds: stretches of each.
        stretch: seconds of one, about.
    """

    model: str
    loss: str
    mode: str
    device: str
    batch: int
    width: int
    precision: str
    rounds: int
    stretch: float

    def settings(self) -> DictConfig:
        """The settings of `python train.py`, without what makes samples."""
        model, resolution = self.model.rsplit("-", 1)
        register_resolvers()
        overrides = [
            f"model={model}",
            f"model.width={self.width}",
            f"loss={self.loss}",
            "data=cifar10",
            f"data.resolution={resolution}",
            f"batch_size={self.batch}",
            "metrics=none",
            "logger=none",
            f"trainer.accelerator={self.device}",
            f"trainer.precision={self.precision}",
            f"trainer.compile={'compiled' in self.mode}",
            f"trainer.cuda_graphs={'graphs' in self.mode}",
            "~callbacks.samples",
            "~callbacks.evaluation",
            "every.checkpoint=1_000_000_000",
        ]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("train", overrides)

    def images(self, number: int) -> Images:
        """Noise of the settings' shape, on the device, with no labels."""
        side = int(self.model.rsplit("-", 1)[1])
        shape = (number, 3, side, side)
        pixels = torch.randint(256, shape, dtype=torch.uint8, device=self.device)
        return Images(pixels, None, ())

    def clock(self) -> float:
        """The time in seconds at which the device has done all that it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


class Loop:
    """What one would write by hand: one process, one device, no run.

    It shares the networks with the trainer, and computes the rest itself: the batches from uint8
    pixels, the losses, the penalty, the average, the recording of an iteration as a CUDA graph.
    """

    def __init__(self, settings: DictConfig, images: Images, device: str) -> None:
        self.device = torch.device(device)
        self.half = settings.trainer.precision == "bf16-mixed"
        self.batch_size: int = settings.batch_size
        self.critic_steps: int = settings.loss.critic_steps
        self.latent_size: int = settings.model.latent_size
        self.half_life: float = settings.average_half_life
        self.penalized = "gradient_penalty" in settings.loss.penalties
        self.discriminator_loss, self.generator_loss = LOSSES[settings.loss.name]

        self.generator = self.network(settings, "generator")
        self.discriminator = self.network(settings, "discriminator")
        self.judged = list(self.discriminator.parameters())
        # Batch statistics must be those of one kind of sample; without them one pass does for both.
        self.apart = any(isinstance(m, nn.BatchNorm2d) for m in self.discriminator.modules())
        graphs: bool = settings.trainer.cuda_graphs
        self.optimizers = [
            torch.optim.Adam(
                network.parameters(), adam.lr, tuple(adam.betas), fused=True, capturable=graphs
            )
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
        self.pixels = images.pixels.to(self.device)
        span = self.critic_steps * self.batch_size
        self.taken = self.pixels.new_zeros(span, *self.pixels.shape[1:])
        self.order: Iterator[Tensor] = iter(())
        self.images = 0
        if settings.trainer.compile:
            for network in (self.generator, self.discriminator):
                network.compile(dynamic=False)
        self.updates = self.recorded() if graphs else self.played

    def network(self, settings: DictConfig, part: str) -> nn.Module:
        """Makes one of the two networks."""
        network: nn.Module = instantiate(settings.model[part])
        return network.to(self.device).to(memory_format=torch.channels_last)

    def run(self, iterations: int) -> None:
        """Trains for so many iterations, within whatever the trainer has set around it."""
        with torch.autocast(self.device.type, enabled=False):
            for _ in range(iterations):
                self.iteration()

    def iteration(self) -> None:
        """Updates the discriminator `critic_steps` times, the generator and the average once."""
        self.take()
        self.updates()
        half_life = min(self.half_life, 0.05 * self.images)
        decay = 0.5 ** (len(self.taken) / half_life) if half_life else 0.0
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, self.weights, 1 - decay)
        self.images += len(self.taken)

    def take(self) -> None:
        """Takes the next pixels; what does not fill an iteration at an epoch's end is left."""
        indices = next(self.order, None)
        if indices is None or len(indices) < len(self.taken):
            order = torch.randperm(len(self.pixels), device=self.device)
            self.order = iter(torch.split(order, len(self.taken)))
            indices = next(self.order)
        torch.index_select(self.pixels, 0, indices, out=self.taken)

    def played(self) -> None:
        """Updates both networks on the pixels that were taken."""
        samples = self.taken.to(torch.float32, memory_format=torch.channels_last)
        for step, real in enumerate(samples.div_(127.5).sub_(1).chunk(self.critic_steps)):
            latents = torch.randn(self.batch_size, self.latent_size, device=self.device)
            with torch.set_grad_enabled(step == self.critic_steps - 1), self.precision():
                fake = self.generator(latents)
            self.update_discriminator(real, fake.detach())
        self.update_generator(fake)

    def recorded(self) -> Callable[[], None]:
        """The same, as one CUDA graph."""
        stream, present = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(present)
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.played()
        present.wait_stream(stream)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.played()
        return graph.replay

    def update_discriminator(self, real: Tensor, fake: Tensor) -> None:
        """Takes one step of the discriminator."""
        # First what is differentiated twice, where no compiled network serves, but `forward` as it
        # was written: it moves the vectors of a spectral normalization, which a compiled pass
        # before it would have kept for its backward pass, and not a copy of them.
        penalty = self.penalty(real, fake) if self.penalized else 0.0
        with self.precision():
            if self.apart:
                real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
            else:
                both = self.discriminator(torch.cat([real, fake]))
                real_logits, fake_logits = both.chunk(2)
        loss = self.discriminator_loss(real_logits.float(), fake_logits.float()) + penalty
        self.step(self.optimizers[1], loss)

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """The gradient penalty with its weight, in full precision."""
        epsilon = torch.rand(len(real), 1, 1, 1, device=self.device)
        between = torch.lerp(fake.float(), real, epsilon).requires_grad_()
        logits = self.discriminator.forward(between)
        (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
        norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return 10 * (norms - 1).square().mean()

    def update_generator(self, fake: Tensor) -> None:
        """Takes one step of the generator, on the samples that the discriminator saw last."""
        for weight in self.judged:
            weight.requires_grad_(False)
        with self.precision():
            logits = self.discriminator(fake)
        self.step(self.optimizers[0], self.generator_loss(logits.float()))
        for weight in self.judged:
            weight.requires_grad_(True)

    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Takes one step of an optimizer."""
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if self.half:  # the trainer's own autocast, around all turns, would keep the old weights
            torch.clear_autocast_cache()

    def precision(self) -> torch.autocast:
        """In which the networks run, but for what is differentiated twice."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)


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
    goes first changes from round to round. On a GPU each then has a turn under the profiler. The
    last batch, at which a run logs and saves, comes after all of that.

    Args:
        batches: the trainer's.
        loop: warmed up.
        cell: what is compared.
        iterations: of a stretch.
        clock: gives seconds.
        report: is given what was measured, as soon as it is.
    """

    def __init__(
        self,
        batches: Batches,
        loop: Loop,
        cell: Cell,
        iterations: int,
        clock: Callable[[], float],
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self.batches, self.loop, self.cell = iter(batches), loop, cell
        self.iterations, self.clock, self.report = iterations, clock, report
        self.length = len(batches)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Batch]:
        yield from islice(self.batches, WARM_UP[self.cell.device])
        self.loop.run(2)  # compiled again, where the trainer's precision is set around it
        seconds: dict[str, list[float]] = {"trainer": [], "loop": []}
        for number in range(self.cell.rounds):
            for turn in ("trainer", "loop") if number % 2 else ("loop", "trainer"):
                started = self.clock()
                yield from self.turn(turn, self.iterations)
                seconds[turn].append((self.clock() - started) / self.iterations)
        self.report({"iterations": self.iterations, **seconds})
        if traced := traced_iterations(self.cell, self.loop.critic_steps):
            for turn in ("loop", "trainer"):
                self.clock()
                with torch.profiler.profile(
                    activities=[torch.profiler.ProfilerActivity.CUDA]
                ) as profiler:
                    yield from self.turn(turn, traced)
                    self.clock()
                busy, idle = of_device(profiler)
                self.report({f"busy {turn}": busy / traced, f"idle {turn}": idle})
        yield from self.batches

    def turn(self, name: str, iterations: int) -> Iterator[Batch]:
        """Lets one of the two train; only the trainer needs batches for it."""
        if name == "loop":
            self.loop.run(iterations)
        else:
            yield from islice(self.batches, iterations)


def traced_iterations(cell: Cell, critic_steps: int) -> int:
    """How many iterations the profiler sees."""
    return max(4, 20 // critic_steps) if cell.device == "cuda" else 0


def of_device(profiler: torch.profiler.profile) -> tuple[float, float]:
    """The seconds in which anything ran on the device, and the share in which nothing did.

    The share is that of the last three quarters: at first the device waits for the host, which the
    profiler's start keeps busy. Both are nan where the profiler saw nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(errors="replace"))["traceEvents"]
    spans = sorted(
        (float(event["ts"]), float(event["ts"]) + float(event["dur"]))
        for event in events
        if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")
    )
    if not spans:
        return float("nan"), float("nan")
    late = spans[len(spans) // 4 :]
    length = max(end for _, end in late) - late[0][0]
    return covered(spans) / 1e6, 1 - covered(late) / length


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of intervals, which are sorted by their starts."""
    total, reached = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def train(settings: DictConfig, images: Images, wrap: Callable[[Batches], Any]) -> None:
    """Trains under the trainer as `python train.py` makes it, in a folder that is then removed.

    Args:
        settings: whose `images` are the budget.
        images: the training split.
        wrap: makes of the batches those that are trained on.
    """
    from pytorch_lightning.loggers import Logger

    from touchstone.cli.game import build, memory_format
    from touchstone.cli.train import make_trainer, quieten
    from touchstone.data.module import Data
    from touchstone.tracking.loggers import Record
    from touchstone.tracking.run import Run

    class Lent(Data):
        def batches(self) -> Any:
            return wrap(super().batches())

    quieten()
    gan = build(settings)
    data = Lent(
        images,
        batch_size=settings.batch_size,
        critic_steps=settings.loss.critic_steps,
        seed=settings.seed,
        budget=settings.images,
        memory_format=memory_format(settings),
    )
    with tempfile.TemporaryDirectory() as folder:
        networks = {part: plain(settings.model[part]) for part in ("generator", "discriminator")}
        run = Run.create(Path(folder), "benchmark", OmegaConf.to_yaml(settings), networks)
        loggers: list[Logger] = [Record(run)]
        callbacks = list(instantiate(settings.callbacks).values())
        make_trainer(settings, run.path, loggers, callbacks).fit(gan, datamodule=data)


def compare(
    cell: Cell,
    settings: DictConfig,
    images: Images,
    clock: Callable[[], float],
    report: Callable[[dict[str, Any]], None],
) -> None:
    """Lets the trainer and the loop take turns; reports the seconds of an iteration of each."""
    settle(settings)
    if settings.trainer.compile:
        from torch._dynamo import config

        # Two pairs of networks in one process share what the compiler grants to a piece of code.
        config.recompile_limit = 64
    loop = Loop(settings, images, cell.device)
    loop.run(WARM_UP[cell.device])
    iterations = max(1, round(cell.stretch / pace(loop, clock)))
    critic_steps: int = settings.loss.critic_steps
    traced = traced_iterations(cell, critic_steps)
    total = WARM_UP[cell.device] + cell.rounds * iterations + traced + 1
    settings.images = total * settings.batch_size * critic_steps
    train(settings, images, lambda own: Turns(own, loop, cell, iterations, clock, report))


def settle(settings: DictConfig) -> None:
    """Sets for the whole process what the settings say, as the trainer does."""
    tf32: bool = settings.trainer.tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = bool(settings.trainer.get("benchmark", False))


def pace(loop: Loop, clock: Callable[[], float]) -> float:
    """The seconds of the loop's iteration, from a quarter of a second of them."""
    started, iterations = clock(), 0
    while (passed := clock() - started) < 0.25 or not iterations:
        loop.run(1)
        iterations += 1
    return passed / iterations


def speed(cell: Cell, report: Callable[[dict[str, Any]], None]) -> None:
    """Reports the time of both."""
    settings = cell.settings()
    report({"threads": torch.get_num_threads(), "torch": torch.__version__})
    if cell.device == "cuda":
        from touchstone.cli.game import build
        from touchstone.cost import of_game

        images = settings.loss.critic_steps * cell.batch
        kind = "tf32" if cell.precision == "32-true" and settings.trainer.tf32 else "float32"
        report(
            {
                "images": images,
                "operations": 2 * of_game(build(settings))["image"] * images,
                "name": torch.cuda.get_device_name(),
                "kind": kind if cell.precision == "32-true" else cell.precision,
            }
        )
    compare(cell, settings, cell.images(IMAGES[cell.device]), cell.clock, report)


def memory_of_trainer(cell: Cell, report: Callable[[dict[str, Any]], None]) -> None:
    """Reports the peak of the trainer alone, with a checkpoint at its end."""
    settings = cell.settings()
    settle(settings)
    images = cell.images(IMAGES["cpu"])
    settings.images = alone(settings) * settings.batch_size * settings.loss.critic_steps
    train(settings, images, lambda batches: batches)
    report({"MiB": peak_mib(cell)})


def memory_of_loop(cell: Cell, report: Callable[[dict[str, Any]], None]) -> None:
    """Reports the peak of the loop alone."""
    settings = cell.settings()
    settle(settings)
    Loop(settings, cell.images(IMAGES["cpu"]), cell.device).run(alone(settings))
    report({"MiB": peak_mib(cell)})


def alone(settings: DictConfig) -> int:
    """The iterations of each where memory is measured."""
    critic_steps: int = settings.loss.critic_steps
    return max(5, 20 // critic_steps)


def peak_mib(cell: Cell) -> float:
    """The most memory that was in use: of the device by tensors, on a CPU by the process."""
    if cell.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    # Of this program alone: getrusage's figure begins with that of the process that started it.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None, "only Linux says how much memory a process had at its peak"
    return int(peak[1]) / 1024


# What a process of its own measures.
MEASURES = {
    "speed": speed,
    "trainer": memory_of_trainer,
    "loop": memory_of_loop,
    "bare loop": memory_of_loop,  # without the libraries that only the trainer needs
}


def measure(which: str, cell: Cell) -> None:
    """Is one process: imports, waits for its start, prints a line for each thing measured."""
    # What torch's profiler sets where CUDA graphs are about: CUPTI cannot be taken away from them.
    os.environ.setdefault("DISABLE_CUPTI_LAZY_REINIT", "1")
    os.environ.setdefault("TEARDOWN_CUPTI", "0")
    if which != "bare loop":
        import touchstone.callbacks
        import touchstone.cli.train
        import touchstone.gan
        import touchstone.tracking.loggers  # noqa: F401

        if "compiled" in cell.mode:
            import torch._inductor.compile_fx  # noqa: F401

    def report(measured: dict[str, Any]) -> None:
        print("\n" + json.dumps(measured), flush=True)

    if not sys.stdin.readline():  # whoever started it has ended
        return
    try:
        MEASURES[which](cell, report)
    except Exception as error:
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        lines = str(root).strip().splitlines()
        report({"error": f"{type(root).__name__}: {lines[0] if lines else ''}"})
        raise


class Process:
    """Measures one thing of a cell in a process, which imports at once and starts when it is told.

    Attributes:
        cell: what is measured.
    """

    def __init__(self, which: str, cell: Cell) -> None:
        self.which, self.cell = which, cell
        environment = {"TORCHINDUCTOR_COMPILE_THREADS": "4"} if cell.device == "cuda" else {}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "measure", which, json.dumps(asdict(cell))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment | os.environ,
        )

    def result(self) -> dict[str, Any]:
        """Starts it and waits; `error` says what failed, beside what was measured before."""
        result: dict[str, Any] = {}
        limit = LIMIT[self.cell.device]
        try:
            output, errors = self._process.communicate("\n", timeout=limit)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, errors = self._process.communicate()
            result["error"] = f"not done in {limit} s"
        for line in output.splitlines():
            if line.startswith("{"):
                result |= json.loads(line)
        status = self._process.returncode
        if status and "error" not in result:
            lines = [line.strip() for line in errors.splitlines() if line.strip()]
            result["error"] = f"status {status}: {lines[-1] if lines else ''}"
        if "error" in result:
            print(
                f"\n{self.which}, {self.cell.model}, {self.cell.loss}, {self.cell.mode}:",
                *errors.splitlines()[-6:],
                sep="\n",
                file=sys.stderr,
                flush=True,
            )
        return result

    def give_up(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()


Memory = dict[str, dict[str, Any]]


def memory(cells: Sequence[Cell], device: str) -> list[Memory]:
    """Measures the memory of cells, some at a time: those first that leave most to the others."""
    whiches = ("trainer", "loop") if device == "cuda" else ("trainer", "loop", "bare loop")
    tasks = sorted(product(whiches, cells), key=lambda task: "compiled" not in task[1].mode)
    with ThreadPoolExecutor(ABREAST[device]) as pool:
        results = dict(zip(tasks, pool.map(lambda t: Process(*t).result(), tasks), strict=True))
    return [{which: results[which, cell] for which in whiches} for cell in cells]


def table(arguments: argparse.Namespace) -> None:
    """Prints the table, a row as soon as it is measured."""
    device: str = arguments.device
    cells = [
        Cell(
            model,
            loss,
            mode,
            device,
            arguments.batch,
            arguments.width,
            arguments.precision,
            arguments.rounds or ROUNDS[device],
            arguments.stretch or STRETCH[device],
        )
        for model, loss, mode in product(
            arguments.models, arguments.losses, arguments.modes or MODES[device]
        )
    ]

    def say(line: str) -> None:
        print(line, flush=True)
        if arguments.to is not None:
            with arguments.to.open("a") as file:
                file.write(line + "\n")

    started, told, ahead = time.perf_counter(), False, None
    memories = memory(cells, device) if device == "cuda" else None
    for number, cell in enumerate(cells):
        if arguments.seconds and time.perf_counter() - started > arguments.seconds:
            say(f"\nnot measured, for {arguments.seconds:.0f} s are spent: {len(cells) - number}")
            break
        process = ahead or Process("speed", cell)
        ahead = None
        if device == "cuda" and number + 1 < len(cells):  # there one of many cores is free for it
            ahead = Process("speed", cells[number + 1])
        times = process.result()
        of_memory = memories[number] if memories is not None else memory([cell], device)[0]
        values = row(cell, times, of_memory)
        if not told:
            told = True
            say(
                f"\nbatch {cell.batch}, width {cell.width}, {cell.precision}; "
                f"{times.get('name', 'CPU')}, {times.get('threads', '?')} threads, "
                f"torch {times.get('torch', torch.__version__)}; "
                f"{cell.rounds} rounds of {cell.stretch} s each\n"
            )
            say("| " + " | ".join(values) + " |")
            say("| " + " | ".join("---" if key in WORDS else "---:" for key in values) + " |")
        say("| " + " | ".join(values.values()) + " |")
    if ahead is not None:
        ahead.give_up()


WORDS = ("model", "loss", "mode", "quartiles", "note")


def row(cell: Cell, times: dict[str, Any], memories: Memory) -> dict[str, str]:
    """A row's entries by their columns' names, `-` for what is not known."""
    nan = float("nan")
    # A ratio for each round, whose two stretches the machine treated alike.
    pairs = list(zip(times.get("trainer", []), times.get("loop", []), strict=True))
    ratios = [trainer / loop for trainer, loop in pairs] or [nan]
    trainer = statistics.median([pair[0] for pair in pairs] or [nan])
    loop = statistics.median([pair[1] for pair in pairs] or [nan])
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (nan, nan, nan)
    mib = {which: measured.get("MiB", nan) for which, measured in memories.items()}
    values = {
        "model": cell.model,
        "loss": cell.loss,
        "mode": cell.mode,
        "touchstone, ms": shown(1e3 * trainer, ".3f"),
        "loop, ms": shown(1e3 * loop, ".3f"),
        "time": shown(statistics.median(ratios), ".3f"),
        "quartiles": f"{low:.3f} to {high:.3f}" if low == low else "-",
        "touchstone, MiB": shown(mib["trainer"], ".0f"),
        "loop, MiB": shown(mib["loop"], ".0f"),
        "memory": shown(mib["trainer"] / mib["loop"], ".3f"),
    }
    if cell.device == "cpu":
        values["bare loop, MiB"] = shown(mib["bare loop"], ".0f")
    else:
        known = PEAK_NAMES.match(times.get("name", ""))
        peak = PEAKS[times["kind"]] if known else nan
        busy = {name: times.get(f"busy {name}", nan) for name in ("trainer", "loop")}
        values |= {
            "images/s": shown(times.get("images", nan) / trainer, ",.0f"),
            "of peak": shown(times.get("operations", nan) / trainer / peak, ".1%"),
            "idle, traced": shown(times.get("idle trainer", nan), ".1%"),
            "idle, 1 - busy/wall": shown(1 - busy["trainer"] / trainer, ".1%"),
            "loop idle, traced": shown(times.get("idle loop", nan), ".1%"),
            "loop idle, 1 - busy/wall": shown(1 - busy["loop"] / loop, ".1%"),
        }
    failures: dict[str, list[str]] = {}
    for name, measured in {"time": times, **memories}.items():
        if "error" in measured:
            what = name if name == "time" else f"memory of {name}"
            failures.setdefault(measured["error"][:160].replace("|", "/"), []).append(what)
    values["note"] = "; ".join(f"{', '.join(what)}: {why}" for why, what in failures.items())
    return values


def shown(value: float, form: str) -> str:
    """A number as the table shows it; one that is not known as `-`."""
    return format(value, form) if value == value else "-"


class OneWeight(nn.Module):
    """A network that costs nothing.

    Args:
        shape: of what it makes of a number.
    """

    latent_size = 1

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, numbers: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps `(N, ...)`, a number each, to `(N, *shape)`."""
        return (self.weight * numbers).view(-1, *self.shape)


def overhead(arguments: argparse.Namespace) -> None:
    """Prints what the trainer adds to an iteration."""
    torch.set_num_threads(1)
    device: str = arguments.device
    mode = "graphs" if arguments.graphs else "plain"
    rounds = arguments.rounds or ROUNDS[device]
    cell = Cell("dcgan-32", "vanilla", mode, device, 64, 8, "32-true", rounds, STRETCH[device])
    settings = cell.settings()
    settings.model.latent_size = 1
    for part, shape in (("generator", [1, 1, 1]), ("discriminator", [])):
        settings.model[part] = {"_target_": "__main__.OneWeight", "shape": shape}
    pixels = torch.zeros(IMAGES[device], 1, 1, 1, dtype=torch.uint8, device=device)
    found: dict[str, Any] = {}

    def clock() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.process_time()

    compare(cell, settings, Images(pixels, None, ()), clock, found.update)
    added = [
        1e3 * (trainer - loop)
        for trainer, loop in zip(found["trainer"], found["loop"], strict=True)
    ]
    low, middle, high = statistics.quantiles(added, n=4)
    trainer, loop = (1e3 * statistics.median(found[name]) for name in ("trainer", "loop"))
    print(
        f"{rounds} rounds of {found['iterations']} iterations, {mode}, {device}, one thread, "
        f"torch {torch.__version__}, the process's own time\n"
        f"touchstone {trainer:.3f} ms, loop {loop:.3f} ms an iteration; "
        f"added {middle:.3f} ms (quartiles {low:.3f} and {high:.3f})"
    )


def start(arguments: argparse.Namespace) -> None:
    """Times whole processes: the median of five."""
    for words in (["--help"], ["model=nonsense"]):
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run([sys.executable, ROOT / "train.py", *words], capture_output=True)
            seconds.append(time.perf_counter() - started)
        command = " ".join(["python train.py", *words])
        print(
            f"{command:32}{statistics.median(seconds):5.2f} s "
            f"(from {min(seconds):.2f} to {max(seconds):.2f})"
        )


def main() -> None:
    """Measures what is asked for, and prints it."""
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2], Cell(**json.loads(sys.argv[3])))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(required=True)
    one = parts.add_parser("table", help="time and memory, model by model")
    one.add_argument("--device", choices=MODES, default="cpu")
    one.add_argument("--models", nargs="+", default=MODELS, help="each NAME-RESOLUTION")
    one.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    one.add_argument("--modes", nargs="+", choices=MODES["cuda"], help="the device's by default")
    one.add_argument("--batch", type=int, default=64, help="samples in a batch")
    one.add_argument("--width", type=int, default=64, help="of the networks")
    one.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true")
    one.add_argument("--rounds", type=int, help=f"stretches of each; {ROUNDS} by default")
    one.add_argument("--stretch", type=float, help=f"seconds of one; {STRETCH} by default")
    one.add_argument("--seconds", type=float, help="after which no further row is begun")
    one.add_argument("--to", type=Path, metavar="FILE", help="to which the table is appended, too")
    one.set_defaults(part=table)
    one = parts.add_parser("overhead", help="what the trainer adds to an iteration")
    one.add_argument("--device", choices=MODES, default="cpu")
    one.add_argument("--graphs", action="store_true", help="by CUDA graphs")
    one.add_argument("--rounds", type=int, help=f"stretches of each; {ROUNDS} by default")
    one.set_defaults(part=overhead)
    one = parts.add_parser("start", help="how long the command line takes to answer")
    one.set_defaults(part=start)
    arguments = parser.parse_args()
    arguments.part(arguments)


if __name__ == "__main__":
    main()
