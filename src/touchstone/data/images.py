"""Images as they are kept, uint8, and as they are trained on, floats in [-1, 1]."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from touchstone.errors import UsageError

SPLITS = ("train", "test")


def normalize(pixels: Tensor) -> Tensor:
    """Maps uint8 pixels, of any shape, to floats in [-1, 1]."""
    return pixels.sub(127.5).div_(127.5)


def quantize(samples: Tensor) -> Tensor:
    """Maps floats in [-1, 1], of any shape, to the nearest uint8 pixels; `normalize`'s inverse.

    What lies outside [-1, 1] is clamped.
    """
    return ((samples.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True, eq=False)
class Images:
    """A split of a data set, whole; a `touchstone.data.split.Split`.

    Attributes:
        pixels: uint8, `(N, C, H, W)`; may be mapped from a file.
        labels: int64, `(N,)`, indices of `classes`; None where the set has none.
        classes: the classes' names, in the order of the labels.

    Raises:
        UsageError: the pixels or labels have another type or shape, or a label has no class.
    """

    pixels: Tensor
    labels: Tensor | None
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4:
            raise UsageError(
                f"data: pixels are {self.pixels.dtype} of shape {tuple(self.pixels.shape)}; "
                "they have to be uint8 of shape (N, C, H, W)"
            )
        check_labels(self.labels, len(self), self.classes)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of one image, `(C, H, W)`."""
        return tuple(self.pixels.shape[1:])

    @property
    def nbytes(self) -> int:
        """The memory that the pixels take."""
        return self.pixels.nbytes

    @property
    def device(self) -> torch.device:
        """Where the pixels lie."""
        return self.pixels.device

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Takes the pixels, uint8, and the labels at `indices`, int64 on the pixels' device."""
        labels = None if self.labels is None else self.labels.index_select(0, indices)
        if self.pixels.is_contiguous():
            return self.pixels.index_select(0, indices), labels
        # With the channels last in memory, whole images are taken too, and keep their order.
        return self.pixels.movedim(1, -1).index_select(0, indices).movedim(-1, 1), labels

    def normalize(self, kept: Tensor) -> Tensor:
        """Maps uint8 pixels to floats in [-1, 1]."""
        return normalize(kept)

    def take(self, indices: Tensor) -> "Images":
        """The split of the images at `indices` alone."""
        pixels, labels = self.gather(indices.to(self.device))
        return Images(pixels, labels, self.classes)

    def join(self, others: "Images") -> "Images":
        """The split of these images and then others of the same shape and classes."""
        labels = [split.labels for split in (self, others) if split.labels is not None]
        pixels = torch.cat([self.pixels, others.pixels])
        return Images(pixels, torch.cat(labels) if labels else None, self.classes)

    def relabel(self, labels: Tensor | None) -> "Images":
        """The same images with other labels."""
        return Images(self.pixels, labels, self.classes)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Takes the samples, floats in [-1, 1], and the labels at `indices`.

        Args:
            indices: int64, `(n,)`, on the pixels' device, where the samples are normalised.
        """
        pixels, labels = self.gather(indices)
        return normalize(pixels), labels

    def to(
        self,
        device: torch.device | str,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> "Images":
        """Moves the pixels and labels to `device`."""
        labels = None if self.labels is None else self.labels.to(device)
        pixels = self.pixels.to(device, memory_format=memory_format)
        return Images(pixels, labels, self.classes)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the shape and the pixels: equal for equal images, wherever they came from."""
        return content_hash(self.pixels)


def check_labels(labels: Tensor | None, number: int, classes: Sequence[str]) -> None:
    """Refuses labels that are not one of the classes for each sample, or -1 for none.

    Raises:
        UsageError: another type or shape, or a label that has no class.
    """
    if labels is None:
        return
    if labels.dtype != torch.int64 or labels.shape != (number,):
        raise UsageError(
            f"data: labels are {labels.dtype} of shape {tuple(labels.shape)}; "
            f"{number} samples need int64 of shape ({number},)"
        )
    if number and not -1 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise UsageError(
            f"data: labels go from {int(labels.min())} to {int(labels.max())}; "
            f"{len(classes)} classes have the labels 0 to {len(classes) - 1}"
        )


def content_hash(pixels: Tensor) -> str:
    """SHA-256, in hex, of the shape of uint8 `pixels` and of their values."""
    digest = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    for chunk in torch.split(pixels, 8192):
        digest.update(chunk.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def fit(pixels: Tensor, resolution: int, channels: int) -> Tensor:
    """Brings uint8 pixels `(N, C, H, W)` to `(N, channels, resolution, resolution)`.

    Resized bilinearly, antialiased. Grey becomes colour by repetition; colour becomes grey by the
    luma of ITU-R BT.601, as in Pillow.
    """
    if pixels.shape[1] == 3 and channels == 1:
        weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        pixels = torch.cat(
            [
                (chunk * weights).sum(1, keepdim=True).round().to(torch.uint8)
                for chunk in torch.split(pixels, 4096)
            ]
        )
    if pixels.shape[2:] != (resolution, resolution):
        pixels = functional.interpolate(
            pixels, size=(resolution, resolution), mode="bilinear", antialias=True
        )
    if pixels.shape[1] == 1 and channels == 3:
        pixels = pixels.expand(-1, 3, -1, -1)
    return pixels.contiguous()


def check_settings(split: str, resolution: int, channels: int) -> None:
    """Refuses what no source can give, before anything is read.

    Raises:
        UsageError: a split, resolution or number of channels that does not exist.
    """
    check_split(split)
    _one_of("data.channels", channels, (1, 3))
    if resolution < 1:
        raise UsageError(f"data.resolution={resolution}: it has to be 1 or more")


def check_split(split: str) -> None:
    """Refuses a split that no source has.

    Raises:
        UsageError: names it.
    """
    _one_of("split", split, SPLITS)


def _one_of(setting: str, value: object, choices: Sequence[object]) -> None:
    if value not in choices:
        right = " or ".join(str(choice) for choice in choices)
        raise UsageError(f"{setting}={value}: it has to be {right}")
