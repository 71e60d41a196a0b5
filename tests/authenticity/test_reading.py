import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from touchstone.authenticity.reading import Files, Pictures, Reader
from touchstone.data import image_folder
from touchstone.data.images import normalize
from touchstone.errors import UsageError


def patches(side: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def test_a_picture_is_read_as_the_data_set_was(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
    patches(40).crop((0, 0, 40, 31)).save(tmp_path / "train" / "wide.png")
    patches(16).convert("CMYK").save(tmp_path / "train" / "cmyk.jpg")
    patches(8).save(tmp_path / "test" / "small.png")
    split = image_folder.load(tmp_path, tmp_path / "cache", resolution=16, channels=3)

    reader = Reader((3, 16, 16))
    (found,) = Files.named(tmp_path / "train").read(reader, 10)
    read = [one.pixels for one in found if one.pixels is not None]
    assert torch.stack(read).equal(split.pixels)
    assert [(one.name, one.note) for one in found] == [
        ("cmyk.jpg", ""),
        ("wide.png", "central square resized from 40x31"),
    ]


def test_files_come_in_chunks_and_the_broken_are_named(tmp_path: Path) -> None:
    for number in range(5):
        patches(8, number).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_text("text")
    files = Files.named(tmp_path)
    chunks = list(files.read(Reader((1, 8, 8)), 2))
    assert [[one.name for one in chunk] for chunk in chunks] == [
        ["0.png", "1.png"],
        ["2.png", "3.png"],
        ["4.png"],
    ]
    broken = chunks[1][1]
    assert broken.pixels is None
    assert broken.note.startswith("cannot be read: cannot identify image file")
    assert len(files) == 5


def test_a_crop_is_taken_as_the_data_set_has_it() -> None:
    picture = patches(20, mode="L")
    whole = np.asarray(picture)
    pixels = Reader((1, 12, 12), crop=12).pixels(picture)
    assert pixels.equal(torch.from_numpy(whole[4:16, 4:16].copy())[None])


def test_a_template_lies_under_its_picture(tmp_path: Path) -> None:
    symbols = (np.random.default_rng(1).random((4, 4)) < 0.5).astype(np.uint8) * 255
    (tmp_path / "templates" / "a").mkdir(parents=True)
    (tmp_path / "scans" / "a").mkdir(parents=True)
    Image.fromarray(symbols).save(tmp_path / "templates" / "a" / "one.png")
    patches(12, mode="L").save(tmp_path / "scans" / "a" / "one.jpg")
    patches(12, mode="L").save(tmp_path / "scans" / "two.png")

    reader = Reader((2, 12, 12))
    files = Files.named(tmp_path / "scans", tmp_path / "templates")
    ((one, two),) = files.read(reader, 10)
    assert one.pixels is not None
    assert one.pixels.shape == (2, 12, 12)
    # Three pixels a symbol, none of them between black and white.
    assert one.pixels[1].equal(torch.from_numpy(symbols.repeat(3, 0).repeat(3, 1)))
    assert (two.name, two.pixels, two.note) == ("two.png", None, "it has no template")

    # One template for all.
    ((*_, two),) = Files.named(tmp_path / "scans", tmp_path / "templates" / "a" / "one.png").read(
        reader, 10
    )
    assert two.pixels is not None
    assert two.pixels[1].equal(one.pixels[1])


def test_templates_of_any_fitting_size_are_the_same_symbols(tmp_path: Path) -> None:
    black = np.random.default_rng(1).random((16, 16)) < 0.5
    symbols = Image.fromarray(np.where(black, 0, 255).astype(np.uint8))
    reader, picture = Reader((2, 48, 48)), patches(48)
    expected = torch.from_numpy(np.asarray(symbols).repeat(3, 0).repeat(3, 1))
    for side in (16, 32, 48, 160):
        path = tmp_path / f"{side}.jpg"
        symbols.resize((side, side), Image.Resampling.NEAREST).save(path, quality=95)
        assert reader.pixels(picture, path)[1].equal(expected)
    turned = symbols.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    paired = reader.samples([picture, picture], [symbols, turned])[:, 1]
    assert paired.equal(normalize(torch.stack([expected, expected.flip(1)])))


@pytest.mark.parametrize("size", [(24, 24), (18, 18), (16, 32), (8, 8)])
def test_a_template_of_another_size_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    patches(48).save(tmp_path / "scan.png")
    Image.new("L", size).save(tmp_path / "template.png")
    reader, template = Reader((2, 48, 48)), tmp_path / "template.png"
    message = f"its template is {size[0]}x{size[1]}: .* 16x16, 32x32, 48x48 or another multiple"
    ((found,),) = Files.named(tmp_path / "scan.png", template).read(reader, 1)
    assert found.pixels is None
    assert re.search(message, found.note)
    with pytest.raises(UsageError, match=message):
        reader.samples([tmp_path / "scan.png"], [template])


def test_tensors_images_and_files_are_the_same_samples(tmp_path: Path) -> None:
    pictures = [patches(8, seed, "L") for seed in (0, 1)]
    for number, one in enumerate(pictures):
        one.save(tmp_path / f"{number}.png")
    pixels = torch.stack([torch.from_numpy(np.asarray(one).copy())[None] for one in pictures])
    reader = Reader((1, 8, 8))
    expected = normalize(pixels)
    paths: list[str | Path | Image.Image] = [str(tmp_path / "0.png"), tmp_path / "1.png"]
    ways: tuple[Pictures, ...] = (pixels, expected, expected.double(), pictures, paths)
    for way in ways:
        samples = reader.samples(way)
        assert samples.dtype == torch.float32
        assert samples.equal(expected)
    assert reader.samples([]).shape == (0, 1, 8, 8)


def test_an_image_is_turned_upright_as_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "sideways.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    patches(8).save(path, exif=exif)
    reader = Reader((3, 8, 8))
    with Image.open(path) as opened:
        assert reader.samples([opened]).equal(reader.samples([path]))


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("text")
    reader = Reader((1, 8, 8))
    cases: tuple[tuple[Pictures, str], ...] = (
        (
            torch.zeros(3, 1, 9, 8),
            r"shape \(3, 1, 9, 8\): the run's samples make it \(N, 1, 8, 8\)",
        ),
        (torch.zeros(1, 1, 8, 8).int(), r"uint8, or of floats in \[-1, 1\]"),
        (torch.full((1, 1, 8, 8), 255.0), r"uint8, or of floats in \[-1, 1\]"),
        ([tmp_path / "text.png"], r"text.png: cannot be read \(cannot identify"),
        ([Image.new("F", (8, 8))], r"picture 0: cannot be read \(its values are floats"),
    )
    for pictures, message in cases:
        with pytest.raises(UsageError, match=message):
            reader.samples(pictures)
    with pytest.raises(UsageError, match="templates=null: a sample of the run's data"):
        Reader((2, 8, 8)).samples([patches(8)])
    with pytest.raises(UsageError, match=r"shape \(2,\): it is no square picture"):
        Reader((2,))
