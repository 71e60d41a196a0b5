"""Minibatch standard deviation: shows a discriminator how varied samples are."""

import torch
from torch import Tensor, nn


class MinibatchDeviation(nn.Module):
    """Adds a channel that says how much samples differ from each other (Karras et al. 2018).

    arXiv 1710.10196, section 3: each feature's standard deviation over a group of samples, at each
    place; their mean over features and places, repeated at every place. A group is four samples in
    a row, so that processes and micro-batches of a multiple of four give what one whole batch
    would; the last group holds what is left.

    Attributes:
        mixes_samples: that a sample's logit depends on others that are judged with it.
    """

    mixes_samples = True

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `(N, C, H, W)` to `(N, C + 1, H, W)`."""
        size = min(4, len(features))
        left = len(features) % size
        whole = features[: len(features) - left]
        deviations = _deviations(whole.reshape(-1, size, *features.shape[1:]))
        if left:
            deviations = torch.cat([deviations, _deviations(features[None, -left:])])
        channel = torch.ones_like(features[:, :1]) * deviations.to(features)[:, None, None, None]
        return torch.cat([features, channel], dim=1)


def _deviations(groups: Tensor) -> Tensor:
    """Gives each sample of groups `(G, S, C, H, W)` its group's mean deviation, `(G * S,)`."""
    variances = groups.float().var(dim=1, correction=0)
    # Its slope at 0, where all samples are alike, stays finite.
    deviations = (variances + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return deviations.repeat_interleave(groups.shape[1])
