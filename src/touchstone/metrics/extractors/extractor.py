"""What every extractor is: a fixed network that maps an image to features."""

import hashlib

from torch import Tensor, nn

from touchstone.errors import UsageError


class Extractor(nn.Module):
    """A fixed network that maps an image to a vector of features.

    A user's own is an heir that sets the three attributes and `forward`, chosen by
    `protocol.extractor=package.module.Class`. Whoever computes a metric freezes it.

    Attributes:
        name: stands in the name of every metric computed on it. Other weights, another name.
        num_features: how many features an image has.
        fingerprint: a hash of all that the features depend on, weights and preprocessing.
            Cached statistics are found by it.
    """

    name: str
    num_features: int
    fingerprint: str

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, C, H, W)`, to features, float32 `(N, num_features)`."""
        raise NotImplementedError

    def logits(self, features: Tensor) -> Tensor:
        """Maps features `(N, num_features)` to class logits, float32 `(N, classes)`.

        Raises:
            UsageError: this extractor is no classifier.
        """
        raise UsageError(
            f"{self.name} is no classifier and gives no class probabilities: choose "
            "protocol.extractor=inception or fashion, or a class of your own that has `logits`."
        )


def fingerprint(weights: str, preprocessing: str) -> str:
    """SHA-256, in hex, of the weights' own hash and of what is done to the pixels, in words."""
    return hashlib.sha256(f"{weights} {preprocessing}".encode()).hexdigest()
