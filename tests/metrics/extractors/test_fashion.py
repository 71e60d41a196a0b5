import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from touchstone import metrics
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor, Fashion, fashion, load

CLOTHES = Path("/usr/share/datasets/fashion-mnist")

Noise = Callable[..., Tensor]
Features = Callable[[Extractor, Tensor], Tensor]


def grey(value: int, size: int = 28) -> Tensor:
    return torch.full((1, 1, size, size), value, dtype=torch.uint8)


def test_fashion_gives_64_features_an_image_whatever_the_size_and_channels(
    noise: Noise, features: Features
) -> None:
    extractor = load("fashion")
    for shape in [(3, 1, 28, 28), (3, 3, 28, 28), (3, 1, 32, 32), (3, 3, 100, 60)]:
        taken = features(extractor, noise(*shape))
        assert (taken.shape, taken.dtype) == ((3, 64), torch.float32)
    assert (extractor.name, extractor.num_features) == ("fashion", 64)


def test_fashion_takes_each_image_by_itself(noise: Noise, features: Features) -> None:
    extractor, images = load("fashion"), noise(5, 1, 28, 28)
    alone = torch.cat([features(extractor, image[None]) for image in images])
    torch.testing.assert_close(features(extractor, images), alone, rtol=1e-4, atol=1e-4)
    assert features(extractor, images).std(0).min() > 1e-3


def test_fashion_gives_the_features_that_published_figures_stand_on(features: Features) -> None:
    taken = features(load("fashion"), grey(200))[0, :4]
    expected = torch.tensor([-1.69031, 2.20129, 0.65597, 0.70684])
    torch.testing.assert_close(taken, expected, rtol=1e-4, atol=1e-4)


def test_fashion_sees_colours_as_their_luminance(features: Features) -> None:
    # 0.299 * 188 + 0.587 * 24 + 0.114 * 50 = 76
    colour = torch.tensor([188, 24, 50], dtype=torch.uint8)
    extractor = load("fashion")
    seen = features(extractor, colour.view(1, 3, 1, 1).expand(1, 3, 28, 28))
    torch.testing.assert_close(seen, features(extractor, grey(76)), rtol=1e-4, atol=1e-4)


def test_fashion_shrinks_without_aliasing(features: Features) -> None:
    # Every third column is white, and the columns that point sampling would take are black.
    stripes = grey(0, 84)
    stripes[..., ::3] = 255
    extractor = load("fashion")
    seen, mean, aliased = (features(extractor, x) for x in (stripes, grey(85), grey(0)))
    assert (seen - mean).norm() < 0.2 * (aliased - mean).norm()


def test_fashions_logits_are_its_classifiers(noise: Noise, features: Features) -> None:
    extractor, images = Fashion(), noise(3, 1, 28, 28)
    with torch.no_grad():
        logits = extractor.logits(features(extractor, images))
        assert torch.equal(logits, extractor.classifier(images))
    assert logits.shape == (3, extractor.classes) == (3, 10)
    assert logits.std(1).min() > 0.1


def test_fashion_refuses_other_channels(noise: Noise, features: Features) -> None:
    with pytest.raises(UsageError, match="fashion takes images of 1 or 3 channels, not 4"):
        features(load("fashion"), noise(1, 4, 28, 28))


def test_fashion_refuses_other_packaged_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion, "FASHION_SHA256", "0" * 64)
    with pytest.raises(UsageError, match=r"fashion\.safetensors is missing or damaged"):
        load("fashion")


@pytest.mark.skipif(not CLOTHES.exists(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_knows_clothes() -> None:
    def read(name: str, header: int) -> Tensor:
        content = gzip.decompress((CLOTHES / f"t10k-{name}-ubyte.gz").read_bytes())
        return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).copy())

    images, labels = read("images-idx3", 16).view(-1, 1, 28, 28), read("labels-idx1", 8)
    extractor = Fashion()
    with torch.no_grad():
        answers = torch.cat([extractor.classifier(x).argmax(1) for x in torch.split(images, 500)])
    accuracy = (answers == labels).double().mean().item()
    with safe_open(Path(metrics.__file__).with_name("fashion.safetensors"), "pt") as file:
        stated = json.loads(file.metadata()["training"])["test_accuracy"]
    assert stated >= 0.925
    assert accuracy == pytest.approx(stated, abs=2e-4)
