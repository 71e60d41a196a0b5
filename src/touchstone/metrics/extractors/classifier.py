"""Our own small classifiers, whose weights come with the package."""

import hashlib
from collections.abc import Sequence
from importlib import resources

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from touchstone.errors import UsageError
from touchstone.metrics.extractors.preprocessing import grey


class Classifier(nn.Module):
    """A small classifier of grey images, whose penultimate layer gives an extractor's features.

    | layer                                                  | output             |
    | ------------------------------------------------------ | ------------------ |
    | grey, resized, standardised                            | (1, S, S)          |
    | 3x3 convolution, batch norm, ReLU                      | (w1, S, S)         |
    | 3x3 stride 2, batch norm, ReLU                         | (w2, S / 2, S / 2) |
    | 3x3 stride 2, batch norm, ReLU                         | (w3, S / 4, S / 4) |
    | dense, batch norm without scale or shift: the features | (F,)               |
    | ReLU, dense: the logits                                | (classes,)         |

    The features end in a batch norm without scale or shift, so that each has mean 0 and variance 1
    over the training images: no feature rules the distance by its unit.

    Args:
        extractor: that it is for, for messages.
        side: S, a multiple of 4.
        widths: w1, w2 and w3.
        num_features: F.
        classes: how many.
        mean: of the training pixels in [0, 1].
        deviation: likewise.
    """

    def __init__(
        self,
        extractor: str,
        *,
        side: int,
        widths: Sequence[int],
        num_features: int,
        classes: int,
        mean: float,
        deviation: float,
    ) -> None:
        super().__init__()
        self.extractor, self.side, self.mean, self.deviation = extractor, side, mean, deviation
        first, second, third = widths
        self.trunk = nn.Sequential(
            *self._block(1, first, stride=1),
            *self._block(first, second, stride=2),
            *self._block(second, third, stride=2),
            nn.Flatten(),
            nn.Linear(third * (side // 4) ** 2, num_features, bias=False),
            nn.BatchNorm1d(num_features, affine=False),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(num_features, classes))

    @staticmethod
    def _block(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
        return (
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def features(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, F)`."""
        pixels, size = grey(images, self.extractor), (self.side, self.side)
        if pixels.shape[-2:] != size:
            pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        features: Tensor = self.trunk((pixels - self.mean) / self.deviation)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to logits, float32 `(N, classes)`."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def trained(self, file: str, sha256: str) -> "Classifier":
        """Takes up the packaged weights, to be used and no longer trained.

        Args:
            file: their name in `touchstone.metrics`.
            sha256: theirs, in hex.

        Raises:
            UsageError: they are not those that this version was published with.
        """
        path = resources.files("touchstone.metrics") / file
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != sha256:
            raise UsageError(f"{path} is missing or damaged: install touchstone again.")
        self.load_state_dict(load_safetensors(content))
        self.to(memory_format=torch.channels_last).eval()
        self.trunk = folded(self.trunk)
        return self


def folded(trunk: nn.Sequential) -> nn.Sequential:
    """The same layers, each batch norm folded into the convolution before it: half the time."""
    layers: list[nn.Module] = []
    for layer in trunk:
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)  # type: ignore[type-var]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)
