"""What is done to the pixels before a network sees them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from touchstone.errors import UsageError


def colour(images: Tensor, extractor: str) -> Tensor:
    """Maps uint8 `(N, 1 or 3, H, W)` to float32 `(N, 3, H, W)` in [0, 255]; grey is repeated.

    Raises:
        UsageError: not uint8, or another number of channels; the message names the `extractor`.
    """
    check(images, extractor)
    return images.float().expand(-1, 3, -1, -1)


def grey(images: Tensor, extractor: str) -> Tensor:
    """Maps uint8 `(N, 1 or 3, H, W)` to luminance, float32 `(N, 1, H, W)` in [0, 1], by BT.601.

    Raises:
        UsageError: not uint8, or another number of channels; the message names the `extractor`.
    """
    check(images, extractor)
    pixels = images.float().div(255)
    if pixels.shape[1] == 1:
        return pixels
    weights = pixels.new_tensor([0.299, 0.587, 0.114])
    return torch.einsum("nchw,c->nhw", pixels, weights).unsqueeze(1)


def check(images: Tensor, extractor: str) -> None:
    """Refuses images `(N, C, H, W)` that are not uint8, or neither grey nor of three colours.

    Raises:
        UsageError: names the `extractor`.
    """
    if images.dtype != torch.uint8:
        raise UsageError(
            f"protocol.extractor={extractor} takes uint8 pixels in [0, 255], not {images.dtype}."
        )
    if images.shape[1] not in (1, 3):
        raise UsageError(
            f"protocol.extractor={extractor} takes images of 1 or 3 channels, "
            f"not {images.shape[1]}: choose another protocol.extractor."
        )


def tensorflow1(pixels: Tensor, size: int) -> Tensor:
    """Resizes float `(N, C, H, W)` to `(N, C, size, size)` as TensorFlow 1 did.

    Bilinear, without antialiasing, the first pixel's centre being the origin: as in the original
    implementation of FID, and in torch-fidelity.
    """
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    resized: Tensor = interpolate_bilinear_2d_like_tensorflow1x(
        pixels, size=(size, size), align_corners=False
    )
    return resized


def clean(pixels: Tensor, size: int) -> Tensor:
    """Resizes float `(N, C, H, W)` to `(N, C, size, size)`, bicubic and antialiased.

    Parmar et al. 2022, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation" (arXiv
    2104.11222), section 3: each channel by itself, in floats that are not rounded, but clipped to
    [0, 255] as the authors' package clean-fid does. Pillow's bicubic filter, whose values these are
    to 0.01 in 255.
    """
    resized = F.interpolate(pixels, (size, size), mode="bicubic", antialias=True)
    return resized.clamp(0, 255)


def standardize(pixels: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Takes off the mean of each channel and divides by its deviation.

    Args:
        pixels: float `(N, C, H, W)` in [0, 255].
        mean: of C channels, in [0, 1].
        deviation: of C channels, in the same unit.
    """
    from torchvision.transforms.functional import normalize

    standardized: Tensor = normalize(
        pixels, [255 * value for value in mean], [255 * value for value in deviation]
    )
    return standardized
