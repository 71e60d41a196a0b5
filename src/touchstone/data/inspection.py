"""What is wrong with a data set before anyone trains on it: copies, blanks, broken files, balance.

The images of all splits are numbered as if laid end to end, the training split first. What is
compared is what is trained on: the images at the resolution and with the channels of the settings.
"""

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from touchstone.data import image_folder
from touchstone.data.images import SPLITS, Images
from touchstone.data.pictures import cached, decode

BLANK = 1.0  # the contrast, of 255, below which an image is blank
# Copies with noise of a standard deviation of 4 differ by less, as do 999 of 1,000 of Fashion-MNIST
# saved as JPEG at quality 85; above it the pairs found there are, ever more, different trousers.
DIFFERENCE = 4.0
SHARE = 1 / 8  # of the flatter image's contrast: any two pictures of fog differ by little
IMBALANCE = 2.0  # the largest class to the smallest
_GRID = 8  # cells a side
_CHUNK = 4096  # images, or pairs of them, in memory at once
_ROWS = 256  # images compared with all of a like brightness at once
_ROUNDING = 1e-3  # of float32's sums, of 255


@dataclass(frozen=True)
class Pairs:
    """Pairs of near-duplicates, the nearest first.

    Attributes:
        first: the images' numbers, int64 `(P,)`.
        second: those of the others, larger than `first`.
        difference: the mean absolute difference of the pixels, 0 to 255, `(P,)`.
        flipped: whether one of them has to be mirrored, left to right, bool `(P,)`.
    """

    first: Tensor
    second: Tensor
    difference: Tensor
    flipped: Tensor

    def __len__(self) -> int:
        return len(self.first)

    def where(self, chosen: Tensor) -> "Pairs":
        """Those of the pairs where `chosen`, bool or int64, points."""
        return Pairs(
            self.first[chosen],
            self.second[chosen],
            self.difference[chosen],
            self.flipped[chosen],
        )


@dataclass(frozen=True)
class Header:
    """What a picture's file says of itself.

    Attributes:
        size: width and height in pixels, as stored.
        mode: Pillow's: L, RGB, RGBA, P, CMYK, …
        format: PNG, JPEG, …
    """

    size: tuple[int, int]
    mode: str
    format: str


@dataclass(frozen=True)
class Files:
    """The files of a folder of pictures.

    Attributes:
        names: the images' paths in the folder, in the order of the images.
        headers: of each of them.
        broken: the paths of files that cannot be decoded, and why.
    """

    names: list[str]
    headers: list[Header]
    broken: Mapping[str, str]


@dataclass(frozen=True)
class Finding:
    """Something wrong with the data.

    Attributes:
        what: it, with counts and rates.
        advice: what to do.
    """

    what: str
    advice: str


@dataclass(frozen=True)
class Inspection:
    """All that was found.

    Attributes:
        splits: `train`, and `test` where the source has one.
        blank: the numbers of blank images, which are not among the copies.
        groups: the numbers of images of equal pixels, ascending; the largest group first.
        pairs: the near-duplicates; of a group of equal images its first stands for all.
        files: those of a folder of pictures; None for a packaged set.
    """

    splits: Mapping[str, Images]
    blank: list[int]
    groups: list[list[int]]
    pairs: Pairs
    files: Files | None = None

    def __len__(self) -> int:
        return sum(len(images) for images in self.splits.values())

    @property
    def boundary(self) -> int:
        """The number of training images, which is the number of the first test image."""
        return len(self.splits["train"])

    @property
    def resolution(self) -> int:
        """Pixels of the shorter side."""
        return min(self.splits["train"].pixels.shape[2:])

    def parts(self) -> Iterator[tuple[str, int, int]]:
        """The splits' names, with where their numbers start and stop."""
        start = 0
        for name, images in self.splits.items():
            yield name, start, start + len(images)
            start += len(images)

    def pixels(self, numbers: Sequence[int]) -> Tensor:
        """The images of these numbers, uint8 `(n, C, H, W)`."""
        return take([images.pixels for images in self.splits.values()], torch.tensor(numbers))

    def name(self, number: int) -> str:
        """What an image is called: its file, or its split and its number in it."""
        if self.files is not None:
            return self.files.names[number]
        split, start, _ = next(part for part in self.parts() if number < part[2])
        return f"{split} {number - start}"

    def within(self, start: int, stop: int) -> tuple[list[list[int]], Pairs]:
        """The groups of equal images and the near-duplicates that lie wholly in a split."""
        groups = [[number for number in group if start <= number < stop] for group in self.groups]
        inside = (self.pairs.first >= start) & (self.pairs.second < stop)
        return [group for group in groups if len(group) > 1], self.pairs.where(inside)

    @cached_property
    def overlap(self) -> Pairs:
        """The test images, as `second`, that are copies of a training image; equal ones first."""
        last = self.boundary
        equal = [
            (group[0], number)
            for group in self.groups
            for number in group
            if group[0] < last <= number
        ]
        near = self.pairs.where((self.pairs.first < last) & (self.pairs.second >= last))
        first, second = torch.tensor(equal, dtype=torch.int64).view(-1, 2).unbind(1)
        return Pairs(
            torch.cat([first, near.first]),
            torch.cat([second, near.second]),
            torch.cat([torch.zeros(len(equal)), near.difference]),
            torch.cat([torch.zeros(len(equal), dtype=torch.bool), near.flipped]),
        )

    @cached_property
    def overlapping(self) -> int:
        """How many test images are equal to a training image or nearly so."""
        leaders = torch.arange(len(self))
        for group in self.groups:
            leaders[group] = group[0]
        copied = (leaders < self.boundary) | torch.isin(leaders, self.overlap.second)
        return int(copied[self.boundary :].sum())

    @property
    def upscaled(self) -> int:
        """How many files have a side shorter than the resolution that is trained at."""
        headers = self.files.headers if self.files else []
        return sum(min(header.size) < self.resolution for header in headers)

    def counts(self, split: str) -> list[int] | None:
        """Images a class of a split, in the order of the classes; None without labels."""
        images = self.splits[split]
        if images.labels is None or not images.classes:
            return None
        return torch.bincount(images.labels, minlength=len(images.classes)).tolist()

    @property
    def balance(self) -> float | None:
        """The largest class of the training split to the smallest; None without labels."""
        counts = self.counts("train")
        return max(counts) / max(min(counts), 1) if counts else None

    def findings(self) -> list[Finding]:
        """What is wrong, worst first: what makes figures wrong, then what makes samples worse."""
        return [
            Finding(what, advice)
            for number, what, advice in (
                self._overlap(),
                self._broken(),
                self._blank(),
                *self._equal(),
                *self._near(),
                self._unbalanced(),
                self._upscaled(),
            )
            if number
        ]

    def _overlap(self) -> tuple[int, str, str]:
        of = len(self) - self.boundary
        return (
            self.overlapping,
            f"{rate(self.overlapping, of)} test images are also in the training split, "
            "equal or nearly so",
            "take them out of one of the splits: figures on the test split reward memorising them",
        )

    def _broken(self) -> tuple[int, str, str]:
        broken = len(self.files.broken) if self.files else 0
        return (
            broken,
            f"{rate(broken, len(self) + broken)} files cannot be decoded and are skipped",
            "replace or delete them",
        )

    def _blank(self) -> tuple[int, str, str]:
        return (
            len(self.blank),
            f"{rate(len(self.blank), len(self))} images are blank",
            "delete them: a generator learns to make them",
        )

    def _equal(self) -> Iterator[tuple[int, str, str]]:
        for split, start, stop in self.parts():
            groups, _ = self.within(start, stop)
            repeated = sum(len(group) - 1 for group in groups)
            yield (
                repeated,
                f"{rate(repeated, stop - start)} {split} images repeat another one, pixel by pixel",
                "keep one of each: what is repeated is learned by heart first",
            )

    def _near(self) -> Iterator[tuple[int, str, str]]:
        for split, start, stop in self.parts():
            _, pairs = self.within(start, stop)
            images = len({*pairs.first.tolist(), *pairs.second.tolist()})
            flipped = int(pairs.flipped.sum())
            yield (
                len(pairs),
                f"{rate(images, stop - start)} {split} images are near-duplicates of another, in "
                f"{len(pairs):,} pair{'s' * (len(pairs) > 1)}, {flipped:,} mirrored",
                "look at the pairs, and keep one of each that shows the same thing",
            )

    def _unbalanced(self) -> tuple[int, str, str]:
        balance = self.balance or 0
        counts = self.counts("train") or [0]
        return (
            balance >= IMBALANCE,
            f"the largest class has {max(counts):,} training images, the smallest "
            f"{min(counts):,}" + (f" ({balance:.1f} to 1)" if min(counts) else ""),
            "add to the small classes, or expect them to be generated seldom and badly",
        )

    def _upscaled(self) -> tuple[int, str, str]:
        return (
            self.upscaled,
            f"{rate(self.upscaled, len(self))} pictures are smaller than the "
            f"resolution of {self.resolution} and are enlarged",
            "lower data.resolution or leave them out: a generator learns their blur",
        )


def rate(number: int, total: int) -> str:
    """A count and its rate: `12 of 10,000 (0.12%)`."""
    return f"{number:,} of {total:,} ({100 * number / max(total, 1):.2g}%)"


def inspect(splits: Mapping[str, Images], files: Files | None = None) -> Inspection:
    """Looks at every image of the splits, and at every two of them.

    Args:
        splits: `train`, and `test` where there is one.
        files: what the images were decoded from.
    """
    pixels = [images.pixels for images in splits.values()]
    contrasts = measured(pixels, contrast)
    blank = contrasts < BLANK
    groups = [group for group in equal_images(pixels) if not blank[group[0]]]
    alone = ~blank
    for _, *others in groups:
        alone[others] = False
    pairs = near_duplicates(pixels, contrasts, alone.nonzero()[:, 0])
    return Inspection(splits, blank.nonzero()[:, 0].tolist(), groups, pairs, files)


def contrast(pixels: Tensor) -> Tensor:
    """The standard deviation, 0 to 127.5, over the places of images `(N, C, H, W)`: `(N,)`.

    Of several channels the root of the mean variance: a red picture is as blank as a grey one.
    """
    return pixels.float().flatten(2).var(2, correction=0).mean(1).sqrt()


def equal_images(pixels: Sequence[Tensor]) -> list[list[int]]:
    """The numbers of images with equal pixels, ascending in a group; the largest group first."""
    groups = defaultdict(list)
    images = (image for chunk in _chunks(pixels, "comparing") for image in chunk.numpy())
    for number, image in enumerate(images):
        groups[blake2b(image.tobytes(), digest_size=16).digest()].append(number)
    return sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)


def near_duplicates(pixels: Sequence[Tensor], contrasts: Tensor, among: Tensor) -> Pairs:
    """Finds every two images that differ, as they are or with one mirrored, by very little.

    Two images are near-duplicates where the mean absolute difference of their pixels is at most
    4 of 255 and at most an eighth of the contrast of the flatter one. No such pair is missed.

    The mean absolute difference of two images is at least the sum, over a partition of the pixels,
    of the differences of the parts' sums divided by the number of pixels: the triangle inequality,
    once for each part. With one part, the whole image, it bounds the difference in brightness. So
    the images are sorted by brightness, each is compared with the few of like brightness by the
    8x8 cells of a grid, and only what passes both is compared pixel by pixel.

    Args:
        pixels: uint8 `(N, C, H, W)` of each split.
        contrasts: of every image, `(N,)`.
        among: the numbers, int64, of the images that are compared; blank ones left out.
    """
    from tqdm import tqdm

    upright = measured(pixels, cells)[among]
    mirrored = measured(pixels, lambda chunk: cells(chunk.flip(3)))[among]
    brightness, order = upright.sum(1).sort()
    upright, mirrored, numbers = upright[order], mirrored[order], among[order]
    nearest = [_verified(pixels, contrasts, among.new_empty(2, 0), flipped=False)]
    with tqdm(
        total=len(numbers), desc="near-duplicates", unit="image", delay=2, disable=None
    ) as progress:
        for start in range(0, len(numbers), _ROWS):
            rows = slice(start, start + _ROWS)
            bound = brightness[rows][-1] + DIFFERENCE + _ROUNDING
            alike = slice(start, int(torch.searchsorted(brightness, bound, right=True)))
            for flipped, own in ((False, upright[rows]), (True, mirrored[rows])):
                apart = torch.cdist(own, upright[alike], p=1)
                row, column = (apart <= DIFFERENCE + _ROUNDING).nonzero(as_tuple=True)
                later = row < column
                ends = torch.stack([numbers[rows][row[later]], numbers[alike][column[later]]])
                nearest.append(_verified(pixels, contrasts, ends.sort(0).values, flipped=flipped))
            progress.update(len(own))
    return _joined(nearest)


def cells(pixels: Tensor) -> Tensor:
    """The sums of images' pixels over the cells of a grid, divided by the pixels of an image.

    Args:
        pixels: uint8, `(N, C, H, W)`.

    Returns:
        Floats, `(N, cells)`, which add up to the images' means.
    """
    grey = pixels.float().mean(1)
    height, width = grey.shape[1:]
    size = -(-height // _GRID), -(-width // _GRID)
    # Filled up with nothing: cells that overlap would count a difference twice.
    whole = functional.pad(grey, (0, -width % size[1], 0, -height % size[0]))
    sums = functional.avg_pool2d(whole[:, None], size, divisor_override=1)
    return sums.flatten(1) / (height * width)


def _verified(pixels: Sequence[Tensor], contrasts: Tensor, ends: Tensor, *, flipped: bool) -> Pairs:
    """Those of the pairs `ends`, int64 `(2, P)`, that are near-duplicates at full resolution."""
    differences = []
    for first, second in zip(*(torch.split(end, _CHUNK) for end in ends), strict=True):
        one, other = take(pixels, first), take(pixels, second)
        one = one.flip(3) if flipped else one
        # Without the wrap-around of uint8's subtraction.
        apart = torch.maximum(one, other) - torch.minimum(one, other)
        differences.append(apart.flatten(1).float().mean(1))
    difference = torch.cat(differences)
    pairs = Pairs(ends[0], ends[1], difference, torch.full((ends.shape[1],), flipped))
    flatter = contrasts[ends].amin(0)
    return pairs.where((difference <= DIFFERENCE) & (difference <= SHARE * flatter))


def _joined(found: Sequence[Pairs]) -> Pairs:
    """All pairs, nearest first; what is near both upright and mirrored only as what is nearer."""
    every = Pairs(
        *(torch.cat([getattr(pairs, part.name) for pairs in found]) for part in fields(Pairs))
    )
    # Of one pair the upright finding comes first, and so wins where both differ alike.
    ordered = every.where(every.difference.argsort(stable=True))
    ends = torch.stack([ordered.first, ordered.second]).numpy()
    _, places = np.unique(ends, axis=1, return_index=True)
    return ordered.where(torch.from_numpy(places).sort().values)


def measured(pixels: Sequence[Tensor], measure: Callable[[Tensor], Tensor]) -> Tensor:
    """What `measure` makes of the images of all splits, a chunk of them at a time."""
    return torch.cat([measure(chunk) for chunk in _chunks(pixels, "measuring")])


def _chunks(pixels: Sequence[Tensor], what: str) -> Iterator[Tensor]:
    from tqdm import tqdm

    with tqdm(
        total=sum(map(len, pixels)), desc=what, unit="image", delay=2, disable=None
    ) as progress:
        for split in pixels:
            for chunk in torch.split(split, _CHUNK):
                yield chunk
                progress.update(len(chunk))


def take(pixels: Sequence[Tensor], numbers: Tensor) -> Tensor:
    """The images of these numbers, of splits laid end to end, without laying them end to end."""
    taken = torch.empty((len(numbers), *pixels[0].shape[1:]), dtype=torch.uint8)
    start = 0
    for split in pixels:
        inside = (numbers >= start) & (numbers < start + len(split))
        taken[inside] = split[numbers[inside] - start]
        start += len(split)
    return taken


def files(path: str | Path, cache: str | Path, splits: Mapping[str, Images]) -> Files:
    """Looks at the files that `image_folder.load` has decoded.

    Args:
        path: the folder of pictures.
        cache: the cache that they were decoded into.
        splits: what was loaded.
    """
    from tqdm import tqdm

    root = Path(path).expanduser()
    channels, resolution = splits["train"].pixels.shape[1:3]
    found = sorted(image_folder.find(root))
    parted = all((root / part).is_dir() for part in SPLITS)
    names: list[str] = []
    broken: dict[str, str] = {}
    for split in splits:
        chosen = [name for name in found if image_folder.split_of(name, parted) == split]
        with redirect_stderr(io.StringIO()):  # which were skipped was said when they were loaded
            kept = cached(root, chosen, Path(cache), resolution=resolution, channels=channels)[1]
        names += kept
        broken |= {name: _reason(root / name, channels) for name in set(chosen) - set(kept)}
    with ThreadPoolExecutor() as threads:
        headers = threads.map(header, [root / name for name in names])
        bar = tqdm(headers, desc="sizes", total=len(names), unit="picture", delay=2, disable=None)
        return Files(names, list(bar), dict(sorted(broken.items())))


def _reason(path: Path, channels: int) -> str:
    try:
        decode(path, 1, channels)
    except Exception as failure:  # decoders raise whatever they like at a broken file
        return str(failure) or type(failure).__name__
    return "it was broken when it was first read"


def header(path: Path) -> Header:
    """Reads what a picture's file says of itself, without decoding it."""
    from PIL import Image

    with Image.open(path) as picture:
        return Header(picture.size, picture.mode, str(picture.format))


def common(values: Sequence[str], most: int = 10) -> list[tuple[str, int]]:
    """The most common values with their counts, the commonest first."""
    return Counter(values).most_common(most)
