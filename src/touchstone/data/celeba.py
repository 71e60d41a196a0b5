"""CelebA (Liu, Luo, Wang, Tang 2015): 202,599 aligned photographs of faces, 178x218, colour."""

from pathlib import Path, PurePath

from touchstone.data.files import alone, say
from touchstone.data.image_folder import find
from touchstone.data.images import Images, check_settings
from touchstone.data.pictures import cached
from touchstone.errors import UsageError

# list_eval_partition.txt: the pictures' numbers; 162771 to 182637 are for validation.
NUMBERS = {"train": range(1, 162_771), "test": range(182_638, 202_600)}


def load(
    folder: str | Path,
    cache: str | Path,
    split: str = "train",
    resolution: int = 64,
    channels: int = 3,
    crop: int = 178,
) -> Images:
    """Loads 162,770 images (`train`) or 19,962 (`test`), without labels.

    From `celeba/img_align_celeba` in the data folder, which torchvision is asked to download where
    it is not there. The central square of `crop` pixels is resized once into a cache.

    Args:
        folder: the data folder of all sets.
        cache: the cache.
        split: `train` or `test`, as published.
        resolution: pixels a side.
        channels: 3, or 1 for the luma.
        crop: 1 to 178: 178 takes in the hair, 148 the face.

    Raises:
        UsageError: the pictures cannot be had, or the cache cannot be written.
    """
    check_settings(split, resolution, channels)
    if not 1 <= crop <= 178:
        raise UsageError(f"data.crop={crop}: the pictures are 178x218; it has to be 1 to 178")
    root = Path(folder) / "celeba" / "img_align_celeba"
    if not root.is_dir():
        _download(Path(folder), root)
    names = [name for name in sorted(find(root)) if _number(name) in NUMBERS[split]]
    if not names:
        raise UsageError(
            f"data=celeba: {root} has no pictures of the {split} split, "
            f"{NUMBERS[split][0]:06}.jpg to {NUMBERS[split][-1]:06}.jpg"
        )
    pixels, _ = cached(
        root, names, Path(cache), resolution=resolution, channels=channels, crop=crop
    )
    return Images(pixels, None, ())


def _number(name: str) -> int:
    stem = PurePath(name).stem
    return int(stem) if stem.isdecimal() else 0


def _download(folder: Path, root: Path) -> None:
    from torchvision.datasets import CelebA

    say("celeba: fetching by torchvision from Google Drive (1.4 GB)")
    try:
        with alone(folder / "celeba"):
            if not root.is_dir():
                CelebA(folder, download=True)
    except Exception as failure:  # its downloader raises a type for each way in which it fails
        raise UsageError(
            "data=celeba: the pictures cannot be had. Tried:\n"
            f"  the data folder: there is no {root}\n"
            f"  torchvision's download: {failure}\n"
            f"Unpack img_align_celeba.zip into {root.parent} by hand, so that "
            f"{root / '000001.jpg'} is there, or set data_dir to a folder that has it."
        ) from failure
