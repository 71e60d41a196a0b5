"""What the processes of one run agree on, through torch.distributed.

Every process has an equal share of a global batch. With one process, or none that were started
together, nothing is sent.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, distributed


def number() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if _together() else 1


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if _together() else 0


def mean(value: Tensor) -> Tensor:
    """The mean of a tensor over the processes, through which gradients flow.

    It is made for losses whose gradients are averaged over the processes afterwards: each process
    then has the gradient that one with the whole batch would have.

    Args:
        value: of the same shape in every process.
    """
    return value if number() == 1 else total(value) / number()


def total(value: Tensor) -> Tensor:
    """The sum of a tensor over the processes, through which gradients flow, any number of times."""
    result: Tensor = _Total.apply(value)
    return result


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Puts in place of floating tensors, of the same shapes everywhere, their means.

    They travel in one piece, as they lie in memory: one message however many tensors there are, and
    whatever way their values came about (a second derivative, several passes, several batches).
    """
    if number() == 1 or not tensors:
        return
    kind = reduce(torch.promote_types, (tensor.dtype for tensor in tensors))
    sizes = [tensor.numel() for tensor in tensors]
    flat = torch.empty(sum(sizes), dtype=kind, device=tensors[0].device)
    pieces = [
        _laid_out(piece, tensor)
        for piece, tensor in zip(torch.split(flat, sizes), tensors, strict=True)
    ]
    torch._foreach_copy_(pieces, list(tensors))
    distributed.all_reduce(flat)
    flat /= number()
    torch._foreach_copy_(list(tensors), pieces)


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


class _Total(torch.autograd.Function):
    """The gradient's sum goes back, for each process's loss depends on the sum."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        result = value.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient)


def _laid_out(piece: Tensor, tensor: Tensor) -> Tensor:
    """Views a piece of memory as a tensor, its numbers in that tensor's order if it is dense."""
    if tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last):
        return piece.as_strided(tensor.shape, tensor.stride())
    return piece.view(tensor.shape)
