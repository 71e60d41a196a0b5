"""Images from elsewhere: the pixels that other programs see, and what cannot be measured."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from touchstone.data.external import load as load_from
from touchstone.data.images import Images
from touchstone.errors import UsageError

RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)
FIRST = torch.from_numpy(RGB).permute(0, 3, 1, 2)


def load(path: Path | str, **settings: Any) -> Images:
    return load_from(path, Path(path).parent / "cache", setting="fake", **settings)


def put(root: Path, *names: str) -> Path:
    for name, values in zip(names, RGB, strict=False):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(root / name)
    return root


def refused(path: Path | str, **settings: Any) -> str:
    with pytest.raises(UsageError) as error:
        load(path, **settings)
    return str(error.value)


def test_a_folder_gives_the_pixels_that_torch_fidelity_sees(tmp_path: Path) -> None:
    from torch_fidelity.datasets import ImagesPathDataset

    root = put(tmp_path / "a", *(f"{number}.png" for number in range(6)))
    Image.fromarray(RGB[0, :, :, 0]).save(root / "6.png")  # grey among colours
    seen = ImagesPathDataset(sorted(root.iterdir()))
    images = load(root)
    assert torch.equal(images.pixels, torch.stack([seen[number] for number in range(7)]))
    assert images.labels is None


def test_grey_pictures_are_what_torch_fidelity_repeats(tmp_path: Path) -> None:
    from torch_fidelity.datasets import ImagesPathDataset

    (tmp_path / "a").mkdir()
    for number, values in enumerate(RGB):
        Image.fromarray(values[:, :, 0]).save(tmp_path / "a" / f"{number}.png")
    seen = ImagesPathDataset(sorted((tmp_path / "a").iterdir()))
    pixels = load(tmp_path / "a").pixels
    assert pixels.shape == (6, 1, 5, 7)
    assert torch.equal(pixels.expand(-1, 3, -1, -1), torch.stack([seen[n] for n in range(6)]))
    assert torch.equal(load(tmp_path / "a", channels=3).pixels, pixels.expand(-1, 3, -1, -1))


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    root = put(tmp_path / "a", "cat/1.png", "cat/more/2.png", "dog/1.png", "eel/1.png")
    (root / "cat" / "0.png").write_text("broken")
    images = load(root)
    assert images.classes == ("cat", "dog", "eel")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1, 2]
    assert torch.equal(images.pixels, FIRST[:4])
    put(root, "0.png")
    assert load(root).labels is None


def test_pictures_of_several_sizes_need_a_resolution(tmp_path: Path) -> None:
    root = put(tmp_path / "a", "1.png", "2.png")
    Image.fromarray(RGB[0].transpose(1, 0, 2)).save(root / "3.png")
    message = refused(root)
    assert message.startswith(f"fake={root}: the pictures have several sizes (2 of 7x5, 1 of 5x7);")
    assert "resolution=5 would" in message
    pixels = load(root, resolution=5).pixels
    assert torch.equal(pixels[:2], FIRST[:2, :, :, 1:6])
    assert torch.equal(pixels[2], pixels[0].transpose(1, 2))


def test_broken_pictures_are_skipped_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = put(tmp_path / "a", "1.png", "2.png")
    (root / "0.png").write_text("broken")
    assert torch.equal(load(root).pixels, FIRST[:2])
    assert f"fake={root}: 1 of 3 pictures cannot be read" in capsys.readouterr().err


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    one = put(tmp_path / "one", "1.png")
    (one / "0.png").write_text("broken")
    np.save(tmp_path / "one.npy", RGB[:1])
    assert "there is no such folder or file" in refused(tmp_path / "nowhere")
    assert "no pictures in it; their names end in .bmp" in refused(tmp_path / "empty")
    assert "neither a folder of pictures nor an .npz or .npy" in refused(tmp_path / "notes.txt")
    assert "1 images in it; what is measured is a set" in refused(one)
    assert "1 images in it; what is measured is a set" in refused(tmp_path / "one.npy")
    assert refused(tmp_path, resolution=0) == "resolution=0: it has to be 1 or more"
    assert refused(tmp_path, channels=2) == "channels=2: it has to be 1 (grey) or 3 (colour)"


@pytest.mark.parametrize(
    ("array", "pixels"),
    [
        (RGB, FIRST),
        (FIRST.numpy(), FIRST),
        (RGB[..., :1], FIRST[:, :1]),
        (RGB[..., 0], FIRST[:, :1]),
        (FIRST[:, :1].numpy(), FIRST[:, :1]),
    ],
)
def test_arrays_of_every_layout(
    tmp_path: Path, array: NDArray[np.uint8], pixels: torch.Tensor
) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", samples=array, other=np.zeros(3))
    np.savez_compressed(tmp_path / "b.npz", array)
    np.savez(tmp_path / "c.NPZ.npz", mine=array, labels=np.zeros(5))
    for name in ("a.npy", "a.npz", "b.npz", "c.NPZ.npz"):
        assert torch.equal(load(tmp_path / name).pixels, pixels), name


@pytest.mark.parametrize("shape", [(6, 3, 5, 3), (6, 5, 7, 4), (6, 5), (2, 6, 5, 7, 3)])
def test_layouts_that_are_not_clear_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.full(shape, 9, np.uint8))
    assert f"have the shape {shape}; it has to be (N, H, W, C)" in refused(tmp_path / "a.npy")


def test_an_array_is_resized_as_a_folder_is(tmp_path: Path) -> None:
    root = put(tmp_path / "a", *(f"{number}.png" for number in range(6)))
    for name, array in (("last", RGB), ("first", FIRST.numpy())):
        np.save(tmp_path / f"{name}.npy", array)
        for settings in ({"resolution": 4}, {"channels": 1}, {"resolution": 9, "channels": 1}):
            expected = load(root, **settings).pixels
            assert torch.equal(load(tmp_path / f"{name}.npy", **settings).pixels, expected)


def test_labels_come_along_where_they_are_labels(tmp_path: Path) -> None:
    numbers = np.array([2, 0, 1, 1, 0, 2])
    np.savez(tmp_path / "ours.npz", samples=RGB, labels=numbers.astype(np.uint8))
    np.savez(tmp_path / "diffusion.npz", RGB, numbers.astype(np.int32))
    for name in ("ours.npz", "diffusion.npz"):
        images = load(tmp_path / name)
        assert images.classes == ("0", "1", "2")
        assert images.labels is not None
        assert images.labels.tolist() == numbers.tolist()
    for other in (numbers[1:], numbers / 2, numbers - 1, np.eye(6), numbers + 10**9):
        np.savez(tmp_path / "other.npz", samples=RGB, labels=other)
        assert load(tmp_path / "other.npz").labels is None


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (RGB / 255, "(255 * x).round().astype('uint8') makes them so"),
        (RGB / np.float32(127.5) - 1, "((x + 1) * 127.5).round().astype('uint8') makes them so"),
        (RGB.astype(np.int64), "are int64 from 0 to 255; they have to be uint8 in 0 to 255: x.rou"),
        (RGB * 2.5, "to 637.5; they have to be uint8 in 0 to 255"),
        (np.full((6, 5, 7), np.nan), "float64 from nan to nan"),
        (RGB // 128, "uint8 from 0 to 1; they have to be in 0 to 255: multiply by 255"),
        (RGB[:0], "uint8 of shape (0, 5, 7, 3)"),
        (np.array(["a", "b"]), "<U1 of shape (2,)"),
    ],
)
def test_values_that_are_no_pixels_are_refused(
    tmp_path: Path, array: NDArray[Any], message: str
) -> None:
    np.savez(tmp_path / "a.npz", array)
    said = refused(tmp_path / "a.npz")
    assert said.startswith(f"fake={tmp_path / 'a.npz'}: ")
    assert message in said


@pytest.mark.parametrize(
    ("x", "recipe"), [(RGB / 255, "[0, 1]"), (RGB / 127.5 - 1, "[-1, 1]"), (RGB / 1.0, "[0, 255]")]
)
def test_the_advice_gives_the_pixels_back(
    tmp_path: Path, x: NDArray[np.float64], recipe: str
) -> None:
    np.save(tmp_path / "a.npy", x)
    advice = refused(tmp_path / "a.npy").split("in 0 to 255: ")[1].removesuffix(" makes them so")
    assert np.array_equal(eval(advice, {"x": x}), RGB), recipe


def archive(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=True, **arrays)
    return file.getvalue()


WHOLE = archive(samples=RGB)
TURNED = bytearray(WHOLE)
TURNED[len(WHOLE) // 2] ^= 255


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged, or no plain arrays"),
        (b"neither", "damaged, or no plain arrays"),
        (WHOLE[: len(WHOLE) // 2], "damaged, or no plain arrays"),
        (bytes(TURNED), "damaged, or no plain arrays"),
        (archive(samples=np.array([{}, {}], object)), "damaged, or no plain arrays"),
        (archive(mu=np.zeros(3), sigma=np.eye(3)), "its arrays are mu, sigma; name that of the im"),
        (archive(), "its arrays are none at all"),
        (archive(labels=np.zeros(3, np.int64)), "its arrays are labels"),
    ],
    ids=["empty", "other", "half", "turned", "objects", "several", "none", "labels"],
)
def test_a_file_without_images_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    said = refused(tmp_path / "a.npz")
    assert said.startswith(f"fake={tmp_path / 'a.npz'}: {message}")
    assert said.count("\n") == 0
