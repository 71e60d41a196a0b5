"""Self-attention between the places of a picture (Zhang et al. 2019, arXiv 1805.08318)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """Adds to each place what it looks up at all of them (section 3, equations 1 to 3).

    With places j that ask and i that answer,

    - `beta_ji = softmax_i f(x_i)ᵀ g(x_j)`, not scaled,
    - `o_j = v(sum_i beta_ji h(x_i))`,
    - `y_j = gamma o_j + x_j`, gamma learned from 0 on, so that the layer starts as the identity.

    f, g, h and v are 1x1 convolutions without a bias; f and g have C/8 channels. As in the code
    that the authors released, and in BigGAN after it, h has C/2, and f and h are max-pooled, each
    2x2 places to one: a quarter of the products. The paper's text has C/8 and all places.

    The products are written out: the fused attention of torch on a GPU cannot be differentiated
    twice, as a gradient penalty has to.

    Args:
        channels: C, of the features; at least 2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 8)
        self.query = nn.Conv2d(channels, narrow, 1, bias=False)  # g
        self.key = nn.Conv2d(channels, narrow, 1, bias=False)  # f
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)  # h
        self.output = nn.Conv2d(channels // 2, channels, 1, bias=False)  # v
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Maps features `(N, C, H, W)`, H and W at least 2, to the same shape."""
        queries = _rows(self.query(features))
        keys = _rows(functional.max_pool2d(self.key(features), 2))
        values = _rows(functional.max_pool2d(self.value(features), 2))
        attention = functional.softmax(queries @ keys.mT, dim=2)  # (N, HW, HW / 4)
        answers = torch.unflatten(attention @ values, 1, features.shape[2:]).movedim(-1, 1)
        attended: Tensor = features + self.gamma * self.output(answers)
        return attended


def _rows(features: Tensor) -> Tensor:
    """Turns features `(N, C, H, W)` to a row for each place, `(N, HW, C)`."""
    return features.movedim(1, -1).flatten(1, 2)
