"""The extractors `digits` and `stacked_digits`: our own classifier of scikit-learn's digits."""

from torch import Tensor

from touchstone.errors import UsageError
from touchstone.metrics.extractors.classifier import Classifier
from touchstone.metrics.extractors.extractor import Extractor, fingerprint
from touchstone.metrics.extractors.preprocessing import check

# The SHA-256 of digits.safetensors, printed by scripts/train_extractor.py.
DIGITS_SHA256 = "c68fa8b232eeea93f801bf39eb16e495127279016ba3f904042f83eb90d96d6e"


class DigitsClassifier(Classifier):
    """The classifier of scikit-learn's digits: 16 pixels a side, 32 features, 10 classes.

    Twice the digits' own 8 pixels, so that it sees more than they hold, and what a generator puts
    there.
    """

    num_features = 32
    classes = 10

    def __init__(self) -> None:
        super().__init__(
            "digits",
            side=16,
            widths=(16, 32, 64),
            num_features=self.num_features,
            classes=self.classes,
            # Of the training pixels in [0, 1], at 32x32.
            mean=0.3054,
            deviation=0.3237,
        )


class Digits(Extractor):
    """The penultimate layer of our classifier of scikit-learn's digits: 32 features, 10 classes.

    Any resolution (resized to 16x16, bilinear with antialiasing), grey or colour (its luminance).
    The weights lie in the package and are made by `scripts/train_extractor.py`.

    Raises:
        UsageError: the packaged weights are not the ones that this version was published with.
    """

    name = "digits"
    num_features = DigitsClassifier.num_features
    classes = DigitsClassifier.classes
    fingerprint = fingerprint(DIGITS_SHA256, "BT.601, bilinear antialiased to 16x16, folded")

    def __init__(self) -> None:
        super().__init__()
        self.classifier = DigitsClassifier().trained("digits.safetensors", DIGITS_SHA256)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 32)`."""
        return self.classifier.features(images)

    def logits(self, features: Tensor) -> Tensor:
        """Maps features `(N, 32)` to the digits' logits, `(N, 10)`."""
        logits: Tensor = self.classifier.head(features)
        return logits


class StackedDigits(Extractor):
    """The extractor `digits` on each colour channel by itself: 96 features, 1,000 classes.

    For three digits stacked as the channels of an image (Metz et al. 2017, section 3.3.1), whose
    class is the number that they make, the first channel its hundreds.

    Raises:
        UsageError: the packaged weights are not the ones that this version was published with.
    """

    name = "stacked_digits"
    num_features = 3 * Digits.num_features
    classes = Digits.classes**3
    fingerprint = fingerprint(DIGITS_SHA256, "each channel, bilinear antialiased to 16x16, folded")

    def __init__(self) -> None:
        super().__init__()
        self.digits = Digits()

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 3, H, W)`, to features, float32 `(N, 96)`.

        Raises:
            UsageError: images of another number of channels.
        """
        check(images, self.name)
        if images.shape[1] != 3:
            raise UsageError(
                "protocol.extractor=stacked_digits takes images of 3 channels, a digit in each, "
                "not of 1: choose protocol.extractor=digits."
            )
        features: Tensor = self.digits(images.flatten(0, 1).unsqueeze(1))
        return features.view(len(images), -1)

    def logits(self, features: Tensor) -> Tensor:
        """Maps features `(N, 96)` to the logarithms of the numbers' probabilities, `(N, 1000)`.

        The channels are judged by themselves, so a number's probability is its digits' product.
        """
        digits = self.digits.logits(features.view(len(features), 3, -1)).log_softmax(2)
        hundreds, tens, ones = digits.unbind(1)
        numbers = hundreds[:, :, None, None] + tens[:, None, :, None] + ones[:, None, None, :]
        return numbers.flatten(1)
