"""What a game costs: multiply-adds, and the energy that its device draws.

A multiply-add is one multiplication and one addition, half of the floating-point operations by
which torch's own formulas count matrix products and convolutions. Left out is what takes a few
operations a number: activations, normalizations, the spectral norm's power iteration, optimizers.

Copies of the networks run on fake tensors, which are shapes without values: nothing is computed,
drawn or changed.
"""

import copy
import importlib
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from touchstone.draws import Draws
from touchstone.gan import GAN, Part
from touchstone.terms import Term

# Two samples, for batch normalization refuses one; every count is in proportion to the samples.
_BATCH = 2

Module = TypeVar("Module", bound=nn.Module)


def multiply_adds(network: nn.Module, *inputs: Tensor | None) -> int:
    """Counts the multiply-adds of a forward pass, in eval mode.

    Args:
        network: any.
        inputs: what it maps; a batch of one sample gives the cost of a sample.

    Raises:
        Exception: of any type; the network asks for a tensor's values.
    """
    return _forward(network, *inputs)[1]


def of_game(gan: GAN) -> dict[str, float]:
    """Counts the multiply-adds of a game's networks and of its training.

    Returns:
        `generator` and `discriminator`: the forward pass of one sample. `image`: all of the
        training, for each real image that is shown. An iteration has `critic_steps` discriminator
        updates and a generator update, forward and backward, and shows `critic_steps * batch_size`
        images; a term that is due at one update in `every` counts with that share.

    Raises:
        Exception: of any type; a part of the game asks for a tensor's values.
    """
    latents, labels = _inputs(gan, 1)
    made, generator = _forward(gan.generator, latents, labels)
    sample = torch.zeros(made.shape, device=gan.device)
    intervals = {name: term.every for name, term in cast(dict[str, Term], gan.terms).items()}
    always = {name for name, every in intervals.items() if every == 1}
    iteration = _iteration(gan, always)
    lazy = sum(
        (_iteration(gan, always | {name}) - iteration) / every
        for name, every in intervals.items()
        if every > 1
    )
    return {
        "generator": generator,
        "discriminator": multiply_adds(gan.discriminator, sample, labels),
        "image": (iteration + lazy) / (gan.critic_steps * _BATCH),
    }


def _forward(network: nn.Module, *inputs: Tensor | None) -> tuple[Any, int]:
    """What a network gives, without values, and the multiply-adds that it takes."""
    mode = FakeTensorMode()
    copied = _copied(network, mode).eval().requires_grad_()
    fakes = [None if value is None else mode.from_tensor(value) for value in inputs]
    with mode, _counting() as counter:
        result = copied(*fakes)
    return result, counter.multiply_adds


def _iteration(gan: GAN, terms: Set[str]) -> int:
    """The multiply-adds of an iteration in which these terms are due."""
    mode = FakeTensorMode()
    game = _copied(gan, mode)
    draws = Draws(0, gan.device)
    with mode, _counting() as counter:
        latents, labels = _inputs(game, _BATCH)
        fake = game.generator(latents, labels)
        part = Part(torch.empty_like(fake), labels, latents, draws)
        loss, _ = game.discriminator_loss(part, fake.detach(), terms)
        torch.autograd.backward(loss)
        discriminator = counter.multiply_adds
        game.discriminator.requires_grad_(False)
        loss, _ = game.generator_loss(part, fake, terms)
        torch.autograd.backward(loss)
    return gan.critic_steps * discriminator + counter.multiply_adds - discriminator


def _inputs(gan: GAN, number: int) -> tuple[Tensor, Tensor | None]:
    """Latents and, for a generator of several `classes` or a term that needs them, labels."""
    latents = torch.zeros(number, gan.latent_size, device=gan.device)
    terms = cast(dict[str, Term], gan.terms).values()
    if not (getattr(gan.generator, "classes", 0) or any(term.needs_labels for term in terms)):
        return latents, None
    return latents, torch.zeros(number, dtype=torch.int64, device=gan.device)


def _copied(module: Module, mode: FakeTensorMode) -> Module:
    with FakeCopyMode(mode), torch.inference_mode(False):
        return copy.deepcopy(module)


@contextmanager
def _counting() -> Iterator["_Counter"]:
    """Counts what runs inside, attention as the products that it consists of."""
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        sdpa_kernel(SDPBackend.MATH),
        _Counter() as counter,
    ):
        yield counter


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what runs inside it.

    torch's own counter also follows the modules, in a way that rules out `autograd.grad`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0  # floating-point ones

    @property
    def multiply_adds(self) -> int:
        return self.operations // 2

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=result)
        return result


class Energy:
    """A meter of the energy that a device draws, whoever uses it, from now on."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._start = _drawn(device)

    def joules(self) -> float | None:
        """The energy so far, in J; None where the device does not tell."""
        now = _drawn(self.device)
        return None if now is None or self._start is None else now - self._start


def _drawn(device: torch.device) -> float | None:
    """What a GPU has drawn since its driver was loaded, in J, by NVIDIA's library `nvidia-ml-py`.

    Volta and later tell it; torch finds the GPU among those that `CUDA_VISIBLE_DEVICES` hides.
    """
    if device.type != "cuda":
        return None
    try:
        gpu = torch.cuda._get_pynvml_handler(device)
        library: Any = importlib.import_module("pynvml")
        return float(library.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000
    except Exception:  # of the library's own types, which is not always there
        return None
