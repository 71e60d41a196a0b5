"""Shows where an iteration's time goes: python scripts/profile.py model=dcgan loss=wgan_gp.

The words are those of `python train.py`, which then trains for as long as that needs, in a folder
that is removed, without evaluation, samples, checkpoints and trackers. After a warm-up some
iterations are timed, and as many recorded by torch's profiler.

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
from contextlib import redirect_stdout
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from itertools import islice, pairwise
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from pytorch_lightning import Callback
    from torch.profiler import profile as Profiler

    from touchstone.data.batches import Batch, Batches
    from touchstone.gan import GAN

if __name__ == "profile":
    # A script of this folder imports cProfile, which means the standard library's module.
    library = spec_from_file_location(__name__, Path(os.__file__).with_name("profile.py"))
    assert library is not None
    assert library.loader is not None
    sys.modules[__name__] = module_from_spec(library)
    library.loader.exec_module(sys.modules[__name__])

WARM_UP, WARM_UP_COMPILED = 10, 25  # iterations before the first that is timed
MOST = 10  # operators or kernels that are listed
ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
STARTS = ("cuda_runtime", "cuda_driver")
SEE = "on_iteration_end"  # of a callback that has its turn in each iteration
LONGEST = 64  # characters of a name

# The phases in the order of the table, each without those inside it: a step is all of an update
# but for its forward and backward passes.
BATCH = "the batch"
NOISE = "noise, learning rates"
GENERATE = "generator: forward"
JUDGE = "discriminator: forward, loss"
PENALIZE = "discriminator: penalties"
LOSS = "generator: its loss, forward"
AVERAGE = "average of the weights"
REST = "Lightning, callbacks"
WAIT = "waiting for the device"
WHOLE = "the whole iteration"
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
    REST,
    WAIT,
)


class Span(NamedTuple):
    """What a trace has of an operator, of a call that starts kernels, of a kernel or of a phase.

    Attributes:
        start: in milliseconds divided by the number of iterations, so that sums are of one.
        end: likewise.
        category: `cpu_op`, `cuda_runtime`, `kernel`, `user_annotation` and others.
        thread: of the host, or the device's stream.
        call: a number that a kernel has in common with the call that started it.
    """

    start: float
    end: float
    name: str
    category: str
    thread: Any
    call: int | None = None


def marked(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose time the profiler sets down to a phase."""
    from torch.profiler import record_function

    def call(*args: Any, **kwargs: Any) -> Any:
        with record_function(phase):
            return function(*args, **kwargs)

    return call


def mark(gan: "GAN", callbacks: Sequence["Callback"]) -> None:
    """Marks the phases of a game, which knows nothing of it, before it is trained."""
    import torch

    network, backward, following = gan.generator, torch.Tensor.backward, gan.average.following
    compiled = network._compiled_call_impl is not None
    # What calls the network stands outside of what the compiler has taken in.
    places: list[tuple[Any, str, str]] = [
        (network, "_compiled_call_impl" if compiled else "_call_impl", GENERATE),
        (gan, "iterate", NOISE),
        (gan, "discriminator_loss", JUDGE),
        (gan, "_judge_both", JUDGE),  # which a penalty on the logits is the first to ask for
        (gan, "generator_loss", LOSS),
        *((term, "discriminator", PENALIZE) for term in gan.terms.values()),
        *((each, SEE, REST) for each in callbacks if hasattr(each, SEE)),
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
    profiler: "Profiler"

    def __init__(self, batches: "Batches", warm_up: int, iterations: int, device: str) -> None:
        self._batches, self._warm_up, self._iterations = batches, warm_up, iterations
        self._cuda = device == "cuda"

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator["Batch"]:
        from torch.profiler import ProfilerActivity, record_function
        from torch.profiler import profile as Profiler

        batches = iter(self._batches)
        yield from islice(batches, self._warm_up)
        self._wait()
        started = time.perf_counter()
        yield from islice(batches, self._iterations)
        self._wait()
        self.seconds = (time.perf_counter() - started) / self._iterations
        activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * self._cuda]
        with Profiler(activities=activities) as self.profiler:
            for _ in range(self._iterations):
                with record_function(REST):
                    with record_function(BATCH):
                        batch = next(batches)
                    yield batch
            if self._cuda:
                marked(WAIT, self._wait)()
        yield from batches

    def _wait(self) -> None:
        import torch

        if self._cuda:
            torch.cuda.synchronize()


def profile(settings: "DictConfig", iterations: int, to: Path) -> None:
    """Has the settings' training be watched, which is as short as that needs.

    Raises:
        UsageError: as in training.
    """
    from omegaconf import open_dict

    from touchstone import job
    from touchstone.cli.checks import check
    from touchstone.cli.train import train
    from touchstone.errors import UsageError

    for verb in ("resume", "rerun"):
        if settings[verb] is not None:
            raise UsageError(f"{verb}={settings[verb]}: what is profiled is named by its settings")
    check(settings)  # before the budget is reckoned from them
    own = settings.trainer
    own.profiler = None  # there can be one at a time
    warm_up = WARM_UP_COMPILED if own.compile else WARM_UP
    if own.cuda_graphs:  # which records a kind of iteration when it has come several times
        warm_up += 4 * max(
            (each.get("every", 1) for each in settings.loss.penalties.values()), default=1
        )
    # The last iteration, at which a run logs, comes after those that are recorded.
    iteration = settings.loss.critic_steps * settings.batch_size
    settings.images = (warm_up + 2 * iterations + 1) * iteration
    settings.logger = {}
    with open_dict(settings):
        for name in ("samples", "evaluation", "checkpointing", "pruning"):
            settings.callbacks.pop(name, None)
        settings.callbacks.watching = {
            "_target_": "__main__.watching",
            "warm_up": warm_up,
            "iterations": iterations,
            "apart": not own.cuda_graphs,
            "to": str(to),
        }
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        settings.runs_dir = folder
        train(settings)
    if job.leads():
        print((to / "table.txt").read_text())
        print(f"{to / 'trace.json'}: open it in https://ui.perfetto.dev or in chrome://tracing")


def watching(warm_up: int, iterations: int, apart: bool, to: str) -> "Callback":
    """The callback that marks a game, lends the trainer its batches, and writes what was seen.

    Args:
        warm_up: iterations that are not timed.
        iterations: that are timed, and then that are recorded.
        apart: whether the phases can be told apart.
        to: the folder for the trace and the table.
    """
    from pytorch_lightning import Callback

    class Watching(Callback):
        def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
            mark(pl_module, trainer.callbacks)
            data, device = trainer.datamodule, trainer.strategy.root_device.type
            self.watched = Watched(data.batches(), warm_up, iterations, device)
            data.batches = lambda: self.watched

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.is_global_zero:
                return
            folder = Path(to)
            folder.mkdir(parents=True, exist_ok=True)
            self.watched.profiler.export_chrome_trace(str(folder / "trace.json"))
            spans = read(folder / "trace.json", iterations)
            text = table(spans, iterations, self.watched.seconds, apart)
            (folder / "table.txt").write_text(text + "\n")

    return Watching()


def read(trace: Path, iterations: int) -> list[Span]:
    """Reads a trace of so many iterations."""
    unit = 1e3 * iterations  # a trace's are microseconds
    return [
        Span(
            float(event["ts"]) / unit,
            (float(event["ts"]) + float(event["dur"])) / unit,
            event["name"],
            event["cat"],
            event["tid"],
            event.get("args", {}).get("correlation"),
        )
        for event in json.loads(trace.read_text(errors="replace"))["traceEvents"]
        if event.get("ph") == "X" and "cat" in event
    ]


def table(spans: Sequence[Span], iterations: int, seconds: float, apart: bool = True) -> str:
    """Says where the time of an iteration went.

    Args:
        spans: of the trace.
        iterations: that were recorded.
        seconds: that an iteration takes without the profiler.
        apart: whether the phases can be told apart.
    """
    marks = [each for each in spans if each.category == "user_annotation" and each.name in PHASES]
    kernels = [each for each in spans if each.category in ON_DEVICE]
    phases = own(marks)
    whole, plain = sum(phases.values()), 1e3 * seconds
    lines = [f"an iteration: {plain:.3f} ms, and {whole:.3f} ms under the profiler"]
    if kernels:
        busy = covered(kernels)
        lines.append(
            f"the device stood idle for {max(0, 1 - busy / whole):.1%} under the profiler, and for "
            f"{max(0, 1 - busy / plain):.1%} without it if it was as busy there"
        )
    if apart:
        times = {name: phases[name] for name in PHASES if name in phases} | {WHOLE: whole}
        rows = [["phase", "ms", "share"]]
        rows += [[name, f"{ms:.3f}", f"{ms / whole:.1%}"] for name, ms in times.items()]
        if kernels:
            device = launched(kernels, spans, marks)
            device[WHOLE] = sum(device.values())
            rows[0].append("device, ms")
            for row in rows[1:]:
                row.append(f"{device[row[0]]:.3f}")
    else:
        rows = [["An iteration is replayed by one call (trainer.cuda_graphs): it has no phases."]]
    lines += ["", *aligned(rows)]

    operators = kernels or [each for each in spans if each.category == "cpu_op"]
    costs = durations(kernels) if kernels else own(operators)
    calls = Counter(each.name for each in operators)
    rows = [["kernel" if kernels else "operator", "ms", "share", "calls"]]
    rows += [
        [shortened(name), f"{ms:.3f}", f"{ms / whole:.1%}", f"{calls[name] / iterations:.1f}"]
        for name, ms in sorted(costs.items(), key=lambda cost: -cost[1])[:MOST]
    ]
    return "\n".join([*lines, "", *aligned(rows)])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table's lines: names at the left, numbers at the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        "  ".join(
            [row[0].ljust(first), *(e.rjust(w) for e, w in zip(row[1:], others, strict=True))]
        )
        for row in rows
    ]


def shortened(name: str) -> str:
    """A kernel's name, which may be that of a template with all its arguments."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def timeline(spans: Iterable[Span]) -> list[tuple[float, str]]:
    """Who is innermost from which moment on, in order, of one thread's spans; or no one."""
    moments: list[tuple[float, str]] = []
    around: list[Span] = []

    def leave(moment: float) -> None:
        while around and around[-1].end <= moment:
            end = around.pop().end
            moments.append((end, around[-1].name if around else ""))

    for each in sorted(spans, key=lambda each: (each.start, -each.end)):
        leave(each.start)
        moments.append((each.start, each.name))
        around.append(each)
    leave(inf)
    return moments


def own(spans: Iterable[Span]) -> dict[str, float]:
    """The time of each name's spans without those inside them."""
    threads: dict[Any, list[Span]] = defaultdict(list)
    for each in spans:
        threads[each.thread].append(each)
    times: dict[str, float] = defaultdict(float)
    for thread in threads.values():
        for (start, name), (end, _) in pairwise(timeline(thread)):
            if name:
                times[name] += end - start
    return times


def durations(spans: Iterable[Span]) -> dict[str, float]:
    """The time of each name's spans."""
    times: dict[str, float] = defaultdict(float)
    for each in spans:
        times[each.name] += each.end - each.start
    return times


def covered(spans: Iterable[Span]) -> float:
    """The time in which there is any of the spans, which may overlap."""
    total, reached = 0.0, -inf
    for each in sorted(spans, key=lambda each: each.start):
        total += max(0.0, each.end - max(each.start, reached))
        reached = max(reached, each.end)
    return total


def launched(
    kernels: Iterable[Span], spans: Iterable[Span], marks: Iterable[Span]
) -> dict[str, float]:
    """The time of the kernels, by the phase in which the host has started them.

    A backward pass starts its kernels from a thread of its own, for which the phase waits.
    """
    started = {each.call: each.start for each in spans if each.category in STARTS}
    moments = timeline(marks)
    borders = [moment for moment, _ in moments]
    return durations(
        each._replace(name=moments[max(0, bisect_right(borders, started[each.call]) - 1)][1])
        for each in kernels
        if each.call in started
    )


def main() -> None:
    """Trains, writes the trace and the table, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [--iterations NUMBER] [--to FOLDER] [WORD ...]",
        allow_abbrev=False,
    )
    parser.add_argument("--iterations", type=int, default=20, help="to record (20)")
    parser.add_argument("--to", type=Path, default=Path("profile"), metavar="FOLDER")
    arguments, words = parser.parse_known_args()
    if arguments.iterations < 1:
        parser.error("--iterations: there has to be one or more")
    if {"-m", "--multirun"} & set(words):
        parser.error("one run is profiled at a time: leave out -m")
    # Of torch's profiler, which looks for a GPU where there is none, and which cannot go from
    # CUDA graphs and come back.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    os.environ.setdefault("DISABLE_CUPTI_LAZY_REINIT", "1")
    os.environ.setdefault("TEARDOWN_CUPTI", "0")

    from touchstone import cli
    from touchstone.cli.front import enter

    cli.called.extend(sys.argv)  # by which further processes are started
    sys.argv = [sys.argv[0], *words]
    enter("train", partial(profile, iterations=arguments.iterations, to=arguments.to))


if __name__ == "__main__":
    main()
