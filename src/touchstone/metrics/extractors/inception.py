"""The extractor `inception`: the network that published FIDs go by."""

import io
from pathlib import Path

import torch
from torch import Tensor, nn

from touchstone.metrics.extractors import preprocessing
from touchstone.metrics.extractors.extractor import Extractor, fingerprint
from touchstone.metrics.extractors.weights import Published, State

PUBLISHED = Published(
    extractor="inception",
    network="torch-fidelity's Inception",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    cached_as="weights-inception-2015-12-05-6726825d.pth",
)

# How images come to 299x299, by `protocol.resize`: the function, the extractor's name, and what
# the fingerprint says of it.
RESIZES = {
    "legacy": (preprocessing.tensorflow1, "inception", "TensorFlow 1 resizing"),
    "clean": (preprocessing.clean, "inception_clean", "bicubic antialiased to 299x299, clipped"),
}


class Inception(Extractor):
    """The last pooling layer of the Inception of 2015: 2,048 features, 1,008 classes.

    torch-fidelity's conversion of the TensorFlow weights. With `resize="legacy"` images are resized
    as TensorFlow 1 did, and the figures are torch-fidelity's; with `"clean"` as clean-fid does
    (Parmar et al. 2022, arXiv 2104.11222), under the name `inception_clean`. Grey images are
    repeated to three channels. Other weights than the published ones get another name.

    Args:
        weights: a file as torch-fidelity publishes it. Without one, torch hub's cache, and
            otherwise a download into it.
        resize: `legacy` or `clean`.

    Raises:
        UsageError: no weights to be had, or a file that is damaged, holds code, or is no Inception.
    """

    num_features = 2048
    classes = 1008

    def __init__(self, weights: str | Path | None = None, resize: str = "legacy") -> None:
        super().__init__()
        file = PUBLISHED.find(weights)
        self._resize, name, resizing = RESIZES[resize]
        # torch-fidelity's own `forward` takes uint8 alone, which cleanly resized pixels are not;
        # the layers stand in the network in the order in which it calls them.
        *layers, self.head = file.build(_network).children()
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        self.name = file.named(name)
        self.fingerprint = fingerprint(file.digest, f"repeated to 3 channels, {resizing}")

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 2048)`."""
        pixels = self._resize(preprocessing.colour(images, "inception"), 299)
        features: Tensor = self.trunk((pixels - 128) / 128)
        return features

    def logits(self, features: Tensor) -> Tensor:
        """Maps features `(N, 2048)` to logits `(N, 1008)`, without the head's bias.

        So the Inception Score has been computed since Salimans et al. 2016 (arXiv 1606.03498);
        torch-fidelity's `logits_unbiased`.
        """
        return features @ self.head.get_parameter("weight").T


def _network(state: State) -> nn.Module:
    # Imported here since it takes a second that `fashion` need not spend.
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # torch-fidelity unpickles whatever the file holds. It gets a copy, made here, of what
    # the restricted unpickler found, and never the file.
    harmless = io.BytesIO()
    torch.save(state, harmless)
    harmless.seek(0)
    network: nn.Module = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], harmless)
    return network
