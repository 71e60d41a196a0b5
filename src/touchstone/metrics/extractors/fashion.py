"""The extractor `fashion`: our own small classifier of Fashion-MNIST."""

from torch import Tensor

from touchstone.metrics.extractors.classifier import Classifier
from touchstone.metrics.extractors.extractor import Extractor, fingerprint

# The SHA-256 of fashion.safetensors, printed by scripts/train_extractor.py.
FASHION_SHA256 = "c4017f157b62ba2bc1e0fd063a04664512660f2ffa1909073e7f6c0db00325ff"


class FashionClassifier(Classifier):
    """The classifier of Fashion-MNIST: 28 pixels a side, 64 features, 10 classes."""

    num_features = 64
    classes = 10

    def __init__(self) -> None:
        super().__init__(
            "fashion",
            side=28,
            widths=(24, 48, 96),
            num_features=self.num_features,
            classes=self.classes,
            # Of Fashion-MNIST's training pixels in [0, 1].
            mean=0.2860,
            deviation=0.3530,
        )


class Fashion(Extractor):
    """The penultimate layer of our classifier of Fashion-MNIST: 64 features, 10 classes.

    For small greyscale images, of which Inception says little. Any resolution (resized to 28x28,
    bilinear with antialiasing), grey or colour (its luminance). The weights lie in the package and
    are made by `scripts/train_extractor.py`.

    Raises:
        UsageError: the packaged weights are not the ones that this version was published with.
    """

    name = "fashion"
    num_features = FashionClassifier.num_features
    classes = FashionClassifier.classes
    fingerprint = fingerprint(FASHION_SHA256, "BT.601, bilinear antialiased to 28x28, folded")

    def __init__(self) -> None:
        super().__init__()
        self.classifier = FashionClassifier().trained("fashion.safetensors", FASHION_SHA256)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 64)`."""
        return self.classifier.features(images)

    def logits(self, features: Tensor) -> Tensor:
        """Maps features `(N, 64)` to the logits of Fashion-MNIST's classes, `(N, 10)`."""
        logits: Tensor = self.classifier.head(features)
        return logits
