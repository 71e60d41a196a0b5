import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
from torch_fidelity.feature_extractor_inceptionv3 import (
    FeatureExtractorInceptionV3 as TorchFidelity,
)

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor, inception, load, preprocessing
from touchstone.metrics.gaussian import Gaussian, frechet_distance

Noise = Callable[..., Tensor]
Features = Callable[[Extractor, Tensor], Tensor]


class Pictures(Dataset[Tensor]):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def test_inception_gives_torch_fidelitys_features_and_logits(
    inception_file: Path, noise: Noise, features: Features
) -> None:
    images = noise(2, 3, 32, 32)
    network = TorchFidelity("theirs", ["2048", "logits_unbiased"], inception_file)
    theirs, logits = network(images)
    ours = load("inception", inception_file)
    taken = features(ours, images)
    assert theirs.std() > 1e-3
    assert torch.equal(taken, theirs)
    assert logits.std() > 1e-3
    assert torch.equal(ours.logits(taken), logits)
    assert logits.shape == (2, inception.Inception.classes) == (2, 1008)


def test_inception_repeats_grey_images_and_refuses_other_channels(
    inception_file: Path, noise: Noise, features: Features
) -> None:
    ours, single = load("inception", inception_file), noise(1, 1, 32, 32)
    assert torch.equal(features(ours, single), features(ours, single.repeat(1, 3, 1, 1)))
    with pytest.raises(UsageError, match="inception takes images of 1 or 3 channels, not 2"):
        features(ours, noise(1, 2, 32, 32))


def test_clean_inception_is_torch_fidelitys_network_on_cleanly_resized_floats(
    inception_file: Path, noise: Noise, features: Features
) -> None:
    images = noise(1, 3, 32, 32)
    pixels = preprocessing.clean(images.float(), 299)
    network = TorchFidelity("theirs", ["2048"], inception_file)
    # It takes uint8 alone: what its own resizing has made is replaced before the first layer.
    network.Conv2d_1a_3x3.register_forward_pre_hook(lambda *_: (pixels - 128) / 128)
    theirs = network(images)[0]
    clean, legacy = (load("inception", inception_file, resize) for resize in ("clean", "legacy"))
    assert torch.equal(features(clean, images), theirs)
    assert (features(legacy, images) - theirs).abs().max() > 0.01


def test_other_weights_or_resizing_have_other_names(
    inception_file: Path, digest: Callable[[Path], str]
) -> None:
    legacy, clean = (load("inception", inception_file, resize) for resize in ("legacy", "clean"))
    hash8 = digest(inception_file)[:8]
    assert (legacy.name, clean.name) == (f"inception_{hash8}", f"inception_clean_{hash8}")
    prints = {legacy.fingerprint, clean.fingerprint, load("fashion").fingerprint}
    assert len(prints) == 3


def test_published_weights_give_the_plain_names(
    inception_file: Path, monkeypatch: pytest.MonkeyPatch, digest: Callable[[Path], str]
) -> None:
    assert inception.PUBLISHED.url == URL_INCEPTION_V3
    published = replace(inception.PUBLISHED, sha256=digest(inception_file))
    monkeypatch.setattr(inception, "PUBLISHED", published)
    assert load("inception", inception_file).name == "inception"
    assert load("inception", inception_file, "clean").name == "inception_clean"


def test_inceptions_fid_is_torch_fidelitys_with_the_file_in_hubs_cache(
    inception_file: Path, hub: Path, noise: Noise, features: Features
) -> None:
    shutil.copy(inception_file, hub / "weights-inception-2015-12-05-6726825d.pth")
    generated, real = noise(5, 3, 32, 32), noise(6, 3, 32, 32, seed=1) // 2
    theirs = calculate_metrics(
        input1=Pictures(generated),
        input2=Pictures(real),
        fid=True,
        feature_extractor_weights_path=str(inception_file),
        cuda=False,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
    )["frechet_inception_distance"]
    ours = load("inception")
    distance = frechet_distance(
        Gaussian.of(features(ours, generated)), Gaussian.of(features(ours, real))
    )
    # A difference of 3e-8 was found, of the eigenvalues that should be 0.
    assert theirs > 1
    assert distance == pytest.approx(theirs, rel=1e-6)
