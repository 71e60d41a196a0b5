"""Batch normalization over several processes."""

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from touchstone.batch_norm import SynchronizedBatchNorm, synchronized

# What each process makes of its share of the samples; alone, by torch's own batch normalization.
PROCESS = """
import sys
import torch
from torch import distributed, nn
from touchstone.networks import resnet
from touchstone.batch_norm import synchronized

folder, processes, rank = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
if processes > 1:
    distributed.init_process_group("gloo", f"file://{folder}/at", None, processes, rank)


def train(network, samples):
    if processes > 1:
        synchronized(network)
    own = samples.chunk(processes)[rank].clone(memory_format=torch.preserve_format)
    own.requires_grad_()
    for factor in (1, 2):
        outputs = network(factor * own)
        (outputs.sin() + outputs.square()).mean().backward()
    gradients = {key: parameter.grad for key, parameter in network.named_parameters()}
    if processes > 1:
        for gradient in gradients.values():
            distributed.all_reduce(gradient, distributed.ReduceOp.SUM)
            gradient /= processes
    state = network.state_dict()
    evaluated = network.eval()(samples)
    return outputs.detach(), own.grad / processes, gradients, state, evaluated.detach()


def rows():
    return nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))


def images():
    layers = (
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, momentum=None), nn.ReLU(), nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, affine=False), nn.ReLU(), nn.BatchNorm2d(4, track_running_stats=False),
    )
    return nn.Sequential(*layers).double().to(memory_format=torch.channels_last)


torch.manual_seed(0)
many = 3 + 2 * torch.randn(8, 5, dtype=torch.float64)
pictures = torch.randn(8, 2, 6, 6, dtype=torch.float64).to(memory_format=torch.channels_last)
compiled = rows().double()
compiled.compile(backend="eager")
with torch.autocast("cpu", torch.bfloat16):
    half = train(nn.BatchNorm1d(5), (100 + many).bfloat16())
results = {
    "rows": train(rows().double(), many),
    "float": train(rows(), many.float()),
    "half": half,
    "images": train(images(), pictures),
    "compiled": train(compiled, many),
    "generator": train(resnet.Generator(5, 28, 1, 2).double(), many),
    "checkpointed": train(resnet.Generator(5, 28, 1, 2, checkpointing=True).double(), many),
    "by hand": train(nn.BatchNorm1d(1), torch.tensor([[0.0], [2.0], [4.0], [6.0]])),
}
torch.save(results, f"{folder}/{processes}.{rank}")
if processes > 1:
    distributed.destroy_process_group()
"""

PRECISION = {"float": 1e-6, "by hand": 1e-6, "half": 0.02}  # bfloat16 has eight bits


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of each network its results, alone and on the first and the second of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, folder, *place])
        for place in (("1", "0"), ("2", "0"), ("2", "1"))
    ]
    assert [process.wait(timeout=100) for process in started] == [0, 0, 0]
    return [torch.load(folder / place) for place in ("1.0", "2.0", "2.1")]


@pytest.mark.parametrize(
    "name", ["rows", "float", "half", "images", "compiled", "generator", "checkpointed", "by hand"]
)
def test_two_processes_of_half_the_samples_are_one_of_all(
    trained: list[dict[str, Any]], name: str
) -> None:
    one, *two = (results[name] for results in trained)
    close = PRECISION.get(name, 1e-12)

    outputs, pulls, gradients, state, evaluated = zip(*two, strict=True)
    torch.testing.assert_close(torch.cat(outputs), one[0], rtol=close, atol=close)
    torch.testing.assert_close(torch.cat(pulls), one[1], rtol=close, atol=close)
    for own in gradients:
        torch.testing.assert_close(own, one[2], rtol=close, atol=close)
    # Running statistics are in float32 whatever the activations are in, and the same everywhere.
    torch.testing.assert_close(state[0], one[3], rtol=min(close, 1e-6), atol=min(close, 1e-6))
    torch.testing.assert_close(state[0], state[1], rtol=0, atol=0)
    torch.testing.assert_close(evaluated[0], one[4], rtol=close, atol=close)


def test_statistics_over_processes_by_hand(trained: list[dict[str, Any]]) -> None:
    # Of 0, 2 and 4, 6: mean 3, biased variance 5 and unbiased 20/3. Then of twice as much.
    for results, values in zip(trained[1:], ([0.0, 4.0], [8.0, 12.0]), strict=True):
        outputs, _, _, state, _ = results["by hand"]
        expected = (torch.tensor(values) - 6) / (20 + 1e-5) ** 0.5
        torch.testing.assert_close(outputs.flatten(), expected)
        assert state["running_mean"].item() == pytest.approx(0.9 * 0.3 + 0.1 * 6)
        running = 0.9 * (0.9 + 0.1 * 20 / 3) + 0.1 * 80 / 3
        assert state["running_var"].item() == pytest.approx(running)
        assert state["num_batches_tracked"] == 2


def test_channels_stay_last_over_processes(trained: list[dict[str, Any]]) -> None:
    for results in trained:
        outputs = results["images"][0]
        assert outputs.is_contiguous(memory_format=torch.channels_last)
        assert not outputs.is_contiguous()


@pytest.mark.parametrize("training", [True, False])
def test_a_process_alone_is_normalized_as_ever(training: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.BatchNorm1d(16))
    ordinary, keys = copy.deepcopy(network), list(network.state_dict())
    parameters = list(network.parameters())
    assert synchronized(network) is network
    kinds = [type(layer) for layer in network]
    assert kinds[1::2] == [SynchronizedBatchNorm] * 2
    assert list(network.state_dict()) == keys
    assert all(new is old for new, old in zip(network.parameters(), parameters, strict=True))

    batch = torch.randn(6, 2, 4, 4)
    for each in (network, ordinary):
        each.train(training)(batch).sin().sum().backward()
    for new, old in zip(network.parameters(), ordinary.parameters(), strict=True):
        assert new.grad is not None
        assert old.grad is not None
        assert torch.equal(new.grad, old.grad)
    assert torch.equal(network(batch), ordinary(batch))
    states = network.state_dict(), ordinary.state_dict()
    assert all(torch.equal(states[0][key], value) for key, value in states[1].items())


def test_a_batch_norm_is_exchanged_itself_and_other_normalizations_are_not() -> None:
    alone = synchronized(nn.BatchNorm2d(3))
    assert isinstance(alone, SynchronizedBatchNorm)
    assert isinstance(synchronized(nn.InstanceNorm2d(3)), nn.InstanceNorm2d)
    with pytest.raises(ValueError, match=r"\(N, C, \.\.\.\), not \(3,\)"):
        alone(torch.zeros(3))
