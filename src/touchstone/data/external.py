"""Images from elsewhere, to be measured: a folder of pictures, or an array in a NumPy file."""

import zipfile
import zlib
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from touchstone.data.image_folder import find
from touchstone.data.images import Images
from touchstone.data.pictures import SUFFIXES, cached, to_pixels
from touchstone.errors import UsageError

_SAMPLES = ("samples", "arr_0")  # by name: ours; guided-diffusion's, which is NumPy's own
_LABELS = ("labels", "arr_1")
_CLASSES = 1 << 16  # labels beyond are numbers of something else


def load(
    path: str | Path,
    cache: str | Path,
    *,
    setting: str,
    resolution: int | None = None,
    channels: int | None = None,
) -> Images:
    """Loads the images of a folder of pictures or of an `.npz` or `.npy` file.

    Left at their size, so that figures are those that other programs give for the same files. Where
    every picture lies in a sub-folder, the sub-folders' names are the classes. A file's images are
    its array `samples` or `arr_0`, or its only one: uint8 `(N, H, W, C)`, `(N, C, H, W)` or
    `(N, H, W)`; whole numbers of the same length as `labels` or `arr_1` are their labels.

    Args:
        path: the folder or the file.
        cache: the folder where decoded pictures are kept.
        setting: the word that the user gave the path for, with which a message begins.
        resolution: pixels a side to which each image's central square is resized (Lanczos).
        channels: 1 or 3; by default 1 where every image is grey.

    Raises:
        UsageError: there are no two images to be had there, those of a folder have several sizes
            and no `resolution`, or an array has another type, shape or range. Single broken
            pictures are skipped and reported on stderr.
    """
    if resolution is not None and resolution < 1:
        raise UsageError(f"resolution={resolution}: it has to be 1 or more")
    if channels not in (None, 1, 3):
        raise UsageError(f"channels={channels}: it has to be 1 (grey) or 3 (colour)")
    place = Path(path).expanduser()
    if not place.exists():
        raise UsageError(f"{setting}={path}: there is no such folder or file")
    if place.is_dir():
        images = _pictures(place, Path(cache), setting, resolution, channels)
    elif place.suffix.lower() in (".npz", ".npy"):
        images = _array(place, f"{setting}={path}", resolution, channels)
    else:
        raise UsageError(
            f"{setting}={path}: it is neither a folder of pictures nor an .npz or .npy file"
        )
    if len(images) < 2:
        raise UsageError(
            f"{setting}={path}: {len(images)} images in it; what is measured is a set, of 2 or more"
        )
    return images


def _pictures(
    root: Path, cache: Path, setting: str, resolution: int | None, channels: int | None
) -> Images:
    names = sorted(find(root))
    if not names:
        raise UsageError(
            f"{setting}={root}: no pictures in it; their names end in {', '.join(sorted(SUFFIXES))}"
        )
    pixels, kept = cached(
        root, names, cache, resolution=resolution, channels=channels, setting=setting
    )
    if any(len(PurePath(name).parts) == 1 for name in names):
        return Images(pixels, None, ())
    classes = tuple(sorted({PurePath(name).parts[0] for name in names}))
    labels = torch.tensor([classes.index(PurePath(name).parts[0]) for name in kept])
    return Images(pixels, labels, classes)


def _array(file: Path, subject: str, resolution: int | None, channels: int | None) -> Images:
    array, numbers = _read(file, subject)
    _check_values(array, subject)
    pixels = _channels_first(array, subject)
    channels = channels or pixels.shape[1]
    if resolution is not None or channels != pixels.shape[1]:
        pixels = _converted(pixels, resolution, channels)
    samples = torch.from_numpy(pixels)
    if numbers is None or not _are_labels(numbers, len(samples)):
        return Images(samples, None, ())
    classes = tuple(str(number) for number in range(int(numbers.max()) + 1))
    return Images(samples, torch.from_numpy(numbers.astype(np.int64)), classes)


def _read(file: Path, subject: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The samples and, where the file has some, what may be their labels."""
    try:
        content = np.load(file, mmap_mode="c", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content, None
        with content:
            names = [name for name in content.files if name not in _LABELS]
            known = [name for name in _SAMPLES if name in names] or names
            if not known or (known == names and len(names) > 1):
                raise UsageError(
                    f"{subject}: its arrays are {', '.join(content.files) or 'none at all'}; "
                    "name that of the images `samples`"
                )
            labels = next((content[name] for name in _LABELS if name in content.files), None)
            return content[known[0]], labels
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(
            f"{subject}: damaged, or no plain arrays; numpy.savez makes such a file ({error})"
        ) from error


def _check_values(array: NDArray[Any], subject: str) -> None:
    """Refuses what are no pixels in 0 to 255 as uint8, and says how they become some.

    Raises:
        UsageError: another type, or values that were in [0, 1] before they became whole numbers.
    """
    if not array.size or array.dtype.kind not in "buif":
        raise UsageError(
            f"{subject}: its images are {array.dtype} of shape {array.shape}; "
            "they have to be uint8 of shape (N, H, W, C)"
        )
    low, high = float(array.min()), float(array.max())
    if array.dtype == np.uint8:
        if high <= 1:
            raise UsageError(
                f"{subject}: its pixels are uint8 from {low:g} to {high:g}; they have to be in "
                "0 to 255: multiply by 255 and round before they become uint8"
            )
        return
    recipes = {
        (0, 1): "(255 * x).round().astype('uint8')",
        (-1, 1): "((x + 1) * 127.5).round().astype('uint8')",
        (0, 255): "x.round().astype('uint8')",
    }
    fitting = [recipe for (least, most), recipe in recipes.items() if least <= low <= high <= most]
    advice = f": {fitting[0]} makes them so" if fitting else ""
    raise UsageError(
        f"{subject}: its pixels are {array.dtype} from {low:g} to {high:g}; "
        f"they have to be uint8 in 0 to 255{advice}"
    )


def _channels_first(array: NDArray[np.uint8], subject: str) -> NDArray[np.uint8]:
    """Brings images of a known layout to `(N, C, H, W)`."""
    if array.ndim == 3:
        return array[:, None]
    if array.ndim == 4:
        last, first = array.shape[3] in (1, 3), array.shape[1] in (1, 3)
        if last and not first:
            return array.transpose(0, 3, 1, 2)
        if first and not last:
            return array
    raise UsageError(
        f"{subject}: its images have the shape {array.shape}; it has to be (N, H, W, C), "
        "(N, C, H, W) or (N, H, W), C being 1 or 3 and no other dimension after N"
    )


def _converted(
    pixels: NDArray[np.uint8], resolution: int | None, channels: int
) -> NDArray[np.uint8]:
    """Does to an array's images what is done to a folder's pictures."""
    from PIL import Image

    grey = pixels.shape[1] == 1
    pictures = (
        Image.fromarray(image[0] if grey else np.ascontiguousarray(image.transpose(1, 2, 0)))
        for image in pixels
    )
    return np.stack([to_pixels(picture, resolution, channels) for picture in pictures])


def _are_labels(numbers: NDArray[Any], length: int) -> bool:
    return (
        numbers.shape == (length,)
        and numbers.dtype.kind in "iu"
        and 0 <= int(numbers.min()) <= int(numbers.max()) < _CLASSES
    )
