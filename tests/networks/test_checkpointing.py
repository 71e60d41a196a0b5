"""What is computed a second time is what was computed the first time, bit for bit."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from touchstone.networks.residual import Residual
from touchstone.networks.resnet import Discriminator, Generator

NETWORKS: dict[str, Callable[[bool], nn.Module]] = {
    "generator": lambda checkpointing: Generator(6, 28, 2, 4, checkpointing),
    "spectral": lambda checkpointing: Discriminator(28, 2, 4, "spectral", checkpointing),
    "layer": lambda checkpointing: Discriminator(28, 2, 4, "layer", checkpointing),
    "batch": lambda checkpointing: Discriminator(28, 2, 4, "batch", checkpointing),
}

each = pytest.mark.parametrize("name", NETWORKS)


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """The network as it is and its checkpointed twin, in training mode."""
    torch.manual_seed(0)
    plain, checkpointed = NETWORKS[name](False), NETWORKS[name](True)
    checkpointed.load_state_dict(plain.state_dict())
    return plain, checkpointed


def inputs(name: str, number: int = 0) -> Tensor:
    shape = (5, 6) if name == "generator" else (5, 2, 28, 28)
    return torch.randn(shape, generator=torch.Generator().manual_seed(number))


def one_pass(network: nn.Module, name: str) -> None:
    network(inputs(name)).sin().sum().backward()


def two_passes(network: nn.Module, name: str) -> None:
    """The second one moves every buffer before the first is run again."""
    first, second = network(inputs(name)), network(inputs(name, 1))
    (first.sin().sum() + second.cos().sum()).backward()


def two_backward_passes(network: nn.Module, name: str) -> None:
    loss = network(inputs(name)).sin().sum()
    loss.backward(retain_graph=True)
    loss.backward()


def gradient_penalty(network: nn.Module, name: str) -> None:
    """The gradient by the inputs is differentiated again, between two other passes."""
    first, leaf = network(inputs(name)), inputs(name, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf).sin().sum(), leaf, create_graph=True)
    penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    (first.sin().sum() + penalty + network(inputs(name, 2)).sum()).backward()


def mixed_precision(network: nn.Module, name: str) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        two_passes(network, name)


@each
@pytest.mark.parametrize(
    "step", [one_pass, two_passes, two_backward_passes, gradient_penalty, mixed_precision]
)
def test_gradients_and_buffers_are_the_same(
    name: str, step: Callable[[nn.Module, str], None]
) -> None:
    plain, checkpointed = pair(name)
    untouched = copy.deepcopy(plain.state_dict())
    for network in (plain, checkpointed):
        step(network, name)
    for (key, own), other in zip(plain.named_parameters(), checkpointed.parameters(), strict=True):
        assert own.grad is not None, key
        assert other.grad is not None, key
        assert own.grad.any(), key
        assert torch.equal(own.grad, other.grad), key
    twins = dict(checkpointed.named_buffers())
    for key, buffer in plain.named_buffers():
        assert torch.equal(buffer, twins[key]), key
        # The sole row of the last layer has the vector (1), which nothing moves.
        assert key.startswith("head") or not torch.equal(buffer, untouched[key]), key


@each
def test_a_step_of_training_later_outputs_and_states_are_the_same(name: str) -> None:
    plain, checkpointed = pair(name)
    for network in (plain, checkpointed):
        two_passes(network, name)
        torch.optim.Adam(network.parameters()).step()
    assert torch.equal(plain(inputs(name)), checkpointed(inputs(name)))
    assert torch.equal(plain.eval()(inputs(name)), checkpointed.eval()(inputs(name)))
    states = plain.state_dict(), copy.deepcopy(checkpointed).state_dict()
    assert list(states[0]) == list(states[1])
    assert all(
        torch.equal(own, other) for own, other in zip(*map(dict.values, states), strict=True)
    )


@each
def test_blocks_run_again_in_training_alone(name: str) -> None:
    network = pair(name)[1]
    runs: list[nn.Module] = []
    blocks = [module for module in network.modules() if isinstance(module, Residual)]
    for block in blocks:
        block.register_forward_pre_hook(lambda block, args: runs.append(block))

    network(inputs(name)).sum().backward()
    assert runs == blocks + blocks[::-1]
    runs.clear()
    with torch.no_grad():
        network(inputs(name))
    assert runs == blocks
    runs.clear()
    network.eval()(inputs(name).requires_grad_()).sum().backward()
    assert runs == blocks


def kept(network: nn.Module, inputs: Tensor) -> float:
    """Numbers of each sample that a forward pass leaves for the backward pass."""
    storages: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.shape[:1] == inputs.shape[:1]:  # no weight has as many outputs
            storages[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(inputs)
    return sum(tensor.numel() for tensor in storages.values()) / len(inputs)


def test_a_generator_keeps_the_inputs_of_its_blocks_and_what_its_last_layers_need() -> None:
    plain, checkpointed = pair("generator")
    # What the batch norm and the convolution after the blocks are given, and the tanh's samples.
    last = (8 + 8 + 2) * 28 * 28
    # The latent; and of each block what batch norm, ReLU and convolution are given in turn.
    assert kept(checkpointed, inputs("generator")) == 6 + 8 * 7 * 7 + 8 * 14 * 14 + last
    blocks = 2 * 8 * 7 * 7 + 3 * 8 * 14 * 14 + 2 * 8 * 14 * 14 + 3 * 8 * 28 * 28
    assert kept(plain, inputs("generator")) == 6 + blocks + last  # 2.6 times as much


def test_a_discriminator_keeps_the_inputs_of_its_blocks() -> None:
    plain, checkpointed = pair("spectral")
    last = 4 * 7 * 7 + 4  # the last ReLU, and its sums
    blocks = 2 * 28 * 28 + 4 * 14 * 14 + 2 * 4 * 7 * 7
    assert kept(checkpointed, inputs("spectral")) == blocks + last
    # Of each block: what convolutions and poolings are given.
    first = (2 + 4 + 4) * 28 * 28 + 2 * 14 * 14
    down = (4 + 4 + 4 + 4) * 14 * 14 + 4 * 7 * 7
    flat = (4 + 4) * 7 * 7
    assert kept(plain, inputs("spectral")) == first + down + 2 * flat + last  # 4.3 times as much
