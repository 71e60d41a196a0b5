"""How a printed code lies in a sample: the picture, and beside it the template of its symbols.

A sample is `(N, 2, 3 S, 3 S)` for S by S symbols: the first channel is the picture, the second the
template, three pixels a symbol, black being -1 and white 1.
"""

import torch
from torch import Tensor

PIXELS = 3  # of a sample, across a symbol


def beside(pictures: Tensor, symbols: Tensor) -> Tensor:
    """Samples of pictures `(N, 1, 3 S, 3 S)` and the symbols `(N, S, S)` of their templates."""
    return torch.cat([pictures, enlarged(symbols)[:, None].to(pictures)], dim=1)


def symbols_of(templates: Tensor) -> Tensor:
    """The symbols `(N, S, S)` of templates `(N, 1, 3 S, 3 S)`."""
    return templates[:, 0, PIXELS // 2 :: PIXELS, PIXELS // 2 :: PIXELS]


def enlarged(symbols: Tensor, points: int = PIXELS) -> Tensor:
    """Symbols `(N, S, S)` at so many points across each, `(N, points S, points S)`."""
    return symbols.repeat_interleave(points, dim=1).repeat_interleave(points, dim=2)
