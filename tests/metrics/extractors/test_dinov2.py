from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import VisionTransformer as Torchvision

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor, dinov2, load, preprocessing
from touchstone.metrics.extractors.weights import State

Noise = Callable[..., Tensor]
Features = Callable[[Extractor, Tensor], Tensor]

WIDTH, DEPTH = 128, 2


@pytest.fixture(scope="module")
def state() -> State:
    """What a published file holds, of a small network, its tensors drawn by chance."""
    shapes = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, 1 + 37 * 37, WIDTH),
        "mask_token": (1, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, 14, 14),
        "patch_embed.proj.bias": (WIDTH,),
        "norm.weight": (WIDTH,),
        "norm.bias": (WIDTH,),
    }
    for block in range(DEPTH):
        for name, inputs, outputs in (
            ("attn.qkv", WIDTH, 3 * WIDTH),
            ("attn.proj", WIDTH, WIDTH),
            ("mlp.fc1", WIDTH, 4 * WIDTH),
            ("mlp.fc2", 4 * WIDTH, WIDTH),
        ):
            shapes[f"blocks.{block}.{name}.weight"] = (outputs, inputs)
            shapes[f"blocks.{block}.{name}.bias"] = (outputs,)
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            shapes[f"blocks.{block}.{name}"] = (WIDTH,)
        for name in ("ls1.gamma", "ls2.gamma"):
            shapes[f"blocks.{block}.{name}"] = (WIDTH,)
    generator = torch.Generator().manual_seed(0)
    drawn = {
        name: torch.randn(shape, generator=generator) * (0.2 if "weight" in name else 0.5)
        for name, shape in shapes.items()
    }
    # So small a token at the start that the normalisation's epsilon shows.
    drawn["cls_token"] = 1e-3 * drawn["cls_token"] - drawn["pos_embed"][:, :1]
    return drawn


@pytest.fixture(scope="module")
def file(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("dinov2") / "tiny.pth"
    torch.save(state, file)
    return file


def theirs(state: State) -> nn.Module:
    """Torchvision's network of the same tensors, the scale of each layer taken into the layer."""
    network = Torchvision(224, 14, DEPTH, 2, WIDTH, 4 * WIDTH, num_classes=1)
    network.heads = nn.Identity()
    named = {
        "class_token": state["cls_token"],
        "conv_proj.weight": state["patch_embed.proj.weight"],
        "conv_proj.bias": state["patch_embed.proj.bias"],
        "encoder.pos_embedding": dinov2.positions(state["pos_embed"], 16),
        "encoder.ln.weight": state["norm.weight"],
        "encoder.ln.bias": state["norm.bias"],
    }
    for block in range(DEPTH):
        ours, their = f"blocks.{block}", f"encoder.layers.encoder_layer_{block}"
        for kind in ("weight", "bias"):
            scales = (state[f"{ours}.{name}.gamma"] for name in ("ls1", "ls2"))
            first, second = (scale[:, None] if kind == "weight" else scale for scale in scales)
            named |= {
                f"{their}.ln_1.{kind}": state[f"{ours}.norm1.{kind}"],
                f"{their}.self_attention.in_proj_{kind}": state[f"{ours}.attn.qkv.{kind}"],
                f"{their}.self_attention.out_proj.{kind}": first
                * state[f"{ours}.attn.proj.{kind}"],
                f"{their}.ln_2.{kind}": state[f"{ours}.norm2.{kind}"],
                f"{their}.mlp.0.{kind}": state[f"{ours}.mlp.fc1.{kind}"],
                f"{their}.mlp.3.{kind}": second * state[f"{ours}.mlp.fc2.{kind}"],
            }
    network.load_state_dict(named)
    evaluated: nn.Module = network.eval()
    return evaluated


def test_dinov2_is_torchvisions_transformer_with_scaled_layers(
    state: State, file: Path, noise: Noise, features: Features
) -> None:
    dark = noise(1, 3, 40, 32) // 2
    images = torch.cat([dark, 255 - dark])
    resized = preprocessing.tensorflow1(images.float(), 224) / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = theirs(state)((resized - mean) / deviation)
    ours = load("dinov2", file)
    taken = features(ours, images)
    assert (ours.num_features, taken.shape, taken.dtype) == (WIDTH, (2, WIDTH), torch.float32)
    torch.testing.assert_close(taken, expected, rtol=1e-4, atol=1e-4)
    assert taken.std(0).median() > 0.01


def bicubic(grid: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Keys' cubic convolution with a = -0.75 along the first axis, the border repeated."""

    def weight(distance: float) -> float:
        d, a = abs(distance), -0.75
        if d < 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0

    given = len(grid)
    rows = []
    for row in range(side):
        place = (row + 0.5) * given / (side + 0.1) - 0.5
        near = range(int(np.floor(place)) - 1, int(np.floor(place)) + 3)
        taken = (weight(place - k) * grid[min(max(k, 0), given - 1)] for k in near)
        rows.append(np.sum(list(taken), axis=0))
    return np.stack(rows)


def test_positions_are_resized_as_the_published_network_does() -> None:
    published = torch.randn(1, 1 + 37 * 37, 2, generator=torch.Generator().manual_seed(0))
    taken = dinov2.positions(published, 16)
    grid = published[0, 1:].reshape(37, 37, 2).double().numpy()
    rows = bicubic(grid, 16)
    expected = bicubic(rows.transpose(1, 0, 2), 16).transpose(1, 0, 2).reshape(256, 2)
    assert taken.shape == (1, 257, 2)
    assert torch.equal(taken[:, 0], published[:, 0])
    np.testing.assert_allclose(taken[0, 1:].numpy(), expected, rtol=0, atol=2e-5)
    same = published[:, : 1 + 16 * 16]
    assert torch.equal(dinov2.positions(same, 16), same)


def test_the_large_network_has_as_many_parameters_as_the_published_file() -> None:
    with torch.device("meta"):
        large = dinov2.VisionTransformer(1024, 24)
    parameters = sum(parameter.numel() for parameter in large.parameters())
    # 1 + 37 * 37 positions in place of 1 + 16 * 16, and a token for masked patches.
    assert parameters + (37 * 37 - 16 * 16) * 1024 + 1024 == 304_368_640


def test_dinov2_is_known_by_its_hash(
    state: State,
    file: Path,
    tmp_path: Path,
    digest: Callable[[Path], str],
    noise: Noise,
    features: Features,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_file(state, tmp_path / "tiny.safetensors")
    ours, same = load("dinov2", file), load("dinov2", tmp_path / "tiny.safetensors")
    assert ours.name == f"dinov2_{digest(file)[:8]}"
    assert same.name != ours.name
    assert same.fingerprint != ours.fingerprint
    images = noise(1, 3, 32, 32)
    assert torch.equal(features(ours, images), features(same, images))
    monkeypatch.setattr(dinov2, "PUBLISHED", replace(dinov2.PUBLISHED, sha256=digest(file)))
    load.cache_clear()
    assert load("dinov2", file).name == "dinov2"


def test_dinov2_repeats_grey_images_and_refuses_other_channels(
    file: Path, noise: Noise, features: Features
) -> None:
    ours, single = load("dinov2", file), noise(1, 1, 32, 32)
    assert torch.equal(features(ours, single), features(ours, single.repeat(1, 3, 1, 1)))
    with pytest.raises(UsageError, match="dinov2 takes images of 1 or 3 channels, not 2"):
        features(ours, noise(1, 2, 32, 32))


def test_what_is_no_dinov2_is_refused(state: State, tmp_path: Path) -> None:
    registers = state | {"register_tokens": torch.zeros(1, 4, WIDTH)}
    for thing in (registers, nn.Linear(2, 2).state_dict(), [1]):
        torch.save(thing, tmp_path / "weights.pth")
        with pytest.raises(UsageError, match="does not hold the weights of Meta's DINOv2"):
            load("dinov2", tmp_path / "weights.pth")
