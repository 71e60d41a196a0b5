import gzip
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from touchstone.errors import UsageError
from touchstone.metrics import extractors
from touchstone.metrics.extractors import Extractor, Fashion, load

CLOTHES = Path("/usr/share/datasets/fashion-mnist")


def noise(*shape: int) -> Tensor:
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def grey(value: int, size: int = 28) -> Tensor:
    return torch.full((1, 1, size, size), value, dtype=torch.uint8)


def features(extractor: Extractor, images: Tensor) -> Tensor:
    with torch.no_grad():
        taken: Tensor = extractor(images)
    return taken


def refusal(name: str, weights: Path | str | None = None) -> str:
    with pytest.raises(UsageError) as raised:
        load(name, weights)
    return str(raised.value)


class Own(Extractor):
    name = "own"
    num_features = 1
    fingerprint = "own"

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 2, 3)).unsqueeze(1)


class Nameless(Extractor):
    pass


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("elsewhere")
    vars(module).update(Own=Own, Nameless=Nameless, Plain=nn.Identity)
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    return "elsewhere"


def test_fashion_gives_64_features_an_image_whatever_the_size_and_channels() -> None:
    fashion = load("fashion")
    for shape in [(3, 1, 28, 28), (3, 3, 28, 28), (3, 1, 32, 32), (3, 3, 100, 60)]:
        taken = features(fashion, noise(*shape))
        assert (taken.shape, taken.dtype) == ((3, 64), torch.float32)
    assert (fashion.name, fashion.num_features) == ("fashion", 64)


def test_fashion_takes_each_image_by_itself() -> None:
    fashion, images = load("fashion"), noise(5, 1, 28, 28)
    alone = torch.cat([features(fashion, image[None]) for image in images])
    torch.testing.assert_close(features(fashion, images), alone, rtol=1e-4, atol=1e-4)
    assert features(fashion, images).std(0).min() > 1e-3


def test_fashion_gives_the_features_that_published_figures_stand_on() -> None:
    taken = features(load("fashion"), grey(200))[0, :4]
    expected = torch.tensor([-1.69031, 2.20129, 0.65597, 0.70684])
    torch.testing.assert_close(taken, expected, rtol=1e-4, atol=1e-4)


def test_fashion_sees_colours_as_their_luminance() -> None:
    # 0.299 * 188 + 0.587 * 24 + 0.114 * 50 = 76
    colour = torch.tensor([188, 24, 50], dtype=torch.uint8)
    fashion = load("fashion")
    seen = features(fashion, colour.view(1, 3, 1, 1).expand(1, 3, 28, 28))
    torch.testing.assert_close(seen, features(fashion, grey(76)), rtol=1e-4, atol=1e-4)


def test_fashion_shrinks_without_aliasing() -> None:
    # Every third column is white, and the columns that point sampling would take are black.
    stripes = grey(0, 84)
    stripes[..., ::3] = 255
    fashion = load("fashion")
    seen, mean, aliased = (features(fashion, x) for x in (stripes, grey(85), grey(0)))
    assert (seen - mean).norm() < 0.2 * (aliased - mean).norm()


def test_fashion_refuses_other_channels_and_weights() -> None:
    with pytest.raises(UsageError, match="1 or 3 channels, not 4"):
        features(load("fashion"), noise(1, 4, 28, 28))
    assert "metrics.weights=w.safetensors" in refusal("fashion", "w.safetensors")


def test_fashion_refuses_other_packaged_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractors, "FASHION_SHA256", "0" * 64)
    assert "fashion.safetensors is missing or damaged" in refusal("fashion")


@pytest.mark.skipif(not CLOTHES.exists(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_knows_clothes() -> None:
    def read(name: str, header: int) -> Tensor:
        content = gzip.decompress((CLOTHES / f"t10k-{name}-ubyte.gz").read_bytes())
        return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).copy())

    images, labels = read("images-idx3", 16).view(-1, 1, 28, 28), read("labels-idx1", 8)
    fashion = Fashion()
    with torch.no_grad():
        answers = torch.cat([fashion.classifier(x).argmax(1) for x in torch.split(images, 500)])
    accuracy = (answers == labels).double().mean().item()
    with safe_open(Path(extractors.__file__).with_name("fashion.safetensors"), "pt") as file:
        stated = json.loads(file.metadata()["training"])["test_accuracy"]
    assert stated >= 0.925
    assert accuracy == pytest.approx(stated, abs=2e-4)


def test_a_class_of_ones_own_is_found_by_its_path(own: str) -> None:
    assert isinstance(load(f"{own}.Own"), Own)
    chosen = load(f"{own}.Own", "w.pt")
    assert isinstance(chosen, Own)
    assert chosen.weights == "w.pt"


def test_what_is_no_extractor_is_refused(own: str) -> None:
    assert "choose fashion, inception" in refusal("resnet")
    assert "metrics.extractor=nowhere.Own cannot be imported" in refusal("nowhere.Own")
    assert f"metrics.extractor={own}.Other cannot be imported" in refusal(f"{own}.Other")
    assert "not a subclass" in refusal(f"{own}.Plain")
    assert "does not set name, num_features, fingerprint" in refusal(f"{own}.Nameless")


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of the published format with random weights, scaled so that features stay of size."""

    class Random(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, _: object) -> None:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight)

    file = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save({}, file)
    torch.manual_seed(0)
    torch.save(Random("random", ["2048"], file).state_dict(), file)
    yield file
    file.unlink()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_inception_gives_torch_fidelitys_features(inception_file: Path) -> None:
    images = noise(2, 3, 32, 32)
    theirs = FeatureExtractorInceptionV3("theirs", ["2048"], inception_file)(images)[0]
    ours = load("inception", inception_file)
    assert theirs.std() > 1e-3
    assert torch.equal(features(ours, images), theirs)
    single = images[:, :1]
    assert torch.equal(features(ours, single), features(ours, single.repeat(1, 3, 1, 1)))
    with pytest.raises(UsageError, match="1 or 3 channels, not 2"):
        features(ours, images[:, :2])


def test_inception_with_other_weights_has_another_name(inception_file: Path) -> None:
    inception = load("inception", str(inception_file))
    assert inception.name == f"inception_{digest(inception_file)[:8]}"
    assert inception.fingerprint != load("fashion").fingerprint


def test_inception_comes_from_torch_hubs_cache(inception_file: Path, hub: Path) -> None:
    hub.mkdir(parents=True)
    os.link(inception_file, hub / "weights-inception-2015-12-05-6726825d.pth")
    assert load("inception").name == f"inception_{digest(inception_file)[:8]}"


def test_inception_is_downloaded_once_and_checked(
    inception_file: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractors, "INCEPTION_URL", inception_file.as_uri())
    assert "invalid hash value" in refusal("inception")
    assert list(hub.iterdir()) == []
    monkeypatch.setattr(extractors, "INCEPTION_SHA256_PREFIX", digest(inception_file)[:8])
    assert load("inception").name == "inception"
    assert digest(hub / inception_file.name) == digest(inception_file)


def test_without_inceptions_weights_a_message_says_what_to_do(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractors, "INCEPTION_URL", (tmp_path / "absent.pth").as_uri())
    message = refusal("inception")
    for word in ("metrics.weights", "download failed", str(hub / "absent.pth"), "=fashion"):
        assert word in message
    assert "metrics.weights=" in refusal("inception", tmp_path / "absent.pth")


class Bomb:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_a_file_that_is_no_inception_is_refused_and_its_code_not_run(tmp_path: Path) -> None:
    file, trace = tmp_path / "weights.pth", tmp_path / "trace"
    torch.save({"fc.weight": Bomb(trace)}, file)
    assert "does not hold the weights" in refusal("inception", file)
    assert not trace.exists()
    torch.load(file, weights_only=False)  # the bomb is live
    assert trace.exists()

    torch.save(nn.Linear(2, 2).state_dict(), file)
    assert "does not hold the weights" in refusal("inception", file)
    torch.save([1], file)
    assert "does not hold the weights" in refusal("inception", file)
    file.write_bytes(file.read_bytes()[:-50])
    assert "does not hold the weights" in refusal("inception", file)
    file.write_bytes(b"")
    assert "does not hold the weights" in refusal("inception", file)
