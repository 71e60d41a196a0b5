"""How far the images move as the latent moves."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from touchstone.data.files import alone
from touchstone.data.images import quantize
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.extractors.weights import State, tensors
from touchstone.metrics.sets import Sets, features_of
from touchstone.reproducible import settle_vector_math
from touchstone.sampling import CHUNK, labels, latents

VGG_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
# By torch hub's convention the end of the file's name is the start of its SHA-256.
VGG_SHA256 = "397923af"

Values: TypeAlias = npt.NDArray[np.float64]


class Distance(Protocol):
    """A squared distance of images, and the step along a path that it can be trusted with.

    Attributes:
        figure: the name of the path length that is measured by it.
        step: the part of the way from one latent to the other.
    """

    figure: str
    step: float

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """The distances, `(n,)`, of samples `(n, C, H, W)` in [-1, 1]."""


class PathLength:
    """The perceptual path length E[d(G(slerp(z1, z2; 0)), G(slerp(z1, z2; e))) / e^2].

    Karras et al. 2019 (StyleGAN), section 4.1, in the space of the latents, from the paths' ends
    as torch-fidelity does: along a great circle every point is like its start. The latents are
    N(0, I), the two samples of a pair have one label, and the distances below the first percentile
    and above the last are left out, as in the authors' code.

    By `features`, d is the squared difference of the extractor's features, a mean over them, and
    e = 0.03. The paper's e = 1e-4 moves hardly a pixel by a grey level, and extractors see whole
    grey levels: the figure would be that of the rounding. With e = 0.03 the rounding adds 0.5 % to
    a DCGAN's figure on Fashion-MNIST and 1 % to a WGAN-GP's, and the length of the step takes 11 %
    and 5 % from their limits for a small e. By `lpips`, d and e are the paper's, on samples that
    are not rounded, and the figure is called `ppl_lpips`.

    Args:
        extractor: what `features` are taken by.
        distance: `features` or `lpips`, which needs VGG16's weights.
        samples: how many pairs.

    Raises:
        UsageError: there is no such distance, or its weights cannot be had; or too few samples.
    """

    higher_is_better = False
    extractor: Extractor | None = None  # of no set: its own samples are compared

    def __init__(
        self, extractor: Extractor, distance: str = "features", samples: int = 10_000
    ) -> None:
        if distance not in DISTANCES:
            raise UsageError(
                f"metrics.figures.ppl.distance={distance}: it has to be {' or '.join(DISTANCES)}"
            )
        if samples < 1:
            raise UsageError(f"metrics.figures.ppl.samples={samples}: it has to be 1 or more")
        self._distance = DISTANCES[distance](extractor)
        self._features = extractor.fingerprint if distance == "features" else distance
        self._samples = samples

    def check(self, sets: Sets) -> None:
        """Refuses images whose generator is not at hand."""
        if sets.generated.generator is None:
            raise UsageError(
                f"{sets.generated.name}: metrics=ppl needs the generator that made the images: "
                "evaluate a run, or leave metrics=ppl out"
            )

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The mean, as `ppl_EXTRACTOR` or `ppl_lpips`, and the deviation over the pairs."""
        generator = sets.generated.generator
        assert generator is not None, "checked"
        lengths = path_lengths(generator, self._distance, self._samples, sets.generated.device)
        kept = within_percentiles(lengths.numpy())
        figure = self._distance.figure
        return {figure: float(kept.mean()), f"{figure}/deviation": float(kept.std())}


@torch.inference_mode()
def path_lengths(
    generator: nn.Module, distance: Distance, number: int, device: torch.device | str
) -> Tensor:
    """The squared distances of pairs of samples, over the squared step, float64 `(number,)`.

    Args:
        generator: on `device`; says its `latent_size`, a conditional one its `classes`.
        distance: of a pair of samples.
        number: how many pairs.
        device: where samples are made and compared.

    Raises:
        UsageError: samples that are not finite.
    """
    from torch_fidelity.noise import batch_slerp_any

    settle_vector_math()
    size, classes = int(generator.latent_size), int(getattr(generator, "classes", 0) or 0)  # type: ignore[arg-type]
    starts = latents(number, size, seed=0)
    moved = batch_slerp_any(starts, latents(number, size, seed=1), distance.step)
    given = (labels(number, classes),) if classes else ()
    was_training = generator.training
    generator.eval()
    try:
        lengths = []
        for rows in torch.split(torch.arange(number), CHUNK):
            label = [one[rows].to(device) for one in given]
            first, second = (generator(end[rows].to(device), *label) for end in (starts, moved))
            if not (first.isfinite().all() and second.isfinite().all()):
                raise UsageError("metrics=ppl: the generator's samples are not finite")
            lengths.append(distance(first, second).cpu().double() / distance.step**2)
    finally:
        generator.train(was_training)
    return torch.cat(lengths)


def within_percentiles(values: Values) -> Values:
    """The values from the first percentile to the 99th, both rounded outwards."""
    low = np.percentile(values, 1, method="lower")
    high = np.percentile(values, 99, method="higher")
    kept: Values = values[(low <= values) & (values <= high)]
    return kept


class FeatureDistance:
    """The mean squared difference of an extractor's features, on images of 256 grey levels.

    Args:
        extractor: what the features are taken by.
    """

    step = 0.03

    def __init__(self, extractor: Extractor) -> None:
        self.figure = f"ppl_{extractor.name}"
        self._extractor = extractor

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """The distances, `(n,)`, of samples `(n, C, H, W)` in [-1, 1]."""
        extractor = self._extractor.requires_grad_(False).eval().to(first.device)
        features = [features_of(extractor, quantize(samples)) for samples in (first, second)]
        return (features[0] - features[1]).square().mean(1)


class LPIPS:
    """The Learned Perceptual Image Patch Similarity on VGG16 (Zhang et al. 2018, version 0.1).

    torchmetrics' network, which brings the learned weights of the features. Samples of more than
    256 pixels a side are averaged down to 256, as in StyleGAN; grey ones are repeated to colour.

    Args:
        vgg: torchvision's weights of VGG16.
    """

    figure, step = "ppl_lpips", 1e-4

    def __init__(self, vgg: State) -> None:
        from torchmetrics.functional.image.lpips import _NoTrainLpips

        # torchmetrics would unpickle torchvision's file without a restriction: it loads none here,
        # and cuts torchvision's list of layers into five, each layer keeping its number.
        self._network = _NoTrainLpips(net="vgg", pnet_rand=True)
        for layers in self._network.net.children():
            layers.load_state_dict({name: vgg[f"features.{name}"] for name in layers.state_dict()})

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """The distances, `(n,)`, of samples `(n, 1 or 3, H, W)` in [-1, 1]."""
        compared = [samples.expand(-1, 3, -1, -1) for samples in (first, second)]
        if max(first.shape[-2:]) > 256:
            compared = [nn.functional.adaptive_avg_pool2d(samples, 256) for samples in compared]
        distances: Tensor = self._network.to(first.device)(*compared)
        return distances.flatten()


def published_vgg() -> State:
    """Torchvision's weights of VGG16, from torch hub's cache or else by a download into it.

    Raises:
        UsageError: the download failed, or the file is not the published one.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / VGG_URL.rpartition("/")[2]
    try:
        with alone(path):
            if not path.exists():
                torch.hub.download_url_to_file(VGG_URL, str(path), VGG_SHA256)
        content = path.read_bytes()
    except (OSError, RuntimeError) as error:
        raise UsageError(
            "metrics.figures.ppl.distance=lpips needs VGG16's weights; the download failed "
            f"({error}). Get {VGG_URL} elsewhere and put it at {path}, or leave "
            "metrics.figures.ppl.distance=features"
        ) from error
    if not hashlib.sha256(content).hexdigest().startswith(VGG_SHA256):
        raise UsageError(f"{path} is not the file published at {VGG_URL}: delete it")
    return tensors(content)


DISTANCES: dict[str, Callable[[Extractor], Distance]] = {
    "features": FeatureDistance,
    "lpips": lambda extractor: LPIPS(published_vgg()),
}
