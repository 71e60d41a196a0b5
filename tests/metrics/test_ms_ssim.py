import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import correlate1d
from torch import Tensor

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.ms_ssim import MSSSIM, draw_pairs, scales, similarity
from touchstone.metrics.sets import ImageSet, Sets, Stored


def noise(number: int, *shape: int, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (number, *shape), dtype=torch.uint8, generator=draws)


def image_set(pixels: Tensor, labels: list[int] | None = None) -> ImageSet:
    known = None if labels is None else torch.tensor(labels)
    return ImageSet(Stored(Images(pixels, known, tuple("abc"))), "generated")


def parts(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Luminance, and contrast times structure, of Wang et al. 2004, equations 6 and 13."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))

    def mean(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        once = correlate1d(image, line / line.sum(), 0, mode="mirror")
        both: npt.NDArray[np.float64] = correlate1d(once, line / line.sum(), 1, mode="mirror")
        return both

    luminance = (2 * mean(first) * mean(second) + 2.55**2) / (
        mean(first) ** 2 + mean(second) ** 2 + 2.55**2
    )
    variances = (mean(one * one) - mean(one) ** 2 for one in (first, second))
    covariance = mean(first * second) - mean(first) * mean(second)
    return luminance, (2 * covariance + 7.65**2) / (sum(variances) + 7.65**2)


def mixed(side: int) -> tuple[Tensor, Tensor]:
    first, other = noise(1, 1, side, side), noise(1, 1, side, side, seed=1)
    return first, (first * 0.7 + other * 0.3).byte()


def test_one_scale_is_plain_ssim() -> None:
    first, second = mixed(20)
    luminance, rest = parts(first[0, 0].double().numpy(), second[0, 0].double().numpy())
    expected = (luminance * rest).mean()
    assert 0.5 < expected < 0.95
    assert similarity(first, second).item() == pytest.approx(expected, rel=1e-4)


def test_two_scales_are_weighted_by_the_papers_exponents() -> None:
    first, second = mixed(28)
    fine = [image[0, 0].double().numpy() for image in (first, second)]
    coarse = [image.reshape(14, 2, 14, 2).mean((1, 3)) for image in fine]
    contrast = parts(*fine)[1][5:-5, 5:-5].mean()
    luminance, rest = parts(*coarse)
    share = 0.0448 / (0.0448 + 0.2856)
    expected = contrast**share * (luminance * rest).mean() ** (1 - share)
    assert similarity(first, second).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("side", "number"),
    [(11, 1), (21, 1), (22, 2), (28, 2), (43, 2), (44, 3), (98, 3), (99, 4), (175, 4), (176, 5)],
)
def test_there_are_as_many_scales_as_the_images_have_room_for(side: int, number: int) -> None:
    assert scales(side) == number
    image = noise(1, 1, side, side + 3)
    assert similarity(image, image).item() == pytest.approx(1, abs=1e-5)


def test_a_collapsed_generator_has_similarity_one_and_noise_none() -> None:
    one = noise(1, 3, 28, 28)
    collapsed = image_set(one.expand(20, -1, -1, -1).contiguous())
    unrelated = image_set(noise(400, 3, 28, 28, seed=1))
    computed = MSSSIM()(Sets(collapsed, unrelated))
    assert list(computed) == ["ms_ssim", "ms_ssim/real"]
    assert computed["ms_ssim"] == pytest.approx(1, abs=1e-5)
    assert computed["ms_ssim/real"] == pytest.approx(0.02, abs=0.02)


def test_the_mean_is_over_the_pairs() -> None:
    images = image_set(torch.cat([mixed(28)[0], mixed(28)[1], noise(2, 1, 28, 28, seed=2)]))
    pairs = draw_pairs(images, 1000, within_classes=False)
    expected = [similarity(*images.pixels(pair.tolist())[:, None]).item() for pair in pairs]
    assert len(expected) == 2
    figures = MSSSIM()(Sets(images, images))
    assert figures == pytest.approx(dict.fromkeys(figures, np.mean(expected)), rel=1e-6)


def test_pairs_are_disjoint_and_of_one_class() -> None:
    labels = [0, 1, 2, 0, 1, 0, 0, 1, 0]
    images = image_set(noise(9, 1, 11, 11), labels)
    pairs = draw_pairs(images, 1000, within_classes=True)
    assert torch.unique(pairs).numel() == pairs.numel() == 6  # two of class 0, one of class 1
    assert all(labels[first] == labels[second] for first, second in pairs.tolist())
    anyhow = draw_pairs(images, 1000, within_classes=False)
    assert torch.unique(anyhow).numel() == anyhow.numel() == 8
    assert torch.equal(draw_pairs(images, 2, within_classes=True), pairs[:2])


def test_pairs_are_random() -> None:
    images = image_set(noise(2000, 1, 1, 1))
    pairs = draw_pairs(images, 500, within_classes=False).double()
    assert pairs.mean() == pytest.approx(999.5, abs=60)
    assert (pairs[:, 0] - pairs[:, 1]).abs().mean() == pytest.approx(2000 / 3, abs=70)


def test_labels_count_where_both_kinds_have_them() -> None:
    # Two classes of one image each: within them all are alike, across them none are.
    halves = noise(2, 1, 28, 28).repeat_interleave(40, 0)
    labels = [0] * 40 + [1] * 40
    labelled, bare = image_set(halves, labels), image_set(halves)
    assert MSSSIM()(Sets(labelled, labelled))["ms_ssim"] == pytest.approx(1, abs=1e-5)
    assert MSSSIM()(Sets(labelled, bare))["ms_ssim"] < 0.8


def test_it_is_the_same_twice_and_touches_no_random_numbers() -> None:
    images = image_set(noise(30, 1, 28, 28), [0, 1, 2] * 10)
    state = torch.get_rng_state()
    assert MSSSIM(7)(Sets(images, images)) == MSSSIM(7)(Sets(images, images))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_has_no_pairs_is_refused() -> None:
    with pytest.raises(UsageError, match=r"metrics\.figures\.ms_ssim\.pairs=0: .* 1 or more"):
        MSSSIM(0)
    one, three = image_set(noise(1, 1, 28, 28)), image_set(noise(3, 1, 28, 28), [0, 1, 2])
    two = image_set(noise(2, 1, 28, 28), [1, 1])
    with pytest.raises(UsageError, match="generated: metrics=ms_ssim needs two images, and 1"):
        MSSSIM().check(Sets(one, two))
    with pytest.raises(UsageError, match="needs two images of a class, and 3 are too few"):
        MSSSIM().check(Sets(three, two))
    MSSSIM().check(Sets(two, two))
    small = image_set(noise(2, 1, 10, 28))
    with pytest.raises(UsageError, match="images of 11x11 or more: 10 pixels"):
        MSSSIM()(Sets(small, small))
