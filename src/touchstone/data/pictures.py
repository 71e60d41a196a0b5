"""Pictures of any size and mode, decoded once into a cache of uint8 pixels that is then mapped.

An entry of the cache is a folder named by what it was made from, with two files: `pixels.npy`,
uint8 `(N, C, H, W)`, and `record.json`, the pixels' hash and the pictures that were skipped.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from touchstone.data.files import alone, say, scratch
from touchstone.data.images import content_hash
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("png", "jpg", "jpeg", "jfif", "jp2", "webp", "gif", "bmp", "tif", "tiff", "tga"),
        *("ppm", "pgm", "pbm", "pnm"),
    )
)
# By content, not by name; formats that would start another program (EPS) are not among them.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "TGA")
_VERSION = 1  # of what `decode` makes of a picture
_NAMED = 5  # skipped pictures that a message names
_SIZES = 3  # sizes that a message counts


def decode(
    path: Path, resolution: int | None, channels: int, crop: int | None = None
) -> NDArray[np.uint8]:
    """Decodes a picture, upright, its central square resized, antialiased (Lanczos).

    What is transparent is laid on white; a palette, CMYK or 16 bits a channel become 8 bits a
    channel; of several frames the first is taken.

    Args:
        path: the picture's file.
        resolution: pixels a side of the result; None leaves the picture as large as it is, whole.
        channels: 1 (luma) or 3 (RGB).
        crop: pixels a side of the central square; by default the shorter side.

    Returns:
        uint8, `(channels, resolution, resolution)`, or `(channels, H, W)` as large as it is.

    Raises:
        Exception: of any type that a decoder raises; the file is no picture, or a broken one.
    """
    from PIL import Image, ImageOps

    with Image.open(path, formats=_FORMATS) as picture:
        if crop is None and resolution is not None:
            # A JPEG is decoded at an eighth, a quarter or a half of its size where that is plenty.
            picture.draft(None, (2 * resolution, 2 * resolution))
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        return to_pixels(plain(upright), resolution, channels, crop)


def to_pixels(
    picture: "Image", resolution: int | None, channels: int, crop: int | None = None
) -> NDArray[np.uint8]:
    """Brings a picture of mode 1, L or RGB to pixels; the settings and the result are `decode`'s.

    Raises:
        ValueError: the picture is smaller than the crop.
    """
    from PIL import Image

    picture = picture.convert("L" if channels == 1 else "RGB")
    if resolution is not None:
        side = crop or min(picture.size)
        if side > min(picture.size):
            raise ValueError(f"{picture.width}x{picture.height} is smaller than the crop of {side}")
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        # Cropped first: resizing a box of it would draw on what lies around the box.
        picture = picture.crop((left, top, left + side, top + side)).resize(
            (resolution, resolution), Image.Resampling.LANCZOS
        )
    return np.asarray(picture).reshape(picture.height, picture.width, channels).transpose(2, 0, 1)


def plain(picture: "Image") -> "Image":
    """Brings a picture of any mode to 1, L or RGB, of 8 bits a channel, on white.

    Raises:
        ValueError: its values are floats.
    """
    from PIL import Image

    if picture.mode == "F":
        raise ValueError("its values are floats, whose range is not known")
    if picture.mode.startswith("I"):
        # Pillow's own conversion would clamp 16 bits at 255.
        values = np.asarray(picture).astype(np.int64).clip(0, 65535)
        return Image.fromarray(np.round(values / 257).astype(np.uint8))
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return picture if picture.mode in ("1", "L", "RGB") else picture.convert("RGB")


def cached(
    root: Path,
    names: Sequence[str],
    folder: Path,
    *,
    resolution: int | None,
    channels: int | None,
    crop: int | None = None,
    setting: str | None = None,
) -> tuple[Tensor, list[str]]:
    """Gives the pictures `names` of the folder `root` from the cache, decoded into it if need be.

    Pictures that cannot be decoded are skipped, counted and named on stderr.

    Args:
        root: the pictures' folder.
        names: the pictures' paths in it.
        folder: the cache.
        resolution: pixels a side; None leaves the pictures as large as they are, which all share.
        channels: 1 or 3; by default 1 where every picture is grey.
        crop: pixels a side of the central square; by default a picture's shorter side.
        setting: the user's word for the folder, with which a message then begins.

    Returns:
        The pixels, uint8 `(N, channels, resolution, resolution)` or `(N, channels, H, W)`, mapped
        from the cache, and the N pictures' names.

    Raises:
        UsageError: no picture can be decoded, those left as they are have several sizes, or the
            cache cannot be written.
    """
    subject = f"{setting}={root}" if setting else str(root)
    entry = folder / "pictures" / _key(root, names, [resolution, channels, crop])
    try:
        with alone(entry):
            found = _read(entry)
            if found is None:
                shape = _shape(root, names, resolution, channels, subject)
                prepare = partial(decode, resolution=resolution, channels=shape[0], crop=crop)
                _write(entry, root, names, prepare, shape, subject)
                found = _read(entry)
    except OSError as failure:
        raise UsageError(
            f"cache_dir={folder}: the decoded pictures of {root} cannot be written there "
            f"({failure}); set cache_dir to a folder with space that can be written"
        ) from failure
    if found is None:
        raise UsageError(f"cache_dir={folder}: what was written there reads back damaged")
    pixels, skipped = found
    if skipped:
        say(f"{subject}: {_skipping(skipped, len(names))}")
    return pixels, [name for name in names if name not in skipped]


def _key(root: Path, names: Sequence[str], settings: list[int | None]) -> str:
    digest = hashlib.sha256(json.dumps([_VERSION, str(root.resolve()), settings]).encode())
    for name in names:
        try:
            status = (root / name).stat()
            stamp = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            stamp = "unreadable"
        digest.update(f"{name}\0{stamp}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _read(entry: Path) -> tuple[Tensor, dict[str, str]] | None:
    """The entry's pixels and skipped pictures; None where it is not there, or damaged."""
    if not entry.exists():
        return None
    try:
        record: dict[str, Any] = json.loads((entry / "record.json").read_text())
        # Copy-on-write: a tensor has no notion of memory that cannot be written.
        pixels = torch.from_numpy(np.load(entry / "pixels.npy", mmap_mode="c", allow_pickle=False))
        if content_hash(pixels) == record["sha256"]:
            return pixels, record["skipped"]
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        pass
    say(f"{entry}: the cache is damaged, and is made anew")
    return None


def _shape(
    root: Path, names: Sequence[str], resolution: int | None, channels: int | None, subject: str
) -> tuple[int, int, int]:
    """The shape `(C, H, W)` of every picture; what the settings leave open the pictures say."""
    if resolution is not None and channels is not None:
        return channels, resolution, resolution
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        announced = list(threads.map(_announced, (root / name for name in names)))
    known = [shape for shape in announced if not isinstance(shape, str)]
    if not known:
        reasons = {name: str(reason) for name, reason in zip(names, announced, strict=True)}
        raise UsageError(f"{subject}: {_skipping(reasons, len(names))}")
    channels = channels or max(shape[0] for shape in known)
    if resolution is not None:
        return channels, resolution, resolution
    sizes = Counter(shape[1:] for shape in known)
    if len(sizes) > 1:
        common = sizes.most_common(_SIZES)
        counts = [f"{count} of {width}x{height}" for (height, width), count in common]
        more = len(sizes) - len(counts)
        counts += [f"{more} more size{'s' * (more > 1)}"] if more else []
        raise UsageError(
            f"{subject}: the pictures have several sizes ({', '.join(counts)}); "
            f"resolution={min(common[0][0])} would bring the central square of each to one"
        )
    return channels, *known[0][1:]


def _announced(path: Path) -> tuple[int, int, int] | str:
    """The shape `(C, H, W)` that a picture's header announces, or why it cannot be read."""
    from PIL import ExifTags, Image

    try:
        with Image.open(path, formats=_FORMATS) as picture:
            channels = 1 if picture.mode[0] in "1LI" and picture.mode != "LAB" else 3
            # Without "exif" there PNG would be read to its end in search of it.
            exif = picture.getexif() if "exif" in picture.info else {}
            sideways = exif.get(ExifTags.Base.Orientation, 1) >= 5
            width, height = reversed(picture.size) if sideways else picture.size
            return channels, height, width
    except Exception as failure:  # decoders raise whatever they like at a broken file
        return str(failure) or type(failure).__name__


def _write(
    entry: Path,
    root: Path,
    names: Sequence[str],
    prepare: partial[NDArray[np.uint8]],
    shape: tuple[int, int, int],
    subject: str,
) -> None:
    """Decodes the pictures, several at a time, into a new entry.

    Written as a plain stream: writing through a mapped file kills the process when a disk is full.
    """
    from tqdm import tqdm

    skipped: dict[str, str] = {}

    def attempt(name: str) -> NDArray[np.uint8] | None:
        try:
            pixels = prepare(root / name)
            if pixels.shape != shape:
                raise ValueError(f"it has the shape {pixels.shape}, not {shape} as it announces")
            return pixels
        except Exception as failure:  # decoders raise whatever they like at a broken file
            skipped[name] = str(failure) or type(failure).__name__
            return None

    with scratch(entry.parent) as place:
        with (
            (place / "pixels.npy").open("wb") as file,
            ThreadPoolExecutor(os.cpu_count()) as threads,
            tqdm(total=len(names), desc=f"decoding {root.name}", unit="picture") as progress,
        ):
            _write_header(file, (len(names), *shape))
            for start in range(0, len(names), 1024):  # so that few results wait to be written
                for pixels in threads.map(attempt, names[start : start + 1024]):
                    if pixels is not None:
                        file.write(pixels.tobytes())
                    progress.update()
            if len(skipped) == len(names):
                raise UsageError(f"{subject}: {_skipping(skipped, len(names))}")
            file.seek(0)
            _write_header(file, (len(names) - len(skipped), *shape))
        written = torch.from_numpy(np.load(place / "pixels.npy", mmap_mode="c"))
        record = {"sha256": content_hash(written), "skipped": skipped}
        (place / "record.json").write_text(json.dumps(record))
        shutil.rmtree(entry, ignore_errors=True)
        place.rename(entry)


def _write_header(file: Any, shape: tuple[int, ...]) -> None:
    # Its length does not depend on the number of pictures: NumPy leaves room for that to grow.
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def _skipping(skipped: dict[str, str], total: int) -> str:
    lines = [f"{len(skipped)} of {total} pictures cannot be read and are skipped:"]
    lines += [f"{name}: {reason}" for name, reason in sorted(skipped.items())[:_NAMED]]
    if len(skipped) > _NAMED:
        lines.append(f"and {len(skipped) - _NAMED} more")
    return "\n  ".join(lines)
