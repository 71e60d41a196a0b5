"""Shows where an iteration's time goes: python scripts/profile.py model=dcgan loss=wgan_gp.

The words are those of `python train.py`. The trainer is the one that it makes, in a folder that is
then removed, without evaluation, samples, checkpoints and trackers. After a warm-up some iterations
are timed, and as many recorded by torch's profiler.

FOLDER/trace.json  every operator and kernel, in time: open it in https://ui.perfetto.dev or in
                   chrome://tracing
FOLDER/table.txt   what is printed: the phases of an iteration, each without those inside it, so
                   that they add up to its whole time; and the ten most expensive operators, on a
                   GPU kernels

On a GPU the host's time of a phase is what it takes to start the kernels, or to wait for room in
the queue; the device's time is that of the kernels which the phase started.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from itertools import islice, pairwise
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from torch.profiler import profile

    from touchstone.data.batches import Batch, Batches
    from touchstone.gan import GAN

if __name__ == "profile":
    # A script of this folder imports cProfile, which means the standard library's module.
    library = spec_from_file_location(__name__, Path(os.__file__).with_name("profile.py"))
    assert library is not None and library.loader is not None
    sys.modules[__name__] = module_from_spec(library)
    library.loader.exec_module(sys.modules[__name__])

WARM_UP, WARM_UP_COMPILED = 10, 25  # iterations before the first that is timed
MOST = 10  # operators or kernels that are listed

# The phases in the order of the table. Those of the iteration and of the two updates have what is
# inside them, but in no other phase.
BATCH = "the batch"
NOISE = "noise, learning rates"
GENERATE = "generator: forward"
JUDGE = "discriminator: forward, loss"
PENALIZE = "discriminator: penalties"
LOSS = "generator: its loss, forward"
AVERAGE = "average of the weights"
ITERATION = "Lightning, callbacks"
WAIT = "waiting for the device"
PHASES = (
    BATCH,
    NOISE,
    GENERATE,
    JUDGE,
    PENALIZE,
    "discriminator: backward",
    "discriminator: step",
    LOSS,
    "generator: backward",
    "generator: step",
    AVERAGE,
    ITERATION,
    WAIT,
)

Event = dict[str, Any]  # of a trace


class Span(NamedTuple):
    """A stretch of time, from `start` to `end` in microseconds."""

    start: float
    end: float
    name: str


def marked(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose time the profiler sets down to a phase."""
    from torch.profiler import record_function

    def call(*args: Any, **kwargs: Any) -> Any:
        with record_function(phase):
            return function(*args, **kwargs)

    return call


def mark(gan: "GAN") -> None:
    """Marks the phases of a game, which knows nothing of it, before it is trained."""
    import torch

    network, backward, following = gan.generator, torch.Tensor.backward, gan.average.following
    compiled = network._compiled_call_impl is not None
    # What calls the network stands outside of what the compiler has taken in.
    places: list[tuple[Any, str, str]] = [
        (network, "_compiled_call_impl" if compiled else "_call_impl", GENERATE),
        (gan, "iterate", NOISE),
        (gan, "discriminator_loss", JUDGE),
        (gan, "_discriminate", JUDGE),  # which a penalty on the logits is the first to ask for
        (gan, "generator_loss", LOSS),
        *((penalty, "forward", PENALIZE) for penalty in gan.penalties.values()),
    ]
    for owner, method, phase in places:
        setattr(owner, method, marked(phase, getattr(owner, method)))
    gan.average.following = lambda network: marked(AVERAGE, following(network))  # type: ignore[method-assign]

    def turn(player: str, update: Callable[..., Any]) -> Callable[..., Any]:
        own = marked(f"{player}: backward", backward)

        def call(*args: Any) -> Any:
            torch.Tensor.backward = own  # type: ignore[method-assign]
            return update(*args)

        return marked(f"{player}: step", call)

    for player in ("discriminator", "generator"):
        setattr(gan, f"_update_{player}", turn(player, getattr(gan, f"_update_{player}")))


class Watched:
    """The trainer's batches: what it does between asking for one and for the next is an iteration.

    Args:
        batches: of the run.
        warm_up: iterations that are not timed.
        iterations: that are timed, and then that are recorded.
        device: on which the networks are trained.

    Attributes:
        seconds: an iteration's, without the profiler.
        profiler: which has seen the recorded iterations.
    """

    seconds: float
    profiler: "profile"

    def __init__(self, batches: "Batches", warm_up: int, iterations: int, device: str) -> None:
        self._batches, self._warm_up, self._iterations = batches, warm_up, iterations
        self._cuda = device == "cuda"

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator["Batch"]:
        from torch.profiler import ProfilerActivity, profile, record_function

        batches = iter(self._batches)
        yield from islice(batches, self._warm_up)
        self._wait()
        started = time.perf_counter()
        yield from islice(batches, self._iterations)
        self._wait()
        self.seconds = (time.perf_counter() - started) / self._iterations
        activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * self._cuda]
        with profile(activities=activities) as self.profiler:
            for _ in range(self._iterations):
                with record_function(ITERATION):
                    with record_function(BATCH):
                        batch = next(batches)
                    yield batch
            with record_function(WAIT):
                self._wait()
        yield from batches

    def _wait(self) -> None:
        import torch

        if self._cuda:
            torch.cuda.synchronize()


def train(settings: "DictConfig", iterations: int) -> Watched:
    """Trains under the trainer as `python train.py` makes it, and looks on.

    Raises:
        UsageError: settings that cannot be used.
    """
    from hydra.utils import instantiate
    from omegaconf import OmegaConf, open_dict

    from touchstone.cli.checks import check
    from touchstone.cli.front import plain
    from touchstone.cli.train import build, make_trainer, memory_format, quieten, try_trainer
    from touchstone.data.module import Data
    from touchstone.errors import UsageError
    from touchstone.tracking.loggers import Record
    from touchstone.tracking.run import Run

    for verb in ("resume", "rerun"):
        if settings[verb] is not None:
            raise UsageError(f"{verb}={settings[verb]}: what is profiled is named by its settings")
    check(settings)
    with open_dict(settings):
        for name in ("samples", "evaluation", "checkpointing", "pruning"):
            settings.callbacks.pop(name, None)
    settings.trainer.profiler = None  # there can be one at a time
    warm_up = WARM_UP_COMPILED if settings.trainer.compile else WARM_UP
    if settings.trainer.cuda_graphs:  # which record each kind of iteration when it has come often
        warm_up += 4 * max((each.every for each in settings.loss.penalties.values()), default=1)
    critic_steps: int = settings.loss.critic_steps
    # The last iteration, at which a run logs, comes after those that are recorded.
    settings.images = (warm_up + 2 * iterations + 1) * critic_steps * settings.batch_size
    quieten()
    try_trainer(settings)
    gan = build(settings)
    mark(gan)
    watched: list[Watched] = []

    class Lent(Data):
        def batches(self) -> Any:
            assert self.trainer is not None
            device: str = self.trainer.strategy.root_device.type
            watched.append(Watched(super().batches(), warm_up, iterations, device))
            return watched[-1]

    data = Lent(
        instantiate(settings.data.load)(split="train"),
        batch_size=settings.batch_size,
        critic_steps=critic_steps,
        seed=settings.seed,
        budget=settings.images,
        memory_format=memory_format(settings),
    )
    with tempfile.TemporaryDirectory() as folder:
        networks = {part: plain(settings.model[part]) for part in ("generator", "discriminator")}
        run = Run.create(Path(folder), "profile", OmegaConf.to_yaml(settings), networks)
        callbacks = list(instantiate(settings.callbacks).values())
        make_trainer(settings, run, [Record(run)], callbacks).fit(gan, datamodule=data)
    return watched[-1]


def table(events: Sequence[Event], iterations: int, seconds: float, phases: bool = True) -> str:
    """Says where the time of the recorded iterations went.

    Args:
        events: of the trace.
        iterations: how many there are in it.
        seconds: that an iteration takes without the profiler.
        phases: whether they can be told apart.
    """
    marks = spans(event for event in events if event.get("name") in PHASES and is_host(event))
    kernels = [event for event in events if event.get("cat") in DEVICE]
    first, last = marks[0].start, max(mark.end for mark in marks)
    each = 1e3 * iterations  # microseconds of all iterations to milliseconds of one
    whole = (last - first) / each
    lines = [
        f"{iterations} iterations of {whole:.3f} ms under the profiler, {1e3 * seconds:.3f} ms "
        "without it"
    ]
    if kernels:
        busy = covered(spans(kernels)) / each
        lines.append(
            f"The device stood idle for {max(0.0, 1 - busy / whole):.1%} of the time under the "
            f"profiler, for {max(0.0, 1 - busy / (1e3 * seconds)):.1%} as reckoned without it"
        )
    if phases:
        host, moments = own(timeline(marks)), timeline(marks)
        device = started_in(moments, events, kernels)
        columns = ("device, ms",) if kernels else ()
        rows = [
            (name, host[name] / each, *([device[name] / each] if kernels else []))
            for name in PHASES
            if name in host and (name != WAIT or kernels)
        ]
        # Between the recorded iterations the profiler's own marks take their time.
        total = sum(row[1] for row in rows)
        rows.append(("an iteration", total, *([sum(device.values()) / each] if kernels else [])))
        lines += ["", heading("phase", *columns)]
        lines += [entry(name, ms, total, *rest) for name, ms, *rest in rows]
    else:
        lines += [
            "",
            "Under trainer.cuda_graphs an iteration is one replay, whose phases cannot be told "
            "apart: only kernels are listed",
        ]
    costs, calls = Counter[str](), Counter[str]()
    if kernels:
        for kernel in kernels:
            costs[kernel["name"]] += kernel["dur"]
        calls.update(kernel["name"] for kernel in kernels)
    else:
        threads = defaultdict(list)
        for event in events:
            if event.get("cat") == "cpu_op":
                threads[event["tid"]].append(event)
                calls[event["name"]] += 1
        for thread in threads.values():
            costs += own(timeline(spans(thread)))
    lines += ["", heading("kernel" if kernels else "operator", "calls")]
    lines += [
        entry(name, cost / each, whole, calls[name] / iterations)
        for name, cost in costs.most_common(MOST)
    ]
    return "\n".join(lines)
