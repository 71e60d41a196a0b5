"""The fixed networks whose features the metrics are computed on."""

import hashlib
import importlib
import io
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn import functional as F

from touchstone.errors import UsageError

# The SHA-256 of fashion.safetensors, printed by scripts/train_fashion_extractor.py.
FASHION_SHA256 = "c4017f157b62ba2bc1e0fd063a04664512660f2ffa1909073e7f6c0db00325ff"

INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
# By torch hub's convention the end of the file's name is the start of its SHA-256.
INCEPTION_SHA256_PREFIX = "6726825d"


class Extractor(nn.Module):
    """A fixed network that maps an image to a vector of features.

    A user's own is an heir that sets the three attributes and `forward`, chosen by
    `metrics.extractor=package.module.Class`. Whoever computes a metric freezes it.

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


def load(name: str, weights: str | Path | None = None) -> Extractor:
    """Makes an extractor, its weights at hand and checked.

    Args:
        name: `fashion`, `inception`, or a class of one's own as `package.module.Class`, which is
            called with `weights` if there are any and without arguments otherwise.
        weights: the file of the weights, for an extractor that does not bring its own.

    Raises:
        UsageError: no such extractor, or its weights cannot be had or used.
    """
    if name == "fashion":
        if weights is not None:
            raise UsageError(
                f"metrics.weights={weights} has no use: metrics.extractor=fashion brings its own "
                "weights. Leave metrics.weights out, or choose another metrics.extractor."
            )
        return Fashion()
    if name == "inception":
        return Inception(weights)
    if "." in name:
        extractor = _imported(name)
        made = extractor() if weights is None else extractor(weights)
        missing = [word for word in Extractor.__annotations__ if not hasattr(made, word)]
        if missing:
            raise UsageError(
                f"metrics.extractor={name} does not set {', '.join(missing)}, "
                "which every touchstone.metrics.extractors.Extractor has to."
            )
        return made
    raise UsageError(
        f"metrics.extractor={name} is unknown: choose fashion, inception, "
        "or a class of your own as package.module.Class."
    )


def _imported(path: str) -> type[Extractor]:
    module, _, attribute = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"metrics.extractor={path} cannot be imported: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, Extractor)):
        raise UsageError(
            f"metrics.extractor={path} is not a subclass of "
            "touchstone.metrics.extractors.Extractor, and has to be."
        )
    return found


def _fingerprint(weights: str, preprocessing: str) -> str:
    return hashlib.sha256(f"{weights} {preprocessing}".encode()).hexdigest()


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
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(self.num_features, 10))

    @staticmethod
    def _block(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
        return (
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def features(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 64)`."""
        pixels = _grey(images.float().div(255))
        if pixels.shape[-2:] != (28, 28):
            pixels = F.interpolate(pixels, (28, 28), mode="bilinear", antialias=True)
        features: Tensor = self.trunk((pixels - self.mean) / self.deviation)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to logits, float32 `(N, 10)`."""
        logits: Tensor = self.head(self.features(images))
        return logits


def _grey(pixels: Tensor) -> Tensor:
    """Takes the luminance (ITU-R BT.601) of colour pixels, `(N, 3, H, W)` to `(N, 1, H, W)`."""
    match pixels.shape[1]:
        case 1:
            return pixels
        case 3:
            weights = pixels.new_tensor([0.299, 0.587, 0.114])
            return torch.einsum("nchw,c->nhw", pixels, weights).unsqueeze(1)
        case channels:
            raise _channels("fashion", channels)


def _channels(name: str, channels: int) -> UsageError:
    return UsageError(
        f"metrics.extractor={name} takes images of 1 or 3 channels, not {channels}: "
        "choose another metrics.extractor."
    )


class Fashion(Extractor):
    """The penultimate layer of our classifier of Fashion-MNIST: 64 features.

    For small greyscale images, of which Inception says little. Any resolution (resized to 28x28,
    bilinear with antialiasing), grey or colour (its luminance). The weights lie in the package and
    are made by `scripts/train_fashion_extractor.py`.

    Raises:
        UsageError: the packaged weights are not the ones that this version was published with.
    """

    name = "fashion"
    num_features = FashionClassifier.num_features
    fingerprint = _fingerprint(FASHION_SHA256, "BT.601, bilinear antialiased to 28x28")

    def __init__(self) -> None:
        super().__init__()
        file = resources.files("touchstone.metrics") / "fashion.safetensors"
        content = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(content).hexdigest() != FASHION_SHA256:
            raise UsageError(f"{file} is missing or damaged: install touchstone again.")
        self.classifier = FashionClassifier()
        self.classifier.load_state_dict(load_safetensors(content))
        self.classifier.to(memory_format=torch.channels_last).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 64)`."""
        return self.classifier.features(images)


class Inception(Extractor):
    """The last pooling layer of the Inception of 2015, which published FIDs go by: 2,048 features.

    torch-fidelity's conversion of the TensorFlow weights, with TensorFlow's resizing to 299x299
    and not torchmetrics' antialiased one, so that the figures are torch-fidelity's. Grey images
    are repeated to three channels. Other weights than the published ones get another name.

    Args:
        weights: a file as torch-fidelity publishes it. Without one, torch hub's cache, and
            otherwise a download into it.

    Raises:
        UsageError: no weights to be had, or a file that is damaged, holds code, or is no Inception.
    """

    num_features = 2048

    def __init__(self, weights: str | Path | None = None) -> None:
        # Imported here since it takes a second that `fashion` need not spend.
        from torchmetrics.image.fid import NoTrainInceptionV3

        super().__init__()
        file = _published_inception() if weights is None else Path(weights).expanduser()
        try:
            content = file.read_bytes()
        except OSError as error:
            raise UsageError(
                f"metrics.weights={file} cannot be read ({error.strerror}): give the path of "
                f"{Path(INCEPTION_URL).name}, from {INCEPTION_URL}"
            ) from error
        digest = hashlib.sha256(content).hexdigest()
        try:
            # torch-fidelity unpickles whatever the file holds. It gets a copy, made here, of what
            # the restricted unpickler found, and never the file.
            harmless = io.BytesIO()
            torch.save(torch.load(io.BytesIO(content), "cpu", weights_only=True), harmless)
            harmless.seek(0)
            self.network = NoTrainInceptionV3(
                "inception-v3-compat",
                [str(self.num_features)],
                harmless,  # type: ignore[arg-type]  # handed on to torch.load, which takes it
                antialias=False,
            )
        except Exception as error:  # a damaged pickle may raise anything
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UsageError(
                f"{file} does not hold the weights of torch-fidelity's Inception ({reason}): "
                f"delete it, or give metrics.weights the path of {Path(INCEPTION_URL).name}, "
                f"from {INCEPTION_URL}"
            ) from error
        published = digest.startswith(INCEPTION_SHA256_PREFIX)
        self.name = "inception" if published else f"inception_{digest[:8]}"
        self.fingerprint = _fingerprint(digest, "repeated to 3 channels, TensorFlow 1 resizing")

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 2048)`."""
        if images.shape[1] not in (1, 3):
            raise _channels("inception", images.shape[1])
        features: Tensor = self.network(images.expand(-1, 3, -1, -1))
        return features


def _published_inception() -> Path:
    """The published file in torch hub's cache, downloaded if it is not there."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = folder / Path(INCEPTION_URL).name
    if not file.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(INCEPTION_URL, str(file), INCEPTION_SHA256_PREFIX)
        except (OSError, RuntimeError) as error:
            raise UsageError(
                f"metrics.extractor=inception needs its weights; the download failed ({error}). "
                f"Get {INCEPTION_URL} elsewhere and give metrics.weights its path, or put it at "
                f"{file}, or choose metrics.extractor=fashion."
            ) from error
    return file
