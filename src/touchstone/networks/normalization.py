"""The discriminator's normalization, chosen by name.

`batch`, `layer` and `instance` act on activations, `spectral` acts on weights, `none` on nothing. A
discriminator puts `of_activations` between its layers and calls `of_weights` once it is built.

Where several processes train, `synchronized` gives batch normalization, in either network, the
statistics of all of their batches.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations

Module = TypeVar("Module", bound=nn.Module)

_OF_ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "spectral": lambda channels: nn.Identity(),
}


def of_activations(name: str, channels: int) -> nn.Module:
    """Makes the layer that normalizes activations `(N, channels, H, W)`, each with scale and shift.

    Args:
        name: `batch` (Ioffe & Szegedy 2015: each channel over the batch), `layer` (Ba et al. 2016:
            each sample over all of its channels and places), `instance` (Ulyanov et al. 2016: each
            channel of each sample), or `none` or `spectral`, which leave activations as they are.
        channels: of the activations.

    Raises:
        ValueError: for another name.
    """
    _check(name)
    return _OF_ACTIVATIONS[name](channels)


def of_weights(name: str, network: nn.Module) -> None:
    """Divides, for `spectral`, every layer's weight by its largest singular value.

    Miyato et al. 2018, equation 8 and algorithm 1: the weight of a convolution or a linear layer is
    taken as a matrix of a row for each output, and each forward pass in training mode is one step
    of its power iteration. Initialize weights before: afterwards a layer's `weight` is computed,
    and what is trained is its `parametrizations.weight.original`.

    Args:
        name: of the normalization; all but `spectral` leave the network as it is.
        network: changed in place.

    Raises:
        ValueError: for an unknown name.
    """
    _check(name)
    if name == "spectral":
        for module in list(network.modules()):
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                parametrizations.spectral_norm(module)


def has_shift(name: str) -> bool:
    """Says whether activations are shifted anyway, so that the layer before needs no bias."""
    return name in ("batch", "layer", "instance")


class SynchronizedBatchNorm(_BatchNorm):
    """Batch normalization over the batches of all processes, on any device (torch's has no CPU).

    In training mode every process makes the same passes, each on a batch of the same size, and the
    mean and variance are those of all batches together. Where each process's loss is the mean over
    its own batch, the mean of all processes' gradients is then that of one process which has all of
    the samples. In eval mode, or with one process, this is torch's batch normalization.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalizes activations `(N, C, ...)`, N this process's; statistics are in float32."""
        processes = _processes()
        if not self.training or processes == 1:
            return super().forward(input)
        self._check_input_dim(input)
        activations = input.to(torch.promote_types(input.dtype, torch.float32))
        mean, variance = _moments(activations)
        self._follow(mean, variance, processes * input.numel() // input.shape[1])

        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        shape = (-1, *(1 for _ in input.shape[2:]))
        normalized = torch.addcmul(shift.view(shape), activations, scale.view(shape))
        return normalized.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Moves the running statistics, the variance unbiased, towards those of `count` values."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = variance * (count / (count - 1))
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(unbiased.to(self.running_var), share)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"Activations have to be (N, C, ...), not {tuple(input.shape)}.")


def synchronized(network: Module) -> Module:
    """Makes every batch normalization of a network a `SynchronizedBatchNorm`, in place.

    Parameters, buffers and the keys of the state stay as they are.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = SynchronizedBatchNorm
    return network


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _moments(activations: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the biased variance, each `(C,)`, of the activations of all processes.

    Of equally many values each, mean = avg m_i and variance = avg (v_i + (m_i - mean)^2). Each
    process adds its m_i and v_i to zeros as a row of their own, so that one exchange is enough.
    """
    places = [dimension for dimension in range(activations.ndim) if dimension != 1]
    variance, mean = torch.var_mean(activations, places, correction=0)
    before = distributed.get_rank()
    after = distributed.get_world_size() - before - 1
    rows = functional.pad(torch.stack([mean, variance])[None], (0, 0, 0, 0, before, after))
    means, variances = _Sum.apply(rows).unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


class _Sum(torch.autograd.Function):
    """A tensor's sum over all processes, and its gradient's, for each sum enters every loss."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(gradient)
        return total


def _processes() -> int:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


def _check(name: str) -> None:
    if name not in _OF_ACTIVATIONS:
        names = ", ".join(_OF_ACTIVATIONS)
        raise ValueError(f"model.normalization={name} is unknown: it is one of {names}.")
