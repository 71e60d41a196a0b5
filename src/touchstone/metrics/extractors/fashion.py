"""The extractor `fashion`: our own small classifier of Fashion-MNIST."""

import hashlib
from importlib import resources

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from touchstone.errors import UsageError
from touchstone.metrics.extractors.extractor import Extractor, fingerprint
from touchstone.metrics.extractors.preprocessing import grey

# The SHA-256 of fashion.safetensors, printed by scripts/train_fashion_extractor.py.
FASHION_SHA256 = "c4017f157b62ba2bc1e0fd063a04664512660f2ffa1909073e7f6c0db00325ff"


class FashionClassifier(nn.Module):
    """A small classifier of Fashion-MNIST, whose penultimate layer is the extractor `fashion`.

    | layer                                   | output       |
    | --------------------------------------- | ------------ |
    | grey, 28x28, standardised               | (1, 28, 28)  |
    | 3x3 convolution, batch norm, ReLU       | (24, 28, 28) |
    | 3x3 stride 2, batch norm, ReLU          | (48, 14, 14) |
    | 3x3 stride 2, batch norm, ReLU          | (96, 7, 7)   |
    | dense, batch norm without scale: the features | (64,)  |
    | ReLU, dense: the logits                 | (10,)        |

    The features end in a batch norm without scale or shift, so that each has mean 0 and variance 1
    over the training images: no feature rules the distance by its unit.
    """

    num_features = 64
    classes = 10
    # Mean and deviation of Fashion-MNIST's training pixels in [0, 1].
    mean, deviation = 0.2860, 0.3530

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *self._block(1, 24, stride=1),
            *self._block(24, 48, stride=2),
            *self._block(48, 96, stride=2),
            nn.Flatten(),
            nn.Linear(96 * 7 * 7, self.num_features, bias=False),
            nn.BatchNorm1d(self.num_features, affine=False),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(self.num_features, self.classes))

    @staticmethod
    def _block(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
        return (
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def features(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 64)`."""
        pixels = grey(images, "fashion")
        if pixels.shape[-2:] != (28, 28):
            pixels = F.interpolate(pixels, (28, 28), mode="bilinear", antialias=True)
        features: Tensor = self.trunk((pixels - self.mean) / self.deviation)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to logits, float32 `(N, 10)`."""
        logits: Tensor = self.head(self.features(images))
        return logits


def folded(trunk: nn.Sequential) -> nn.Sequential:
    """The same layers, each batch norm folded into the convolution before it: half the time."""
    layers: list[nn.Module] = []
    for layer in trunk:
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)  # type: ignore[type-var]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


class Fashion(Extractor):
    """The penultimate layer of our classifier of Fashion-MNIST: 64 features, 10 classes.

    For small greyscale images, of which Inception says little. Any resolution (resized to 28x28,
    bilinear with antialiasing), grey or colour (its luminance). The weights lie in the package and
    are made by `scripts/train_fashion_extractor.py`.

    Raises:
        UsageError: the packaged weights are not the ones that this version was published with.
    """

    name = "fashion"
    num_features = FashionClassifier.num_features
    classes = FashionClassifier.classes
    fingerprint = fingerprint(FASHION_SHA256, "BT.601, bilinear antialiased to 28x28, folded")

    def __init__(self) -> None:
        super().__init__()
        file = resources.files("touchstone.metrics") / "fashion.safetensors"
        content = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(content).hexdigest() != FASHION_SHA256:
            raise UsageError(f"{file} is missing or damaged: install touchstone again.")
        self.classifier = FashionClassifier()
        self.classifier.load_state_dict(load_safetensors(content))
        self.classifier.to(memory_format=torch.channels_last).eval()
        self.classifier.trunk = folded(self.classifier.trunk)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 64)`."""
        return self.classifier.features(images)

    def logits(self, features: Tensor) -> Tensor:
        """Maps features `(N, 64)` to the logits of Fashion-MNIST's classes, `(N, 10)`."""
        logits: Tensor = self.classifier.head(features)
        return logits
