"""The extractor `dinov2`: the vision transformer that FD-DINOv2 goes by."""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from touchstone.metrics.extractors import preprocessing
from touchstone.metrics.extractors.extractor import Extractor, fingerprint
from touchstone.metrics.extractors.weights import Published, State

PUBLISHED = Published(
    extractor="dinov2",
    network="Meta's DINOv2 ViT-L/14",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    # Not stated by its authors, but by many who keep the file.
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    cached_as="dinov2_vitl14_pretrain.pth",
)
SIDE, PATCH = 224, 14  # pixels
HEAD = 64  # features of an attention head, in each of the published sizes


class DINOv2(Extractor):
    """The class token of DINOv2 ViT-L/14 (Oquab et al. 2023, arXiv 2304.07193): 1,024 features.

    Recommended in place of Inception by Stein et al. 2023 (arXiv 2306.04675). torch-fidelity's
    `dinov2-vit-l-14`, with its preprocessing: resized as TensorFlow 1 did to 224x224, where Stein
    et al. resize by a bicubic filter, and standardised by ImageNet's mean and deviation. Grey
    images are repeated to three channels. Other weights than the published ones, those of the
    small and the base model among them, get another name.

    Args:
        weights: the file as Meta publishes it, or its tensors in safetensors. Without one, torch
            hub's cache, and otherwise a download into it.

    Raises:
        UsageError: no weights to be had, or a file that is damaged, holds code, or is no DINOv2.
    """

    mean = (0.485, 0.456, 0.406)
    deviation = (0.229, 0.224, 0.225)

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        file = PUBLISHED.find(weights)
        self.network = file.build(VisionTransformer.of)
        self.name = file.named("dinov2")
        self.num_features = self.network.norm.normalized_shape[0]
        self.fingerprint = fingerprint(
            file.digest,
            "repeated to 3 channels, TensorFlow 1 resizing, ImageNet's mean and deviation",
        )

    def forward(self, images: Tensor) -> Tensor:
        """Maps images, uint8 `(N, 1 or 3, H, W)`, to features, float32 `(N, 1024)`."""
        pixels = preprocessing.tensorflow1(preprocessing.colour(images, "dinov2"), SIDE)
        features: Tensor = self.network(
            preprocessing.standardize(pixels, self.mean, self.deviation)
        )
        return features


class VisionTransformer(nn.Module):
    """A vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) as DINOv2 has it.

    The parameters are named as in the published files.

    Args:
        width: features of a token, a multiple of 64.
        depth: how many blocks.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        projection = nn.Conv2d(3, width, PATCH, stride=PATCH)
        self.patch_embed = nn.Sequential(OrderedDict(proj=projection))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (SIDE // PATCH) ** 2, width))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    @classmethod
    def of(cls, state: State) -> "VisionTransformer":
        """Makes the network of a published file's tensors, of the size that they have."""
        _, _, width = state["pos_embed"].shape
        used = {key: tensor for key, tensor in state.items() if key != "mask_token"}
        used["pos_embed"] = positions(state["pos_embed"], SIDE // PATCH)
        # Without memory of its own: the tensors become its parameters.
        with torch.device("meta"):
            network = cls(width, sum(key.endswith(".attn.qkv.weight") for key in state))
        network.load_state_dict(used, assign=True)
        return network.float()

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps standardised pixels `(N, 3, 224, 224)` to the class token `(N, width)`."""
        patches = self.patch_embed(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1)
        features: Tensor = self.norm(self.blocks(tokens + self.pos_embed)[:, 0])
        return features


class Block(nn.Module):
    """Attention and a perceptron, each scaled and added (Touvron et al. 2021, arXiv 2103.17239)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.ls1, self.ls2 = LayerScale(width), LayerScale(width)
        self.attn = Attention(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(width, 4 * width), act=nn.GELU(), fc2=nn.Linear(4 * width, width)
            )
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `(N, T, width)` to as many."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        changed: Tensor = tokens + self.ls2(self.mlp(self.norm2(tokens)))
        return changed


class Attention(nn.Module):
    """Attention with heads of 64 features (Vaswani et al. 2017, section 3.2.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `(N, T, width)` to as many."""
        heads = self.qkv(tokens).unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*heads)
        joined: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return joined


class LayerScale(nn.Module):
    """A learned factor of each feature."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Scales tokens `(N, T, width)`."""
        return tokens * self.gamma


def positions(published: Tensor, side: int) -> Tensor:
    """Brings the embeddings of 1 + 37x37 positions to those of 1 + `side` x `side`.

    Bicubic, without antialiasing, and by the published network's scale, which has a tenth of a
    patch more than `side`: without it the features would be others.

    Args:
        published: `(1, 1 + P, width)`, that of the class token first, then the patches by rows.
        side: patches a side.
    """
    token, patches = published[:, :1], published[:, 1:]
    given = round(patches.shape[1] ** 0.5)
    if given == side:
        return published
    grid = patches.reshape(1, given, given, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(grid, scale_factor=(side + 0.1) / given, mode="bicubic")
    return torch.cat([token, resized.flatten(2).transpose(1, 2)], dim=1)
