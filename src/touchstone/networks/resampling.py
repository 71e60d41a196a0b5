"""Resampling by the filter [1, 3, 3, 1] (Karras et al. 2020, arXiv 1912.04958, appendix B)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d


class Filter(nn.Module):
    """Filters every channel by [1, 3, 3, 1] / 8 both ways.

    Args:
        padding: rows and columns of zeros at each side; the outputs are 2 * padding - 3 more.
        stride: from one output to the next.
        gain: factor of the filter.
    """

    taps: Tensor

    def __init__(self, padding: int, stride: int = 1, gain: float = 1.0) -> None:
        super().__init__()
        self.padding, self.stride = padding, stride
        row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("taps", gain * row.outer(row).expand(1, 1, 4, 4), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `(N, C, H, W)` to filtered ones."""
        channels = features.shape[1]
        taps = self.taps.to(features.dtype).expand(channels, 1, 4, 4)
        return conv2d(features, taps, stride=self.stride, padding=self.padding, groups=channels)


class Upsample(Filter):
    """Doubles the side: zeros between the pixels, then the filter."""

    def __init__(self) -> None:
        super().__init__(padding=1, stride=2, gain=4.0)  # one place in four has a value

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `(N, C, H, W)` to `(N, C, 2H, 2W)`."""
        channels = features.shape[1]
        taps = self.taps.to(features.dtype).expand(channels, 1, 4, 4)
        return conv_transpose2d(features, taps, stride=2, padding=1, groups=channels)


class Downsample(Filter):
    """Halves the side: the filter, then every second pixel."""

    def __init__(self) -> None:
        super().__init__(padding=1, stride=2)
