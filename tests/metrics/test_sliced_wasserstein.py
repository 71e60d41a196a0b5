import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from scipy.stats import wasserstein_distance
from torch import Tensor
from torch.nn import functional

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics import sliced_wasserstein
from touchstone.metrics.sets import ImageSet, Sets, Stored
from touchstone.metrics.sliced_wasserstein import (
    SlicedWasserstein,
    descriptors,
    pyramid,
    sliced_distance,
)


def noise(number: int, channels: int, *sides: int, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    shape = (number, channels, *sides)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draws)


def sets(generated: Tensor, real: Tensor) -> Sets:
    return Sets(
        ImageSet(Stored(Images(generated, None, ())), "generated"),
        ImageSet(Stored(Images(real, None, ())), "real"),
    )


def figures(generated: Tensor, real: Tensor, images: int = 8192) -> dict[str, float]:
    metric = SlicedWasserstein(images)
    metric.check(sets(generated, real))
    return metric(sets(generated, real))


def test_the_distance_on_a_line_is_that_of_scipy() -> None:
    first = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    second = 2 * first.flip(0) + 0.5
    theirs = wasserstein_distance(first[:, 0], second[:, 0])
    assert sliced_distance(first, second) == pytest.approx(theirs, rel=1e-6)
    assert sliced_distance(first, first + 3) == pytest.approx(3, rel=1e-6)


def test_the_distance_of_vectors_is_the_mean_of_scipys_over_the_directions() -> None:
    draws = torch.Generator().manual_seed(1)
    first, second = torch.rand(60, 5, generator=draws), torch.randn(60, 5, generator=draws)
    directions = torch.randn(512, 5, generator=torch.Generator().manual_seed(0))
    directions /= directions.norm(dim=1, keepdim=True)
    theirs = [wasserstein_distance(first @ one, second @ one) for one in directions]
    assert sliced_distance(first, second) == pytest.approx(np.mean(theirs), rel=1e-5)


def test_a_shift_of_one_vector_shows_by_the_mean_cosine() -> None:
    # In 3 dimensions a direction's component is uniform in [-1, 1]: E|cos| = 1/2.
    shift = torch.tensor([[0.0, 0.0, 4.0]])
    assert sliced_distance(torch.zeros(1, 3), shift) == pytest.approx(2, abs=0.16)


@pytest.mark.parametrize("sides", [(64, 64), (32, 40), (45, 33)])
def test_the_pyramid_is_that_of_burt_and_adelson(sides: tuple[int, int]) -> None:
    line = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(line, line)
    left = noise(1, 2, *sides).float()
    levels = pyramid(left)
    for level in levels[:-1]:
        assert level.shape == left.shape
        halved = torch.zeros(1, 2, -(-left.shape[2] // 2), -(-left.shape[3] // 2))
        for channel in range(2):
            blurred = convolve(left[0, channel].numpy(), kernel, mode="mirror")
            halved[0, channel] = torch.from_numpy(blurred[::2, ::2])
            spread = np.zeros_like(blurred)
            spread[::2, ::2] = blurred[::2, ::2]
            lost = left[0, channel].numpy() - 4 * convolve(spread, kernel, mode="mirror")
            torch.testing.assert_close(level[0, channel].numpy(), lost, atol=1e-3, rtol=1e-4)
        left = halved
    torch.testing.assert_close(levels[-1], left, atol=1e-3, rtol=1e-4)


def test_levels_are_halved_down_to_16_pixels() -> None:
    def sides(*of_image: int) -> list[tuple[int, ...]]:
        return [tuple(level.shape[2:]) for level in pyramid(torch.zeros(1, 1, *of_image))]

    assert sides(8, 8) == [(8, 8)]
    assert sides(28, 28) == [(28, 28)]
    assert sides(31, 64) == [(31, 64)]
    assert sides(32, 64) == [(32, 64), (16, 32)]
    assert sides(45, 33) == [(45, 33), (23, 17)]
    assert sides(128, 128) == [(128, 128), (64, 64), (32, 32), (16, 16)]


def test_patches_are_cut_from_the_level_and_normalised_by_channel() -> None:
    pixels = noise(20, 3, 9, 12)
    pixels[:, 1] //= 8
    patches = descriptors(pixels, 0).view(20, 128, 3, 7, 7)
    assert patches.mean((0, 1, 3, 4)).abs().max() < 1e-4
    torch.testing.assert_close(patches.std((0, 1, 3, 4)), torch.ones(3), atol=1e-4, rtol=0)
    # The first patch is, but for a shift and a scale of each channel, one of the first image.
    windows = pixels[0].float().unfold(1, 7, 1).unfold(2, 7, 1).permute(1, 2, 0, 3, 4)
    alike = [
        min(
            float(functional.cosine_similarity(one - one.mean(), two - two.mean(), dim=0))
            for one, two in zip(window.flatten(1), patches[0, 0].flatten(1), strict=True)
        )
        for window in windows.flatten(0, 1)
    ]
    assert len(alike) == 18
    assert sorted(one > 0.999 for one in alike) == [False] * 17 + [True]
    # Images of one patch have but one place for it.
    small = noise(4, 1, 7, 7)
    whole = small.float().flatten(1)
    cut = descriptors(small, 0).view(4, 128, 49)
    expected = (whole - whole.mean()) / whole.std(correction=0)
    torch.testing.assert_close(cut, expected[:, None].expand_as(cut), atol=1e-5, rtol=1e-5)


def test_every_place_is_as_likely() -> None:
    # A ramp tells where a patch was cut from: 22 places of a side of 28.
    ramp = torch.arange(28, dtype=torch.uint8).expand(100, 1, 28, 28).contiguous()
    left = descriptors(ramp, 0)[:, 0]
    counts = torch.unique(left, return_counts=True)[1]
    assert len(counts) == 22
    assert (counts - 12_800 / 22).abs().max() < 5 * (12_800 / 22) ** 0.5


def test_equal_images_have_no_distance_and_others_one() -> None:
    images = noise(300, 3, 32, 32)
    assert figures(images, images) == {"swd": 0, "swd/32": 0, "swd/16": 0}
    named = figures(images // 2 + noise(300, 3, 32, 32, seed=1) // 2, images)
    assert list(named) == ["swd", "swd/32", "swd/16"]
    assert named["swd"] == pytest.approx((named["swd/32"] + named["swd/16"]) / 2)
    assert min(named.values()) > 5


def test_brightness_and_contrast_of_all_images_do_not_count() -> None:
    images = noise(50, 1, 28, 28) // 4 * 2
    assert figures(images + 60, images)["swd"] < 0.01
    assert figures(images // 2, images)["swd"] < 0.01


def test_noise_shows_at_the_scale_where_it_lives() -> None:
    coarse = noise(100, 1, 4, 4).float() * 0.5 + 64
    smooth = functional.interpolate(coarse, (32, 32), mode="bicubic").clamp(0, 255)
    board = torch.arange(32)[:, None] + torch.arange(32) & 1
    fine = figures((smooth + 12 * (board - 0.5)).round().byte(), smooth.round().byte())
    assert fine["swd/32"] > 100
    assert fine["swd/16"] < 3
    wide = functional.interpolate(noise(100, 1, 8, 8, seed=1).float(), (32, 32), mode="bicubic")
    low = figures((0.7 * smooth + 0.3 * wide).clamp(0, 255).round().byte(), smooth.round().byte())
    assert low["swd/16"] > 20


def test_the_images_order_and_the_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    small, real = noise(40, 1, 7, 7), noise(40, 1, 7, 7, seed=1)
    mixed = small[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    assert figures(mixed, real)["swd"] == pytest.approx(figures(small, real)["swd"], rel=1e-5)
    wide = noise(40, 2, 33, 34)
    whole = descriptors(wide, 1)
    monkeypatch.setattr(sliced_wasserstein, "CHUNK", 7)
    torch.testing.assert_close(descriptors(wide, 1), whole, atol=1e-5, rtol=1e-5)


def test_as_many_images_of_each_kind_at_most() -> None:
    generated, real = noise(30, 1, 8, 8), noise(50, 1, 8, 8, seed=1)
    chosen = torch.randperm(50, generator=torch.Generator().manual_seed(0))[:30].sort().values
    state = torch.get_rng_state()
    assert figures(generated, real) == figures(generated, real[chosen])
    assert figures(generated, real, 10) != figures(generated, real)
    assert figures(generated, real, 30) == figures(generated, real)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_empty_channel_is_no_texture() -> None:
    grey = torch.full((20, 1, 8, 8), 137, dtype=torch.uint8)
    assert descriptors(grey, 0).abs().max() < 0.1
    assert figures(grey, grey + 1)["swd"] < 1


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match=r"metrics\.figures\.swd\.images=0: .* 1 or more"):
        SlicedWasserstein(0)
    with pytest.raises(UsageError, match="generated: metrics=swd needs images"):
        SlicedWasserstein().check(sets(noise(0, 1, 8, 8), noise(2, 1, 8, 8)))
    with pytest.raises(UsageError, match=r"\(1, 8, 8\) and the real ones \(1, 8, 9\)"):
        figures(noise(2, 1, 8, 8), noise(2, 1, 8, 9))
    with pytest.raises(UsageError, match="images of 6x8 are too small"):
        figures(noise(2, 1, 6, 8), noise(2, 1, 6, 8))
