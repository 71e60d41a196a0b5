"""Whether generated images are copies of training images."""

from typing import NamedTuple

import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn import functional

from touchstone.data.images import fit
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.neighbours import nearest
from touchstone.metrics.sets import ImageSet, Sets
from touchstone.pictures import grid
from touchstone.sampling import CHUNK

SIDE = 32  # pixels a side, at most, of the images that are compared
THUMBNAIL = 8  # pixels a side of those among which the nearest is sought
PAIRS = 24  # pairs in the picture, at most


class Training(NamedTuple):
    """What images are compared with.

    Attributes:
        features: `(m, F)`.
        pixels: uint8 `(m, C, S, S)`, S being 32 at most.
        thumbnails: `(m, C * 8 * 8)`.
    """

    features: Tensor
    pixels: Tensor
    thumbnails: Tensor


class Likeness(NamedTuple):
    """How like the training images each of n images is.

    Attributes:
        ratio: its distance to the nearest of its candidates over the mean one, by pixels.
        nearest: the index of that candidate.
        distance: that of its features to the nearest of training.
    """

    ratio: Tensor
    nearest: Tensor
    distance: Tensor


class Memorization:
    """The rate of near-copies of training images: exact, mirrored left-right, or slightly noisy.

    What is near in features need be no copy, and a little noise moves features far. So an image's
    candidates are the 50 training images with the nearest features and the one with the nearest
    8x8 thumbnail, and the pixels decide: it is a copy if its Euclidean distance to the nearest of
    them is a quarter of the mean one or less, or if its mirror image is a copy. Among plain images,
    all near each other, the mean is small too: this is the rule of Carlini et al. (2023, section
    5), stricter than with their half. Images of more than 32x32 pixels are compared at 32x32.

    Data have near-copies of their own, so beside the rate stands that of real images which were not
    trained on: the split `test` against `train`. Without splits the reference is what was trained
    on, and a random half of it is compared with the other, which has half as many to be near to.
    The real images are at most as many as the generated ones.

    Args:
        extractor: what the features are taken by.
        neighbours: how many candidates the features choose.
        threshold: the ratio up to which an image is a copy.

    Raises:
        UsageError: fewer than two neighbours, or a threshold that is not between 0 and 1.
    """

    higher_is_better = False

    def __init__(self, extractor: Extractor, neighbours: int = 50, threshold: float = 0.25) -> None:
        setting = "metrics.figures.memorization"
        if neighbours < 2:
            raise UsageError(f"{setting}.neighbours={neighbours}: it has to be 2 or more")
        if not 0 < threshold < 1:
            raise UsageError(f"{setting}.threshold={threshold}: it has to be between 0 and 1")
        self.extractor = extractor
        self._neighbours, self._threshold = neighbours, threshold

    def check(self, sets: Sets) -> None:
        """Refuses fewer training images than neighbours, in a half of them without splits."""
        training, test = _real(sets)
        needed = self._neighbours * (2 if test is None else 1)
        if len(training) < needed:
            raise UsageError(
                f"{training.name}: {len(training)} images are too few for "
                f"metrics.figures.memorization.neighbours={self._neighbours}, which needs {needed}"
            )

    def __call__(self, sets: Sets) -> dict[str, float | Image]:
        """The rates of copies, and the pairs that are most alike.

        Returns:
            `memorization`, the rate among the generated images, and `memorization/real`, in [0, 1];
            `memorization/copies`, their number; `memorization/distance`, the median distance of
            generated features to the nearest of training over that of the real images: under 1,
            they lie nearer than new images do; and `memorization/pairs`, a picture of generated
            images, each with its training image at its right.
        """
        training, test = _real(sets)
        pixels = _small(training)
        trained = Training(training.features(self.extractor), pixels, _thumbnails(pixels))
        generated = self._likeness(sets.generated, torch.arange(len(sets.generated)), trained)
        draws = torch.Generator().manual_seed(0)
        rows = torch.randperm(len(test or training), generator=draws)
        if test is None:
            rows, others = rows.chunk(2)
            trained = Training(*(part[others] for part in trained))
        rows = rows[: len(sets.generated)].sort().values
        real = self._likeness(test or training, rows, trained)
        copies, real_copies = (like.ratio <= self._threshold for like in (generated, real))
        return {
            "memorization": float(copies.double().mean()),
            "memorization/real": float(real_copies.double().mean()),
            "memorization/copies": float(copies.sum()),
            "memorization/distance": float(generated.distance.median() / real.distance.median()),
            "memorization/pairs": pairs(sets.generated, training, generated),
        }

    def _likeness(self, images: ImageSet, rows: Tensor, training: Training) -> Likeness:
        """Compares the images at `rows` as they are and mirrored, whichever is more alike."""
        mirrored = ImageSet(
            Mirrored(images, rows), f"{images.name}, mirrored", device=images.device
        )
        pixels = _small(mirrored, training.pixels.shape[-1], training.pixels.shape[1])
        features = images.features(self.extractor)[rows]
        plain = likeness(features, pixels.flip(3), training, self._neighbours, images.device)
        features = mirrored.features(self.extractor)
        turned = likeness(features, pixels, training, self._neighbours, images.device)
        return Likeness(
            torch.minimum(plain.ratio, turned.ratio),
            torch.where(turned.ratio < plain.ratio, turned.nearest, plain.nearest),
            torch.minimum(plain.distance, turned.distance),
        )


class Mirrored:
    """The images of a set at `rows`, mirrored left-right."""

    labels, classes, content_hash, generator = None, (), None, None

    def __init__(self, images: ImageSet, rows: Tensor) -> None:
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        return len(self._rows)

    def chunk(self, number: int) -> Tensor:
        """The images from `number * CHUNK` on."""
        rows = self._rows[number * CHUNK : (number + 1) * CHUNK]
        return self._images.pixels(rows.tolist()).flip(3)


def likeness(
    features: Tensor,
    pixels: Tensor,
    training: Training,
    neighbours: int,
    device: torch.device | str = "cpu",
) -> Likeness:
    """Compares images with their candidates among the training images.

    Args:
        features: the images', `(n, F)`.
        pixels: the images, uint8, of the shape of the training images'.
        training: what they are compared with.
        neighbours: how many candidates the features choose.
        device: where they are compared.
    """
    distances, by_features = nearest(features, training.features, neighbours, device)
    _, by_thumbnails = nearest(_thumbnails(pixels), training.thumbnails, 1, device)
    candidates = torch.cat([by_features, by_thumbnails], 1)
    ratios, found = [], []
    for some, among in zip(torch.split(pixels, CHUNK), torch.split(candidates, CHUNK), strict=True):
        these = some.flatten(1).to(device).float().unsqueeze(1)
        those = training.pixels[among].flatten(2).to(device).float()
        # Not by products, which leave a copy at a distance.
        apart = torch.cdist(these, those, compute_mode="donot_use_mm_for_euclid_dist")[:, 0].cpu()
        least, which = apart.min(1)
        ratios.append(least / apart.mean(1).clamp(min=torch.finfo(apart.dtype).tiny))
        found.append(among.gather(1, which.unsqueeze(1))[:, 0])
    return Likeness(torch.cat(ratios), torch.cat(found), distances[:, 0])


def pairs(generated: ImageSet, training: ImageSet, alike: Likeness) -> Image:
    """Shows the generated images that are most alike, each with its training image at its right."""
    rows = alike.ratio.argsort(stable=True)[:PAIRS]
    right = training.pixels(alike.nearest[rows].tolist())
    left = fit(generated.pixels(rows.tolist()), right.shape[-1], right.shape[1])
    gap = max(1, right.shape[-1] // 28)
    both = torch.cat([functional.pad(left, (0, gap), value=255), right], 3)
    return grid(both, 6, gap=6 * gap, least=840)


def _real(sets: Sets) -> tuple[ImageSet, ImageSet | None]:
    """The images that were trained on, and those that were not where the data say which."""
    return sets.split("train") or sets.reference, sets.split("test")


def _thumbnails(pixels: Tensor) -> Tensor:
    return fit(pixels, THUMBNAIL, pixels.shape[1]).flatten(1)


def _small(images: ImageSet, side: int | None = None, channels: int | None = None) -> Tensor:
    """All images at `side` x `side`; by default as they are, or 32x32 if they are larger."""
    return torch.cat(
        [
            fit(chunk.cpu(), side or min(SIDE, chunk.shape[-1]), channels or chunk.shape[1])
            for chunk in images.chunks()
        ]
    )
