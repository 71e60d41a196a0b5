"""Each part by hand, and against torchvision where it has the same."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional

from touchstone.augmentations import DiffAugment
from touchstone.draws import Draws, Share

NOW = torch.zeros(())
PARTS = ["color", "translation", "cutout", "flip"]


class Scripted:
    """Draws that were chosen: of each call, the number that all samples get."""

    def __init__(self, *numbers: float) -> None:
        self.numbers: Iterator[float] = iter(numbers)

    def uniform(self, size: int, *shape: int) -> Tensor:
        return torch.full((size, *shape), next(self.numbers))

    normal = uniform


class OnMeta:
    """Draws without numbers, which show whether anybody reads them."""

    def uniform(self, size: int, *shape: int) -> Tensor:
        return torch.empty(size, *shape, device="meta")

    normal = uniform


def pictures(size: int = 4, channels: int = 3, height: int = 16, width: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return 2 * torch.rand(size, channels, height, width, generator=generator) - 1


def test_colour_by_hand() -> None:
    # One pixel (0, 0.3, 0.6) and one (0.2, 0.2, 0.2), brightness 0.75 - 0.5 = 0.25, saturation
    # 2 * 0.25 = 0.5, contrast 0.25 + 0.5 = 0.75. Brighter: (0.25, 0.55, 0.85), (0.45, 0.45, 0.45).
    # Half as saturated, about 0.55: (0.4, 0.55, 0.7). The mean of all is (0.55 + 0.45) / 2 = 0.5:
    # 0.5 + 0.75 (x - 0.5) is (0.425, 0.5375, 0.65) and 0.4625.
    pixels = torch.tensor([[0.0, 0.2], [0.3, 0.2], [0.6, 0.2]]).reshape(1, 3, 1, 2)
    changed = DiffAugment(["color"])(pixels, Scripted(0.75, 0.25, 0.25), NOW)
    expected = torch.tensor([[0.425, 0.4625], [0.5375, 0.4625], [0.65, 0.4625]])
    torch.testing.assert_close(changed, expected.reshape(1, 3, 1, 2), rtol=0, atol=1e-6)


def test_grey_has_brightness_and_contrast_alone() -> None:
    images = 0.5 + pictures(channels=1) / 8
    changed = DiffAugment(["color"])(images, Scripted(0.5, 0.9, 0.3), NOW)
    # Without a change of brightness this is torchvision's change of contrast.
    expected = functional.adjust_contrast(images, 0.8)
    torch.testing.assert_close(changed, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("down", [-2, 0, 1])
@pytest.mark.parametrize("across", [-3, 0, 2])
def test_translation_against_torchvision(down: int, across: int) -> None:
    # 16 / 8 = 2 and 24 / 8 = 3 at most: 5 and 7 steps, of which the draw falls into the middle.
    draws = Scripted((down + 2.5) / 5, (across + 3.5) / 7)
    moved = DiffAugment(["translation"])(pictures(), draws, NOW)
    expected = functional.affine(pictures(), 0, [across, down], 1, [0.0, 0.0])
    assert torch.equal(moved, expected)


def test_translations_are_evenly_spread() -> None:
    images = torch.arange(28.0 * 28).reshape(1, 1, 28, 28).expand(3000, 1, 28, 28) + 1
    middle = DiffAugment(["translation"])(images, Draws(0), NOW)[:, 0, 14, 14].long() - 1
    # (28 + 4) // 8 = 4 at most, so 9 places along each side: 3000 / 9 = 333, its deviation 17.
    for places in (14 - middle // 28, 14 - middle % 28):
        counts = torch.bincount(places + 4)
        assert counts.shape == (9,)
        assert (counts - 333).abs().max() < 4 * 17


def test_cutout_by_hand() -> None:
    ones = torch.ones(1, 1, 6, 8)
    # A square of 3 x 4. Of 6 rows the middle is any of 6: draw 0 takes rows -1, 0, 1. Of 8 columns
    # it is any of 9, draw 0.5 the fifth, 4: columns 2, 3, 4, 5.
    cut = DiffAugment(["cutout"])(ones, Scripted(0, 0.5), NOW)
    expected = torch.ones(1, 1, 6, 8)
    expected[..., :2, 2:6] = 0
    assert torch.equal(cut, expected)


@pytest.mark.parametrize(("first", "last"), [(6, 6), (7, 7), (8, 8)])
def test_cutout_reaches_both_ends_alike(first: int, last: int) -> None:
    cut = DiffAugment(["cutout"])(torch.ones(20_000, 1, first, last), Draws(0), NOW)
    kept = cut.mean(dim=(0, 1))
    torch.testing.assert_close(kept, kept.flip(0, 1), rtol=0, atol=0.02)


def test_half_of_the_images_are_mirrored() -> None:
    images = pictures(1).expand(2000, -1, -1, -1)
    mirrored = DiffAugment(["flip"])(images, Draws(0), NOW)
    flipped = (mirrored == images.flip(3)).flatten(1).all(1)
    kept = (mirrored == images).flatten(1).all(1)
    assert (flipped | kept).all()
    assert abs(flipped.sum().item() - 1000) < 4 * 22  # a deviation of sqrt(2000) / 2


def test_a_policy_is_its_parts_in_order() -> None:
    images, draws = pictures(), Draws(5)
    expected = images
    for part in ("cutout", "color"):
        expected = DiffAugment([part])(expected, draws, NOW)
    assert torch.equal(DiffAugment(["cutout", "color"])(images, Draws(5), NOW), expected)
    assert DiffAugment([])(images, Draws(5), NOW) is images
    assert DiffAugment().policy == ("color", "translation", "cutout")


@pytest.mark.parametrize("part", PARTS)
def test_two_processes_see_what_one_sees(part: str) -> None:
    images, change = pictures(8), DiffAugment([part])
    halves = [
        change(half, Draws(1, share=Share(rank, 2)), NOW)
        for rank, half in enumerate(images.chunk(2))
    ]
    assert torch.equal(torch.cat(halves), change(images, Draws(1), NOW))


@pytest.mark.parametrize("part", PARTS)
def test_gradients_against_finite_differences(part: str) -> None:
    images = pictures(2, height=4, width=5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: DiffAugment([part])(x, Draws(2), NOW), images)


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_is_read_from_the_device(channels: int) -> None:
    images = torch.empty(4, channels, 28, 28, device="meta", dtype=torch.bfloat16)
    changed = DiffAugment(PARTS)(images, OnMeta(), NOW)
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValueError, match=r"augmentation\.policy has colour, .* color, translation"):
        DiffAugment(["colour"])
