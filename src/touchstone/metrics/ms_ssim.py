"""How alike the images of one class are to each other."""

import torch
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.sets import ImageSet, Sets

# Wang et al. 2003, section 3.2: the exponents of the scales, the finest first.
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11  # pixels a side of SSIM's Gaussian window
CHUNK = 100  # pairs at a time


class MSSSIM:
    """The mean MS-SSIM of random pairs of generated images: the higher, the less diverse.

    The pairs are of one class where both kinds of images have labels (Odena et al. 2017, section
    4.2), and no image is in two of them. The same mean over real pairs says what is high: a
    collapsed generator's is far above it.

    MS-SSIM is torchmetrics', over the five scales of Wang et al. (2003) as far as the images have
    room for them: the first one, two, three, four or five for a shorter side from 11, 22, 44, 99
    or 176 pixels on, their weights renormalised. 28x28 and 32x32 have two.

    Args:
        pairs: at most so many, of either kind.

    Raises:
        UsageError: no pairs are asked for.
    """

    higher_is_better = False
    extractor: Extractor | None = None

    def __init__(self, pairs: int = 1000) -> None:
        if pairs < 1:
            raise UsageError(f"metrics.figures.ms_ssim.pairs={pairs}: it has to be 1 or more")
        self._pairs = pairs

    def check(self, sets: Sets) -> None:
        """Refuses sets without a pair."""
        within = _within_classes(sets)
        for images in (sets.generated, sets.reference):
            if not len(draw_pairs(images, 1, within_classes=within)):
                raise UsageError(
                    f"{images.name}: metrics=ms_ssim needs two images{' of a class' * within}, "
                    f"and {len(images)} are too few"
                )

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The mean over generated pairs, as `ms_ssim`, and over real ones, `ms_ssim/real`.

        Raises:
            UsageError: images that are too small for a single scale.
        """
        within = _within_classes(sets)
        return {
            name: self._mean(images, draw_pairs(images, self._pairs, within_classes=within))
            for name, images in (("ms_ssim", sets.generated), ("ms_ssim/real", sets.reference))
        }

    @torch.inference_mode()
    def _mean(self, images: ImageSet, pairs: Tensor) -> float:
        pixels = images.pixels(pairs.flatten().tolist())
        values = [
            similarity(part[::2].to(images.device), part[1::2].to(images.device)).cpu().double()
            for part in torch.split(pixels, 2 * CHUNK)
        ]
        return float(torch.cat(values).mean())


def draw_pairs(images: ImageSet, number: int, *, within_classes: bool) -> Tensor:
    """Draws disjoint pairs of images, from the same seed for equal sets.

    Args:
        images: the set.
        number: at most so many pairs.
        within_classes: whether both images of a pair are of one class.

    Returns:
        The images' indices, int64 `(n, 2)`.
    """
    draws = torch.Generator().manual_seed(0)
    order = torch.randperm(len(images), generator=draws)
    classes = torch.zeros_like(order)
    if within_classes and images.labels is not None:
        classes = images.labels[order]
    members = [order[classes == label] for label in torch.unique(classes)]
    pairs = torch.cat([those[: len(those) // 2 * 2].view(-1, 2) for those in members])
    return pairs[torch.randperm(len(pairs), generator=draws)[:number]]


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """The MS-SSIM of pairs of images, `(n,)`: 1 where they are equal, near 0 where unrelated.

    A negative factor, a contrast against the other image's, counts as 0.

    Args:
        first: uint8 `(n, C, H, W)`.
        second: the others of the pairs.

    Raises:
        UsageError: images smaller than SSIM's window.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    weights = WEIGHTS[: scales(min(first.shape[-2:]))]
    computed: Tensor = multiscale_structural_similarity_index_measure(
        first.float(),
        second.float(),
        data_range=255.0,
        betas=tuple(weight / sum(weights) for weight in weights),
        reduction="none",
    )
    return computed


def scales(side: int) -> int:
    """How many of the five scales torchmetrics computes for images whose shorter side this is.

    Raises:
        UsageError: not one.
    """
    if side < WINDOW:
        raise UsageError(
            f"metrics=ms_ssim needs images of {WINDOW}x{WINDOW} or more: {side} pixels are too few"
        )
    # The coarsest scale has to hold a window, and torchmetrics asks for a side of as many windows
    # as (scales - 1)^2, which is more for the fourth scale.
    return max(
        number
        for number in range(1, len(WEIGHTS) + 1)
        if side // max(2 ** (number - 1), (number - 1) ** 2) >= WINDOW
    )


def _within_classes(sets: Sets) -> bool:
    return sets.generated.labels is not None and sets.reference.labels is not None
