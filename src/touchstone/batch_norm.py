"""Batch normalization by the statistics of all processes' batches together."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from touchstone.processes import number, rank, total

Module = TypeVar("Module", bound=nn.Module)


class SynchronizedBatchNorm(_BatchNorm):
    """Batch normalization over the batches of all processes, on any device (torch's has no CPU).

    In training mode every process makes the same passes, each on a batch of the same size, and the
    mean and variance are those of all batches together. Where each process's loss is the mean over
    its own batch, the mean of all processes' gradients is then that of one process which has all of
    the samples. In eval mode, or with one process, this is torch's batch normalization.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalizes activations `(N, C, ...)`, N this process's; statistics are in float32."""
        processes = number()
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
    before, after = rank(), number() - rank() - 1
    rows = functional.pad(torch.stack([mean, variance])[None], (0, 0, 0, 0, before, after))
    means, variances = total(rows).unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)
