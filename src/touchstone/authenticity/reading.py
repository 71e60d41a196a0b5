"""Pictures as the samples of a run: of files, of Pillow's images and of tensors."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from touchstone.data.files import say
from touchstone.data.image_folder import find
from touchstone.data.images import normalize
from touchstone.data.pictures import SUFFIXES, decode, plain, to_pixels
from touchstone.errors import UsageError
from touchstone.symbols import PIXELS

Picture: TypeAlias = Image.Image | str | Path
Pictures: TypeAlias = Tensor | Sequence[Picture]

_NAMED = 5  # files that a message names


@dataclass(frozen=True)
class Read:
    """A file that was read, or that could not be.

    Attributes:
        name: the file's, in the folder that was given.
        pixels: uint8 `(C, S, S)`; none where it could not be read.
        note: what was done to it, or why it could not be read.
    """

    name: str
    pixels: Tensor | None
    note: str = ""


@dataclass(frozen=True)
class Reader:
    """Brings pictures to the form that a run's samples have, as `data=image_folder` does.

    The central square is resized; a palette, CMYK or 16 bits a channel become 8 bits a channel. Of
    data whose samples are a picture beside its template, `(2, S, S)`, each is read with its own.

    Attributes:
        shape: of a sample, `(C, S, S)`.
        crop: pixels a side of the central square; by default a picture's shorter side.

    Raises:
        UsageError: samples that are no square pictures.
    """

    shape: tuple[int, ...]
    crop: int | None = None

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or self.shape[1] != self.shape[2]:
            raise UsageError(
                f"a sample of the run's data has the shape {self.shape}: it is no square picture, "
                "and no picture can be held against it"
            )

    @property
    def side(self) -> int:
        """Pixels a side."""
        return self.shape[-1]

    @property
    def paired(self) -> bool:
        """Whether a sample is a picture and, as its second channel, its template."""
        return self.shape[0] == 2

    def check(self, templates: object) -> None:
        """Refuses templates where there are none, and none where there have to be some.

        Raises:
            UsageError: says which.
        """
        if self.paired and templates is None:
            raise UsageError(
                "templates=null: a sample of the run's data is a picture beside its template: "
                "name the template's file, or a folder with one of the same name for each picture"
            )
        if not self.paired and templates is not None:
            raise UsageError(
                f"templates={templates}: the run's data have no templates: leave the setting out"
            )

    def pixels(self, picture: Picture, template: Picture | None = None) -> Tensor:
        """The pixels of a picture, and below them its template's, uint8 `(C, S, S)`.

        Raises:
            Exception: of any type that a decoder raises; it is no picture, or a broken one.
        """
        channels = 1 if self.paired else self.shape[0]
        layers = [_decoded(picture, self.side, channels, self.crop)]
        if template is not None:
            layers.append(self._symbols(template))
        return torch.from_numpy(np.concatenate(layers))

    def _symbols(self, template: Picture) -> NDArray[np.uint8]:
        """A template `(1, S, S)`, of which each symbol is black or white throughout.

        Raises:
            ValueError: it has no whole number of pixels for each symbol.
        """
        whole = _decoded(template, None, 1)[0]
        number, (height, width) = self.side // PIXELS, whole.shape
        if height != width or width % number:
            sizes = ", ".join(f"{factor * number}x{factor * number}" for factor in (1, 2, 3))
            raise ValueError(
                f"its template is {width}x{height}: of {number}x{number} symbols without a border "
                f"it has to be {sizes} or another multiple"
            )
        inside = width // number
        means = whole.reshape(number, inside, number, inside).mean(axis=(1, 3))
        symbols = np.where(means < 127.5, 0, 255).astype(np.uint8)
        return symbols.repeat(PIXELS, 0).repeat(PIXELS, 1)[None]

    def samples(self, pictures: Pictures, templates: Sequence[Picture] | None = None) -> Tensor:
        """Samples `(N, C, S, S)` in [-1, 1] of pictures.

        Args:
            pictures: a tensor `(N, C, S, S)`, uint8 or floats in [-1, 1]; or Pillow's images or
                files, of any size and mode.
            templates: of images or files, one for each.

        Raises:
            UsageError: a tensor of another type, shape or range, or what cannot be read.
        """
        if isinstance(pictures, Tensor):
            return self._checked(pictures)
        self.check(templates)
        if not len(pictures):
            return torch.empty(0, *self.shape)
        made = []
        for number, picture in enumerate(pictures):
            template = None if templates is None else templates[number]
            try:
                made.append(self.pixels(picture, template))
            except Exception as failure:  # decoders raise whatever they like at a broken file
                name = picture if isinstance(picture, str | Path) else f"picture {number}"
                raise UsageError(f"{name}: cannot be read ({_reason(failure)})") from failure
        return normalize(torch.stack(made))

    def _checked(self, samples: Tensor) -> Tensor:
        if tuple(samples.shape[1:]) != self.shape:
            raise UsageError(
                f"a tensor of shape {tuple(samples.shape)}: the run's samples make it "
                f"(N, {', '.join(map(str, self.shape))}); files and images of any size are resized"
            )
        if samples.dtype == torch.uint8:
            return normalize(samples)
        if not samples.is_floating_point() or (samples.abs() > 1.001).any():
            raise UsageError("a tensor of samples has to be uint8, or of floats in [-1, 1]")
        return samples.float()


@dataclass(frozen=True)
class Files:
    """The files of pictures that a user names.

    Attributes:
        root: the folder that they lie in.
        names: theirs, in it.
        templates: the file of the template for each name that has one; none where all go without.
    """

    root: Path
    names: Sequence[str]
    templates: Mapping[str, Path] | None = field(default=None, repr=False)

    @classmethod
    def named(cls, path: str | Path, templates: str | Path | None = None) -> "Files":
        """Finds them: a single file, or the pictures of a folder and of the folders in it.

        Files of a folder whose names do not end as a picture's are named on stderr.

        Args:
            path: of the file or folder.
            templates: a template for all, or a folder with one for each, of the same name whatever
                it ends in.

        Raises:
            UsageError: there is no such file or folder, or no picture in it.
        """
        root, names = _listed(path, "path")
        if templates is None:
            return cls(root, names)
        place, found = _listed(templates, "templates")
        if not Path(templates).is_dir():
            return cls(root, names, dict.fromkeys(names, place / found[0]))
        of_stem = {str(PurePath(name).with_suffix("")): place / name for name in found}
        stems = {name: str(PurePath(name).with_suffix("")) for name in names}
        return cls(root, names, {n: of_stem[stem] for n, stem in stems.items() if stem in of_stem})

    def __len__(self) -> int:
        return len(self.names)

    def read(self, reader: Reader, number: int) -> Iterator[list[Read]]:
        """Reads them, `number` at a time, of which none is kept."""

        def attempt(name: str) -> Read:
            template = None if self.templates is None else self.templates.get(name)
            if reader.paired and template is None:
                return Read(name, None, "it has no template")
            try:
                pixels = reader.pixels(self.root / name, template)
                return Read(name, pixels, resized(self.root / name, reader))
            except Exception as failure:  # decoders raise whatever they like at a broken file
                return Read(name, None, f"cannot be read: {_reason(failure)}")

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for start in range(0, len(self), number):
                yield list(threads.map(attempt, self.names[start : start + number]))


def resized(path: Path, reader: Reader) -> str:
    """What the size of a picture's file makes of it, in words; nothing where it fits."""
    with Image.open(path) as picture:
        width, height = picture.size
    if (width, height) == (reader.side, reader.side) and reader.crop is None:
        return ""
    square = "" if width == height and reader.crop is None else "central square "
    return f"{square}resized from {width}x{height}"


def _listed(path: str | Path, setting: str) -> tuple[Path, list[str]]:
    """The folder and, in it, the files that a path names."""
    place = Path(path).expanduser()
    if not place.exists():
        raise UsageError(f"{setting}={path}: there is no such file or folder")
    if not place.is_dir():
        return place.parent, [place.name]
    names = sorted(find(place))
    if not names:
        raise UsageError(
            f"{setting}={path}: no pictures in it; their names end in {', '.join(sorted(SUFFIXES))}"
        )
    if others := sorted(_others(place)):
        more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
        say(f"{setting}={path}: no pictures by their names: {', '.join(others[:_NAMED])}{more}")
    return place, names


def _others(root: Path) -> Iterator[str]:
    """The paths, in `root`, of the files below it that `find` passes over; hidden ones apart."""
    for path in root.rglob("*"):
        name = path.relative_to(root)
        hidden = any(part.startswith(".") for part in name.parts)
        if not hidden and name.suffix.lower() not in SUFFIXES and path.is_file():
            yield name.as_posix()


def _decoded(
    picture: Picture, side: int | None, channels: int, crop: int | None = None
) -> NDArray[np.uint8]:
    if isinstance(picture, str | Path):
        return decode(Path(picture), side, channels, crop)
    return to_pixels(plain(ImageOps.exif_transpose(picture)), side, channels, crop)


def _reason(failure: Exception) -> str:
    return str(failure) or type(failure).__name__
