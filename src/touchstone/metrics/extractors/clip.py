"""The extractor `clip`: the image encoder of CLIP ViT-B/32."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from touchstone.metrics.extractors import preprocessing
from touchstone.metrics.extractors.extractor import Extractor, fingerprint
from touchstone.metrics.extractors.weights import Published, State

_SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"


def _archive(content: bytes) -> State:
    """Reads a TorchScript archive, which can hold code: let the hash be checked before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out, and says so
        state: State = torch.jit.load(  # type: ignore[no-untyped-call]
            io.BytesIO(content), "cpu"
        ).state_dict()
    return state


PUBLISHED = Published(
    extractor="clip",
    network="OpenAI's CLIP ViT-B/32",
    url=f"https://openaipublic.azureedge.net/clip/models/{_SHA256}/ViT-B-32.pt",
    sha256=_SHA256,
    cached_as=f"clip-vit-b-32-{_SHA256}.pt",  # where torch-fidelity looks for it, too
    read=_archive,
)


class CLIP(Extractor):
    """The image encoder of CLIP ViT-B/32 (Radford et al. 2021, arXiv 2103.00020): 512 features.

    torch-fidelity's `clip-vit-b-32`, with its preprocessing: resized as TensorFlow 1 did to
    224x224, standardised by CLIP's mean and deviation. Grey images are repeated to three channels.
    Other weights than the published ones get another name.

    Args:
        weights: the file as OpenAI publishes it, or the state dictionary of a CLIP in safetensors
            or torch's format. Without one, torch hub's cache, and otherwise a download into it.

    Raises:
        UsageError: no weights to be had, or a file that is damaged, holds code, or is no CLIP.
    """

    mean = (0.48145466, 0.4578275, 0.40821073)
    deviation = (0.26862954, 0.26130258, 0.27577711)

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        file = PUBLISHED.find(weights)
        self.network = file.build(_network)
        self.name = file.named("clip")
        self.num_features = self.network.output_dim
        self.fingerprint = fingerprint(
            file.digest, "repeated to 3 channels, TensorFlow 1 resizing, CLIP's mean and deviation"
        )

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 512)`."""
        pixels = preprocessing.colour(images, "clip")
        resized = preprocessing.tensorflow1(pixels, self.network.input_resolution)
        standardized = preprocessing.standardize(resized, self.mean, self.deviation)
        features: Tensor = self.network(standardized)
        return features


def _network(state: State) -> Any:
    from torch_fidelity.feature_extractor_clip import build_model

    # A copy, since torch-fidelity takes the text's tensors out of what it is given.
    return build_model(dict(state), torch.float32).visual
