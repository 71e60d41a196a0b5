"""Activation checkpointing: memory for time (Chen et al. 2016, arXiv 1604.06174).

The backward pass needs what every layer was given. A checkpointed block keeps its own input alone,
and the backward pass runs it a second time for the rest.
"""

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint


class Checkpointed(nn.Sequential):
    """A sequence of layers, in training mode each that consists of layers itself checkpointed.

    Outputs, gradients and buffers are those of `nn.Sequential`, bit for bit. A gradient that is
    differentiated again is, too, but costs a block a third run, and saves little: its own graph
    holds what the second run computed. The blocks may draw no random numbers (no dropout).
    """

    def forward(self, features: Tensor) -> Tensor:
        """Maps features by one layer after the other."""
        recomputing = self.training and torch.is_grad_enabled()
        for layer in self:
            if recomputing and list(layer.children()):
                features = _checkpointed(layer, features)
            else:
                features = layer(features)
        return features


def _checkpointed(block: nn.Module, features: Tensor) -> Tensor:
    """Runs a block whose backward pass runs it again, as it was at this moment.

    A run in training mode moves buffers: batch normalization's running statistics, and the vectors
    of spectral normalization, by which its weight is divided. The second run starts from the
    buffers that the first one found, whatever passes came between, and moves copies of its own.
    """
    found = {name: buffer.clone() for name, buffer in block.named_buffers()}

    def again(features: Tensor) -> Tensor:
        copies = {name: buffer.clone() for name, buffer in found.items()}
        output: Tensor = functional_call(block, copies, features, tie_weights=False)
        return output

    runs: Iterator[Callable[[Tensor], Tensor]] = chain([block], repeat(again))
    output: Tensor = checkpoint(
        lambda features: next(runs)(features),
        features,
        use_reentrant=False,
        preserve_rng_state=False,
    )
    return output
