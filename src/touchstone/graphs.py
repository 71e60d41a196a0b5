"""CUDA graphs: an iteration is recorded once and then started with one call.

A small network's iteration is some hundred short kernels, which take longer to start one by one
than to run.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from touchstone.gan import GAN, Due, Seen

WARM_UP = 3  # iterations of each kind that run as written: they allocate, tune and compile


@dataclass(frozen=True)
class Recording:
    """A recorded iteration, and the tensors that each replay reads and writes."""

    graph: torch.cuda.CUDAGraph
    samples: Tensor
    labels: Tensor | None
    seen: Seen
    gradients: dict[torch.nn.Parameter, Tensor | None]


class Captured:
    """Carries out a game's updates by CUDA graphs, one for each set of terms that is due.

    The first iterations of each kind run as they are written, and train. The numbers are those that
    they would be without graphs: the random streams are moved before each replay, and the learning
    rates and the progress are tensors that a replay reads.

    Args:
        game: whose optimizers are there already, on a CUDA device.
    """

    def __init__(self, game: GAN) -> None:
        self._game = game
        self._recordings: dict[Hashable, Recording] = {}
        self._seen: dict[Hashable, int] = {}
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(game.device)  # type: ignore[no-untyped-call]
        self._last: Recording | None = None
        for optimizer in game.trainer.optimizers:
            make_capturable(optimizer, game.device)

    def __call__(self, due: Due, samples: Tensor, labels: Tensor | None) -> Seen:
        """Updates both networks; what is given back lasts until the next call."""
        kind = (due, samples.shape, self._game.phase)
        recording = self._recordings.get(kind)
        if recording is None:
            self._seen[kind] = self._seen.get(kind, 0) + 1
            if self._seen[kind] <= WARM_UP:
                return self._aside(due, samples, labels)
            recording = self._recordings[kind] = self._record(due, samples, labels)
        else:
            recording.samples.copy_(samples)
            if recording.labels is not None and labels is not None:
                recording.labels.copy_(labels)
        recording.graph.replay()
        if recording is not self._last:  # each recording has gradients of its own
            self._last = recording
            for parameter, gradient in recording.gradients.items():
                parameter.grad = gradient
        return recording.seen

    def _aside(self, due: Due, samples: Tensor, labels: Tensor | None) -> Seen:
        """Runs the updates as written, on the stream that will be recorded."""
        self._last = None
        present = torch.cuda.current_stream(self._game.device)
        self._stream.wait_stream(present)
        with torch.cuda.stream(self._stream):
            seen = self._game.updates(due, samples, labels)
        present.wait_stream(self._stream)
        return seen

    def _record(self, due: Due, samples: Tensor, labels: Tensor | None) -> Recording:
        graph = torch.cuda.CUDAGraph()
        for draws in self._game.streams:
            graph.register_generator_state(draws.generator)
        samples, labels = samples.clone(), None if labels is None else labels.clone()
        # Other threads, which write figures or read images, may go on with the device.
        mode = "thread_local"
        with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode=mode):
            seen = self._game.updates(due, samples, labels)
        gradients = {weight: weight.grad for weight in self._game.parameters()}
        return Recording(graph, samples, labels, seen, gradients)


def make_capturable(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Has an optimizer keep on the device what changes from step to step."""
    for group in optimizer.param_groups:
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)
        if "capturable" in group:
            group["capturable"] = True
    for state in optimizer.state.values():
        values: dict[str, Any] = state
        if isinstance(values.get("step"), Tensor):
            values["step"] = values["step"].to(device)
