"""What the extractors' tests share: images, features, and files of weights drawn by chance."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from touchstone.metrics.extractors import Extractor, load


@pytest.fixture(autouse=True)
def _nothing_is_loaded_yet() -> None:
    """Each test finds weights for itself."""
    load.cache_clear()


@pytest.fixture
def noise() -> Callable[..., Tensor]:
    """Images of the given shape, uint8, the same ones each time."""

    def drawn(*shape: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    return drawn


@pytest.fixture
def features() -> Callable[[Extractor, Tensor], Tensor]:
    """An extractor's features of images."""

    def taken(extractor: Extractor, images: Tensor) -> Tensor:
        with torch.no_grad():
            result: Tensor = extractor(images)
        return result

    return taken


@pytest.fixture
def digest() -> Callable[[Path], str]:
    """A file's SHA-256."""
    return lambda file: hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch hub: the folder that files of weights lie in."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of the published format with random weights, scaled so that features stay of size."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

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
