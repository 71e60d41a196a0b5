from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS, CLIPVisual
from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP as TorchFidelity

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor, clip, load
from touchstone.metrics.extractors.weights import State

Noise = Callable[..., Tensor]
Features = Callable[[Extractor, Tensor], Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """What the published file holds, of a small network: 64x64 pixels, two layers, 24 features."""
    torch.manual_seed(0)
    tower: State = CLIPVisual(24, 64, 2, 128, 32).state_dict()
    return tower | {
        "text_projection": torch.zeros(8, 24),
        "transformer.resblocks.0.ln_1.weight": torch.ones(8),
        "input_resolution": torch.tensor(64),
    }


@pytest.fixture(scope="module")
def archive(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a TorchScript archive, as it is published."""
    file = tmp_path_factory.mktemp("clip") / "ViT-B-32.pt"
    root = nn.Module()
    for name, tensor in state.items():
        *path, last = name.split(".")
        module = root
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.register_buffer(last, tensor)
    torch.jit.script(root).save(str(file))  # type: ignore[no-untyped-call]
    return file


def test_clip_is_where_torch_fidelity_has_it() -> None:
    published = clip.PUBLISHED
    assert published.url == MODEL_URLS["clip-vit-b-32"]
    assert published.sha256 == MODEL_METADATA["clip-vit-b-32"]["hash"]


def test_clip_gives_torch_fidelitys_features(
    state: State, archive: Path, tmp_path: Path, noise: Noise, features: Features
) -> None:
    images = noise(3, 3, 40, 32)
    theirs = TorchFidelity("clip-vit-b-32", ["clip"], archive)(images)[0]
    torch.save(state, tmp_path / "state.pt")
    save_file(state, tmp_path / "state.safetensors")
    for file in ("state.pt", "state.safetensors"):
        ours = load("clip", tmp_path / file)
        taken = features(ours, images)
        assert torch.equal(taken, theirs)
        assert taken.dtype == torch.float32
        assert (ours.num_features, taken.shape) == (24, (3, 24))
    assert theirs.std(0).min() > 1e-3


def test_clip_repeats_grey_images_and_refuses_other_channels(
    state: State, tmp_path: Path, noise: Noise, features: Features
) -> None:
    torch.save(state, tmp_path / "state.pt")
    ours, single = load("clip", tmp_path / "state.pt"), noise(2, 1, 32, 32)
    assert torch.equal(features(ours, single), features(ours, single.repeat(1, 3, 1, 1)))
    with pytest.raises(UsageError, match="clip takes images of 1 or 3 channels, not 2"):
        features(ours, noise(1, 2, 32, 32))
    with pytest.raises(UsageError, match="is no classifier"):
        ours.logits(features(ours, single))


def test_an_archive_is_opened_only_where_its_hash_is_the_published_one(
    state: State,
    archive: Path,
    tmp_path: Path,
    noise: Noise,
    features: Features,
    digest: Callable[[Path], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match="does not hold the weights of OpenAI's CLIP"):
        load("clip", archive)
    torch.save(state, tmp_path / "state.pt")
    own = load("clip", tmp_path / "state.pt")
    assert own.name == f"clip_{digest(tmp_path / 'state.pt')[:8]}"

    monkeypatch.setattr(clip, "PUBLISHED", replace(clip.PUBLISHED, sha256=digest(archive)))
    trusted, images = load("clip", archive), noise(1, 3, 32, 32)
    assert trusted.name == "clip"
    assert trusted.fingerprint != own.fingerprint
    assert torch.equal(features(trusted, images), features(own, images))


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    for thing in (nn.Linear(2, 2).state_dict(), [1]):
        torch.save(thing, tmp_path / "weights.pt")
        with pytest.raises(UsageError, match="does not hold the weights of OpenAI's CLIP"):
            load("clip", tmp_path / "weights.pt")
