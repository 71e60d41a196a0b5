import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from touchstone.data import Images, image_folder
from touchstone.data.inspection import (
    Inspection,
    Pairs,
    cells,
    contrast,
    equal_images,
    files,
    header,
    inspect,
    near_duplicates,
    rate,
    take,
)


def smooth(number: int, seed: int, side: int = 28, channels: int = 1) -> Tensor:
    """Different pictures of soft patches."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randint(0, 256, (number, channels, 6, 6), generator=generator).float()
    large = torch.nn.functional.interpolate(patches, (side, side), mode="bilinear")
    return large.round().to(torch.uint8)


def noisy(pixels: Tensor, deviation: float, seed: int = 1) -> Tensor:
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(seed))
    return (pixels + deviation * noise).round().clamp(0, 255).to(torch.uint8)


def recompressed(pixels: Tensor, quality: int) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(pixels[0].numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file)))[None]


def looked_at(train: Tensor, test: Tensor | None = None) -> Inspection:
    splits = {"train": Images(train, None, ())}
    return inspect(splits if test is None else splits | {"test": Images(test, None, ())})


def found(pairs: Pairs) -> set[tuple[int, int, bool]]:
    return set(
        zip(pairs.first.tolist(), pairs.second.tolist(), pairs.flipped.tolist(), strict=True)
    )


def brute_force(pixels: Tensor) -> dict[tuple[int, int], tuple[float, bool]]:
    """The definition, one pair after another."""
    images = pixels.numpy().astype(float)
    spread = [np.sqrt(image.reshape(len(image), -1).var(1).mean()) for image in images]
    result = {}
    for first in range(len(images)):
        for second in range(first + 1, len(images)):
            upright, mirrored = (
                np.abs(one - images[second]).mean()
                for one in (images[first], images[first][..., ::-1])
            )
            difference = min(upright, mirrored)
            if difference <= min(4, spread[first] / 8, spread[second] / 8):
                result[first, second] = difference, mirrored < upright
    return result


def test_contrast_by_hand() -> None:
    flat_red = torch.tensor([200, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 2, 2).byte()
    halves = torch.tensor([[[10, 30], [10, 30]], [[5, 5], [5, 5]], [[5, 5], [5, 5]]])[None].byte()
    assert contrast(flat_red).tolist() == [0]
    assert contrast(halves).item() == pytest.approx((100 / 3) ** 0.5, abs=1e-5)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 13, 30), (1, 3, 5)])
def test_cells_bound_the_difference(channels: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (20, channels, height, width), generator=generator).byte()
    parts = cells(pixels)

    means = pixels.float().flatten(1).mean(1)
    assert torch.allclose(parts.sum(1), means, atol=1e-3)
    apart = (pixels[:10].float() - pixels[10:].float()).abs().flatten(1).mean(1)
    bound = (parts[:10] - parts[10:]).abs().sum(1)
    assert (bound <= apart + 1e-3).all()
    lighter = (pixels // 2).float()
    exact = (cells(pixels) - cells(pixels // 2)).abs().sum(1)
    assert torch.allclose(exact, (pixels - lighter).flatten(1).mean(1), atol=1e-3)


def test_every_near_duplicate_is_found_as_by_brute_force() -> None:
    # Copies at all distances around the threshold, upright and mirrored, over more than one chunk.
    originals = smooth(60, seed=0, side=10, channels=3)
    copies = [
        noisy(
            originals if deviation % 2 else originals.flip(3), 3.8 + deviation / 4, seed=deviation
        )
        for deviation in range(8)
    ]
    pixels = torch.cat([originals, *copies])
    expected = brute_force(pixels)
    pairs = near_duplicates([pixels[:200], pixels[200:]], contrast(pixels), torch.arange(540))

    assert 100 < len(expected) < 60 * 8 * 9 / 2
    assert found(pairs) == {(*pair, flipped) for pair, (_, flipped) in expected.items()}
    differences = [expected[a, b][0] for a, b, _ in ordered(pairs)]
    assert pairs.difference.tolist() == pytest.approx(differences, abs=1e-4)
    assert differences == sorted(differences)


def ordered(pairs: Pairs) -> Sequence[tuple[int, int, bool]]:
    return list(
        zip(pairs.first.tolist(), pairs.second.tolist(), pairs.flipped.tolist(), strict=True)
    )


def test_planted_copies_are_found_and_nothing_else() -> None:
    originals = smooth(300, seed=0)
    planted = torch.stack(
        [
            originals[7],
            originals[11].flip(2),
            noisy(originals[13], 4),
            noisy(originals[17], 4).flip(2),
            recompressed(originals[19], quality=85),
            originals[23] // 2,  # darker: another picture
            originals[29].flip(1),  # upside down: another picture
        ]
    )
    inspection = looked_at(torch.cat([originals, planted]))

    assert inspection.groups == [[7, 300]]
    expected = {(11, 301, True), (13, 302, False), (17, 303, True), (19, 304, False)}
    assert found(inspection.pairs) == expected
    mirrored = ordered(inspection.pairs).index((11, 301, True))
    assert (mirrored, inspection.pairs.difference[0].item()) == (0, 0)


@pytest.mark.parametrize(("step", "near"), [(4, True), (5, False)])
def test_the_threshold_is_four(step: int, near: bool) -> None:
    picture = smooth(1, seed=0).clamp(0, 250)
    pairs = looked_at(torch.cat([picture, picture + step])).pairs
    assert pairs.difference.tolist() == ([4.0] if near else [])


@pytest.mark.parametrize(("amplitude", "near"), [(16, True), (15, False)])
def test_of_flat_pictures_an_eighth_of_the_contrast(amplitude: int, near: bool) -> None:
    chequered = torch.arange(64).view(8, 8).add(torch.arange(8)[:, None]) % 2
    picture = (100 + amplitude * (2 * chequered - 1))[None, None].byte()
    assert contrast(picture).item() == amplitude
    assert len(looked_at(torch.cat([picture, picture + 2])).pairs) == near


def test_a_symmetric_picture_is_found_once_and_upright() -> None:
    half = smooth(1, seed=3)[..., :14]
    picture = torch.cat([half, half.flip(3)], 3)
    assert found(looked_at(torch.cat([picture, noisy(picture, 0.5)])).pairs) == {(0, 1, False)}


def test_blank_images_are_counted_as_blank_alone() -> None:
    almost = torch.full((1, 28, 28), 9).byte()
    almost[0, 0, :5] = 20  # a contrast of 0.88
    visible = torch.full((1, 28, 28), 9).byte()
    visible[0, 0, :7] = 20  # 1.03
    flat = torch.full((1, 28, 28), 255).byte()
    inspection = looked_at(torch.stack([flat, almost, visible, flat, *smooth(3, seed=0)]))
    assert inspection.blank == [0, 1, 3]
    assert inspection.groups == []
    assert len(inspection.pairs) == 0


def test_groups_of_equal_images() -> None:
    a, b, c, d = smooth(4, seed=0)
    assert equal_images([torch.stack([a, b, c, b]), torch.stack([d, b, a])]) == [[1, 3, 5], [0, 6]]
    almost = a.clone()
    almost[0, 27, 27] ^= 1
    assert equal_images([torch.stack([a, almost])]) == []


def test_what_overlaps_and_what_lies_within_a_split() -> None:
    a, b, c, d, e = smooth(5, seed=0)
    near_b, near_c = noisy(b, 2, seed=1), noisy(c, 2, seed=2)
    train = torch.stack([a, a, b, c, d])
    test = torch.stack([a, near_b, near_b, near_c, e, e])
    inspection = looked_at(train, test)

    assert inspection.groups == [[0, 1, 5], [6, 7], [9, 10]]
    assert ordered(inspection.overlap)[0] == (0, 5, False)
    assert found(inspection.overlap) == {(0, 5, False), (2, 6, False), (3, 8, False)}
    assert inspection.overlapping == 4
    assert inspection.within(0, 5)[0] == [[0, 1]]
    assert inspection.within(5, 11)[0] == [[6, 7], [9, 10]]
    assert [inspection.name(number) for number in (0, 4, 5)] == ["train 0", "train 4", "test 0"]
    whats = [finding.what for finding in inspection.findings()]
    assert whats == [
        "4 of 6 (67%) test images are also in the training split, equal or nearly so",
        "1 of 5 (20%) train images repeat another one, pixel by pixel",
        "2 of 6 (33%) test images repeat another one, pixel by pixel",
    ]


def test_nothing_is_found_in_sound_data() -> None:
    labels = torch.arange(60) % 3
    train = Images(smooth(60, seed=0), labels, tuple("abc"))
    test = Images(smooth(30, seed=1), labels[:30], tuple("abc"))
    inspection = inspect({"train": train, "test": test})
    assert inspection.findings() == []
    assert inspection.counts("train") == [20, 20, 20]
    assert inspection.balance == 1


@pytest.mark.parametrize(
    ("counts", "what"),
    [
        ([20, 40], ["the largest class has 40 training images, the smallest 20 (2.0 to 1)"]),
        ([21, 40], []),
        ([0, 40], ["the largest class has 40 training images, the smallest 0"]),
    ],
)
def test_unbalanced_classes(counts: list[int], what: list[str]) -> None:
    labels = torch.repeat_interleave(torch.arange(2), torch.tensor(counts))
    train = Images(smooth(len(labels), seed=0), labels, ("a", "b"))
    assert [finding.what for finding in inspect({"train": train}).findings()] == what


def test_a_single_image_is_looked_at() -> None:
    assert looked_at(smooth(1, seed=0)).findings() == []


def test_images_are_taken_from_splits_laid_end_to_end() -> None:
    pixels = smooth(9, seed=0)
    numbers = torch.tensor([8, 0, 4, 3, 4])
    assert torch.equal(take([pixels[:4], pixels[4:]], numbers), pixels[numbers])


def test_a_rate() -> None:
    assert rate(12, 10_000) == "12 of 10,000 (0.12%)"
    assert rate(0, 0) == "0 of 0 (0%)"


def test_the_files_of_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    for split, number in (("train", 5), ("test", 2)):
        (root / split).mkdir(parents=True)
        for index, pixels in enumerate(smooth(number, seed=number, side=20)):
            Image.fromarray(pixels[0].numpy()).save(root / split / f"{index}.png")
    Image.new("RGBA", (10, 30), "red").save(root / "train" / "1.png")
    Image.new("CMYK", (16, 17)).save(root / "test" / "photo.jpg")
    content = (root / "train" / "3.png").read_bytes()
    (root / "train" / "3.png").write_bytes(content[: len(content) // 2])
    (root / "test" / "0.png").write_text("text")
    splits = {
        split: image_folder.load(root, tmp_path / "cache", split, resolution=16, channels=1)
        for split in ("train", "test")
    }
    seen = files(root, tmp_path / "cache", splits)

    names = ["train/0.png", "train/1.png", "train/2.png", "train/4.png"]
    assert seen.names == [*names, "test/1.png", "test/photo.jpg"]
    assert list(seen.broken) == ["test/0.png", "train/3.png"]
    assert seen.broken["test/0.png"].startswith("cannot identify image file")
    sizes = [(20, 20), (10, 30), (20, 20), (20, 20), (20, 20), (16, 17)]
    assert [one.size for one in seen.headers] == sizes
    assert [one.mode for one in seen.headers] == ["L", "RGBA", "L", "L", "L", "CMYK"]
    assert header(root / "test" / "photo.jpg").format == "JPEG"
    inspection = inspect(splits, seen)
    assert inspection.upscaled == 1
    assert inspection.name(5) == "test/photo.jpg"
    whats = [finding.what for finding in inspection.findings()]
    assert whats[0] == "2 of 8 (25%) files cannot be decoded and are skipped"
    assert whats[-1].startswith("1 of 6 (17%) pictures are smaller than the resolution of 16")
