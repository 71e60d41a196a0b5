"""Sets of images as the metrics see them: features computed once, by all processes together."""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, distributed, nn
from tqdm import tqdm

from touchstone.data.images import quantize
from touchstone.data.split import Split
from touchstone.draws import Share
from touchstone.errors import UsageError
from touchstone.metrics.cache import Cache
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.gaussian import Gaussian
from touchstone.sampling import CHUNK, labels, sampled_chunk
from touchstone.truncation import check, sampled_as

T = TypeVar("T")


class Source(Protocol):
    """Where a set's images come from, in chunks of `CHUNK` that can be had in any order."""

    @property
    def labels(self) -> Tensor | None:
        """The images' labels, int64 `(N,)`, if they have any."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the labels."""

    @property
    def content_hash(self) -> str | None:
        """Equal for equal images; None where nothing that is computed on them is worth keeping."""

    @property
    def generator(self) -> nn.Module | None:
        """What made the images, where it is at hand."""

    def __len__(self) -> int: ...

    def chunk(self, number: int) -> Tensor:
        """The images from `number * CHUNK` on, uint8 `(n, C, H, W)`; points, float32 `(n, F)`."""


class Stored:
    """Images at hand: a data set's split, or pictures that others made."""

    generator = None

    def __init__(self, images: Split) -> None:
        self.images = images
        self.labels, self.classes = images.labels, images.classes

    @property
    def content_hash(self) -> str:
        """The samples' hash."""
        return self.images.content_hash

    def __len__(self) -> int:
        return len(self.images)

    def chunk(self, number: int) -> Tensor:
        """The images from `number * CHUNK` on."""
        first = number * CHUNK
        indices = torch.arange(first, min(first + CHUNK, len(self)), device=self.images.device)
        return self.images.gather(indices)[0]


class Drawn:
    """A generator's samples, made when they are asked for.

    Args:
        generator: the averaged one; a conditional one says how many `classes` it knows.
        number: how many samples.
        seed: of the latents.
        device: where the generator is.
        classes: the classes' names, for a conditional generator.
        truncation: as in `touchstone.truncation.sampled_as`.
        standing: as in `touchstone.truncation.sampled_as`.

    Raises:
        UsageError: what the generator cannot be sampled by.
    """

    content_hash = None

    def __init__(
        self,
        generator: nn.Module,
        number: int,
        *,
        seed: int,
        device: torch.device | str,
        classes: tuple[str, ...] = (),
        truncation: float | None = None,
        standing: int = 0,
    ) -> None:
        check(generator, truncation, standing, "protocol.")
        self._trained, self._truncation, self._standing = generator, truncation, standing
        known = int(getattr(generator, "classes", 0) or 0)
        self.labels = labels(number, known) if known else None
        self.classes = (classes or tuple(str(label) for label in range(known))) if known else ()
        self.seed = seed
        self._number, self._device = number, device

    def __len__(self) -> int:
        return self._number

    @cached_property
    def generator(self) -> nn.Module:
        """The generator as it is sampled."""
        return sampled_as(
            self._trained, seed=self.seed, truncation=self._truncation, standing=self._standing
        )

    def chunk(self, number: int) -> Tensor:
        """Generates the samples from `number * CHUNK` on, images as the nearest uint8.

        Raises:
            UsageError: samples in [0, 1], or not finite: no generator's that was trained here.
        """
        made = sampled_chunk(
            self.generator, self._number, number, seed=self.seed, device=self._device
        )
        low, high = made.aminmax()
        if not (low.isfinite() and high.isfinite()):
            raise UsageError("the generator's samples are not finite: no figure can be computed")
        if made.ndim != 4:
            return made.float()
        # Black and white are there, and nothing is darker than a middle grey would be.
        if 0 <= low < 0.05 and 0.9 < high <= 1:
            raise UsageError(
                f"the generator's samples lie in [{float(low):.2f}, {float(high):.2f}]: they have "
                "to be in [-1, 1], black being -1 and white 1"
            )
        return quantize(made)


class ImageSet:
    """Images and their features, each extractor's computed once.

    Under several processes all of them make the set and call `extract` alike, and each works on its
    share of the chunks. The first process then has the features of all images in their order, equal
    to the last bit for any number of processes, and goes on alone.

    Args:
        source: the images.
        name: what they are, for progress and messages: the setting that they come by.
        device: where features are computed.
        cache: the folder in which features of images with a content hash are kept, for all runs;
            None: nothing is kept.
    """

    def __init__(
        self,
        source: Source,
        name: str,
        *,
        device: torch.device | str = "cpu",
        cache: str | Path | None = None,
    ) -> None:
        self.source, self.name, self.device = source, name, device
        self._cache = None
        if cache is not None and source.content_hash is not None:
            self._cache = Cache(Path(cache).expanduser())
        self._features: dict[str, Tensor] = {}
        self._gaussians: dict[str, Gaussian] = {}

    def __len__(self) -> int:
        return len(self.source)

    @property
    def labels(self) -> Tensor | None:
        """The images' labels, int64 `(N,)`, if they have any."""
        return self.source.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the labels."""
        return self.source.classes

    @property
    def generator(self) -> nn.Module | None:
        """What made the images, where it is at hand."""
        return self.source.generator

    def chunks(self) -> Iterator[Tensor]:
        """All images in order, as the source gives them, at most 250 at a time."""
        return (self.source.chunk(number) for number in range(self._chunks))

    def pixels(self, indices: Sequence[int] | None = None) -> Tensor:
        """The images at `indices`, or all, as the source gives them, on the CPU."""
        if indices is None:
            return torch.cat([chunk.cpu() for chunk in self.chunks()])
        found: dict[int, Tensor] = {}
        for number in sorted({index // CHUNK for index in indices}):
            chunk = self.source.chunk(number).cpu()
            inside = (index for index in indices if index // CHUNK == number)
            found |= {index: chunk[index % CHUNK] for index in inside}
        return torch.stack([found[index] for index in indices])

    def extract(self, *extractors: Extractor) -> None:
        """Has the features of all images computed where need be, on all processes together.

        Raises:
            UsageError: a feature that is not finite.
        """
        share = processes()
        with ExitStack() as made_here:
            missing: list[int] = []
            if share.rank == 0:
                if self._cache is not None:
                    for entry in sorted(self._entry(one) for one in extractors):
                        if not self._cache.has(f"features/{entry}"):
                            made_here.enter_context(self._cache.making(f"features/{entry}"))
                missing = [i for i, one in enumerate(extractors) if not self._at_hand(one)]
            missing = of_first(missing)
            if missing:
                self._compute([extractors[number] for number in missing], share)

    def features(self, extractor: Extractor) -> Tensor:
        """The images' features, float32 `(N, F)`, on the CPU; computed if they are not yet."""
        key = extractor.fingerprint
        if key not in self._features:
            kept = self._cache and self._cache.load(f"features/{self._entry(extractor)}")
            if kept:
                self._features[key] = kept["features"]
            else:
                self._compute([extractor], Share())
        return self._features[key]

    @torch.inference_mode()
    def logits(self, extractor: Extractor) -> Tensor:
        """The images' class logits, float32 `(N, classes)`, on the CPU.

        Raises:
            UsageError: an extractor that does not classify.
        """
        return extractor.to(self.device).logits(self.features(extractor).to(self.device)).cpu()

    def gaussian(self, extractor: Extractor) -> Gaussian:
        """The mean and the covariance of the images' features."""
        key, entry = extractor.fingerprint, f"statistics/{self._entry(extractor)}"
        if key not in self._gaussians:
            kept = self._cache and self._cache.load(entry)
            if kept:
                tensors = {name: tensor.to(self.device) for name, tensor in kept.items()}
                self._gaussians[key] = Gaussian(**tensors)
            else:
                fitted = Gaussian.of(self.features(extractor).to(self.device))
                self._gaussians[key] = fitted
                if self._cache is not None:
                    names = ("mean", "covariance", "root")
                    self._cache.save(entry, {name: getattr(fitted, name) for name in names})
        return self._gaussians[key]

    @property
    def _chunks(self) -> int:
        return -(-len(self) // CHUNK)

    def _entry(self, extractor: Extractor) -> str:
        key = f"{self.source.content_hash} {extractor.fingerprint}"
        return hashlib.sha256(key.encode()).hexdigest()

    def _at_hand(self, extractor: Extractor) -> bool:
        in_memory = extractor.fingerprint in self._features
        cached = self._cache is not None and self._cache.has(f"features/{self._entry(extractor)}")
        return in_memory or cached

    def _compute(self, extractors: Sequence[Extractor], share: Share) -> None:
        """Computes features chunk by chunk; the first process gathers and keeps them."""
        mine = range(share.rank, self._chunks, share.processes)
        parts: list[list[Tensor]] = [[] for _ in extractors]
        frozen = [one.requires_grad_(False).eval().to(self.device) for one in extractors]
        with tqdm(
            total=len(self),
            desc=self.name,
            unit=" images",
            delay=2,
            leave=False,
            disable=None if share.rank == 0 else True,
        ) as progress:
            for number in mine:
                images = self.source.chunk(number).to(self.device)
                for extractor, part in zip(frozen, parts, strict=True):
                    part.append(features_of(extractor, images).cpu())
                progress.update(min(len(images) * share.processes, len(self) - progress.n))
        for extractor, part in zip(extractors, parts, strict=True):
            gathered = gather(part, share)
            if share.rank == 0:
                self._features[extractor.fingerprint] = torch.cat(gathered)
                if self._cache is not None:
                    features = {"features": self._features[extractor.fingerprint]}
                    self._cache.save(f"features/{self._entry(extractor)}", features)


class Splits:
    """The splits of a data set, each loaded when it is first asked for.

    Args:
        load: gives a split.
        device: where features are computed.
        cache: the folder in which they are kept.
        loaded: splits that are at hand.
    """

    def __init__(
        self,
        load: Callable[..., Split],
        *,
        device: torch.device | str,
        cache: str | Path | None,
        **loaded: Split,
    ) -> None:
        self._load, self._device, self._cache = load, device, cache
        self._sets = {name: self._set(name, images) for name, images in loaded.items()}

    def __call__(self, name: str) -> ImageSet:
        """The split `train` or `test`.

        Raises:
            UsageError: the data has no such split.
        """
        if name not in self._sets:
            self._sets[name] = self._set(name, self._load(split=name))
        return self._sets[name]

    def _set(self, name: str, images: Split) -> ImageSet:
        return ImageSet(Stored(images), f"{name} split", device=self._device, cache=self._cache)


@dataclass(frozen=True)
class Sets:
    """What a metric is given.

    Attributes:
        generated: the images whose figures are wanted.
        reference: the real images that they are compared with.
        splits: of the reference's data; None where it has none.
        discriminator: the generator's opponent, where it is at hand.
    """

    generated: ImageSet
    reference: ImageSet
    splits: Splits | None = None
    discriminator: nn.Module | None = None

    def split(self, name: str) -> ImageSet | None:
        """The split `train` or `test` of the real data; None where it has no splits."""
        return None if self.splits is None else self.splits(name)


@torch.inference_mode()
def features_of(extractor: Extractor, images: Tensor) -> Tensor:
    """The features, float32 `(n, F)`, of uint8 images, in full precision whatever training uses.

    Raises:
        UsageError: a feature that is not finite.
        ValueError: images that are not uint8 `(n, C, H, W)`.
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise ValueError(
            f"an extractor takes uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}"
        )
    with (
        torch.autocast(images.device.type, enabled=False),
        torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False),
    ):
        features: Tensor = extractor(images).float()
    if not features.isfinite().all():
        raise UsageError(
            f"protocol.extractor={extractor.name} gave a feature that is not finite: "
            "its weights are damaged, or do not suit these images."
        )
    return features


def processes() -> Share:
    """This process among those of the job."""
    if distributed.is_available() and distributed.is_initialized():
        return Share(distributed.get_rank(), distributed.get_world_size())
    return Share()


def gather(parts: list[Tensor], share: Share) -> list[Tensor]:
    """Brings every process's chunks to the first, in the chunks' order; the others get nothing."""
    if share.processes == 1:
        return parts
    all_parts: list[Any] | None = [None] * share.processes if share.rank == 0 else None
    distributed.gather_object(parts, all_parts)
    if all_parts is None:
        return []
    rows = itertools.zip_longest(*all_parts)
    return [part for row in rows for part in row if part is not None]


def of_first(value: T) -> T:
    """What the first process says, on every process."""
    if processes().processes == 1:
        return value
    said = [value]
    distributed.broadcast_object_list(said)
    return said[0]
