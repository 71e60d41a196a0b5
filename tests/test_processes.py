"""Means over two real processes, by hand."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from touchstone import processes

PROCESS = """
import sys
import torch
from torch import distributed
from touchstone import processes

folder, rank = sys.argv[1], int(sys.argv[2])
distributed.init_process_group("gloo", f"file://{folder}/at", None, 2, rank)
last = torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last)
tensors = [
    torch.tensor([1.0, 2.0]) * (1 + 2 * rank),
    last * (1 + rank),
    torch.tensor(5.0, dtype=torch.float64) - rank,
    torch.arange(6.0).view(2, 3).t() + rank,
]
places = [tensor.data_ptr() for tensor in tensors]
processes.average(tensors)
value = torch.tensor([3.0 + rank], requires_grad=True)
mean = processes.mean(value * value)
((1 + rank) * mean).backward()
torch.save(
    {
        "tensors": tensors,
        "same places": places == [tensor.data_ptr() for tensor in tensors],
        "strides": tensors[1].stride() == last.stride(),
        "mean": mean.detach(),
        "gradient": value.grad,
        "place": (processes.rank(), processes.number()),
    },
    f"{folder}/{rank}",
)
distributed.destroy_process_group()  # or gloo's threads may end the process with an error
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-c", PROCESS, str(folder)]
    started = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [process.wait(timeout=100) for process in started] == [0, 0]
    return [torch.load(folder / str(rank)) for rank in range(2)]


def test_averages_are_put_in_place(results: list[dict[str, Any]]) -> None:
    last = torch.arange(24.0).view(2, 3, 2, 2)
    expected = [
        torch.tensor([2.0, 4.0]),
        1.5 * last,
        torch.tensor(4.5, dtype=torch.float64),
        torch.arange(6.0).view(2, 3).t() + 0.5,
    ]
    for result in results:
        for tensor, value in zip(result["tensors"], expected, strict=True):
            assert tensor.dtype == value.dtype
            assert torch.equal(tensor, value)
        assert result["same places"]
        assert result["strides"]


def test_the_gradient_of_a_mean_is_what_all_losses_say(results: list[dict[str, Any]]) -> None:
    """m = (a² + b²) / 2, losses m and 2 m: each process has (1 + 2) dm/da, to be averaged later."""
    assert [result["mean"].item() for result in results] == [(9 + 16) / 2] * 2
    gradients = [result["gradient"].item() for result in results]
    assert gradients == [3 * 3.0, 3 * 4.0]


def test_places(results: list[dict[str, Any]]) -> None:
    assert [result["place"] for result in results] == [(0, 2), (1, 2)]


def test_one_process_sends_nothing() -> None:
    tensor = torch.ones(3)
    processes.average([tensor])
    assert torch.equal(tensor, torch.ones(3))
    assert processes.mean(tensor) is tensor
    assert (processes.rank(), processes.number()) == (0, 1)
