from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor, nn

from touchstone.data import fashion_mnist
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor, load
from touchstone.metrics.memorization import Memorization, Mirrored, Training, likeness
from touchstone.metrics.sets import Drawn, ImageSet, Sets, Splits, Stored


class Means(Extractor):
    """The mean of each row of an image of 6x6 pixels: blind to mirroring, and to much else."""

    name = fingerprint = "means"
    num_features = 6

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 3))


def images(pixels: Tensor, name: str = "set", cache: str | None = None) -> ImageSet:
    return ImageSet(Stored(Images(pixels, None, ())), name, cache=cache)


def noise(number: int, seed: int, side: int = 6) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (number, 1, side, side), dtype=torch.uint8, generator=draws)


def splits(train: Tensor, test: Tensor, cache: str | None = None) -> Splits:
    def none(split: str) -> Images:
        raise AssertionError(f"{split} is at hand")

    loaded = {"train": Images(train, None, ()), "test": Images(test, None, ())}
    return Splits(none, device="cpu", cache=cache, **loaded)


def figures(generated: Tensor, train: Tensor, test: Tensor | None) -> dict[str, float]:
    data = None if test is None else splits(train, test)
    both = Sets(images(generated, "generated"), images(train, "pictures"), data)
    metric = Memorization(Means(), neighbours=10)
    metric.check(both)
    found = dict(metric(both))
    assert isinstance(found.pop("memorization/pairs"), Image.Image)
    return found  # type: ignore[return-value]


def test_the_ratio_is_the_one_worked_out_by_hand() -> None:
    # Even images of 8x8, 2 against 0, 20 and 10: 8 times 2, 18 and 8 away. The thumbnails, which
    # are the images, choose 0 once more: 2 / ((2 + 18 + 8 + 2) / 4).
    pixels = torch.tensor([0, 20, 10, 200]).byte().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    features = torch.tensor([[0.0], [1.0], [2.0], [9.0]])
    training = Training(features, pixels, pixels.flatten(1))
    image = torch.full((1, 1, 8, 8), 2, dtype=torch.uint8)
    alike = likeness(torch.tensor([[0.5]]), image, training, 3)
    assert alike.ratio.item() == pytest.approx(2 / 7.5, rel=1e-6)
    assert (alike.nearest.item(), alike.distance.item()) == (0, 0.5)
    # Features lead away from the copy, 200; the thumbnail finds it: 0 / mean.
    alike = likeness(torch.tensor([[0.5]]), image + 198, training, 3)
    assert (alike.ratio.item(), alike.nearest.item()) == (0, 3)


def test_copies_are_counted_as_they_are_and_mirrored() -> None:
    train = noise(200, 0)
    planted = torch.cat([train[:7], train[20:25].flip(3), noise(28, 1)])
    found = figures(planted, train, noise(60, 2))
    assert found["memorization"] == 12 / 40
    assert found["memorization/copies"] == 12
    assert found["memorization/real"] == 0


def test_the_datas_own_copies_stand_beside_it() -> None:
    # A quarter of the real images that were not trained on are copies, and no generated one is.
    train = noise(200, 0)
    test = torch.cat([train[:15], noise(45, 2)])
    found = figures(noise(60, 1), train, test)
    assert (found["memorization"], found["memorization/real"]) == (0, 15 / 60)
    # Half of the training images stand twice: without a test split, some pairs are torn apart.
    twice = figures(noise(500, 1), torch.cat([train, train]), None)
    assert 0.4 < twice["memorization/real"] < 0.6
    assert figures(noise(100, 1), train, None)["memorization/real"] == 0


def test_the_distance_is_that_of_generated_over_that_of_real_features() -> None:
    train = noise(300, 0)
    honest = figures(noise(150, 1), train, noise(150, 2))
    assert honest["memorization/distance"] == pytest.approx(1, abs=0.1)
    assert figures(train[:150], train, noise(150, 2))["memorization/distance"] == 0


def test_the_reference_is_training_where_there_are_no_splits() -> None:
    train = images(noise(100, 0), "pictures")
    both = Sets(images(train.pixels()[:10]), train)
    assert Memorization(Means(), neighbours=10)(both)["memorization"] == 1


def test_identical_images_are_copies_of_each_other() -> None:
    grey = torch.full((20, 1, 6, 6), 7, dtype=torch.uint8)
    assert figures(grey, grey, grey)["memorization"] == 1


def test_the_picture_shows_the_closest_pairs_side_by_side() -> None:
    train = noise(100, 0)
    generated = torch.cat([noise(40, 1), train[31:32]])
    both = Sets(images(generated), images(train))
    picture = Memorization(Means(), neighbours=10)(both)["memorization/pairs"]
    assert isinstance(picture, Image.Image)
    # 24 pairs of 2 * 6 + 1 pixels, six a row, 6 pixels apart: (6 * 19 + 6) x (4 * 12 + 6), times 7.
    assert picture.size == (840, 378)
    shrunk = torch.from_numpy(np.array(picture.resize((120, 54), Image.Resampling.NEAREST)))
    first = shrunk[6:12, 6:19]
    assert torch.equal(first[:, :6], train[31, 0])
    assert torch.equal(first[:, 7:], train[31, 0])


class Noise(nn.Module):
    latent_size = 36

    def forward(self, latents: Tensor) -> Tensor:
        return latents.view(-1, 1, 6, 6).clamp(-1, 1)


def test_samples_of_a_generator_and_colour_are_compared_too() -> None:
    train = noise(100, 0, 40).expand(-1, 3, -1, -1)
    drawn = ImageSet(Drawn(Noise(), 300, seed=0, device="cpu"), "generated")
    found = Memorization(Means(), neighbours=10)(Sets(drawn, images(noise(100, 0))))
    assert found["memorization"] == 0
    grey = images(train[:5, :1])
    assert Memorization(load("fashion"))(Sets(grey, images(train)))["memorization"] == 1


def test_mirrored_images_are_those_at_the_rows() -> None:
    pixels = noise(600, 0)
    rows = torch.arange(0, 600, 2)
    assert torch.equal(
        ImageSet(Mirrored(images(pixels), rows), "mirrored").pixels(), pixels[::2].flip(3)
    )


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(UsageError, match=r"memorization\.neighbours=1: it has to be 2 or more"):
        Memorization(Means(), neighbours=1)
    with pytest.raises(UsageError, match=r"memorization\.threshold=1: .* between 0 and 1"):
        Memorization(Means(), threshold=1)
    train, metric = images(noise(50, 0), "pictures"), Memorization(Means())
    metric.check(Sets(train, train, splits(noise(50, 0), noise(9, 1))))
    with pytest.raises(UsageError, match=r"^pictures: 50 .*neighbours=50, which needs 100$"):
        metric.check(Sets(train, train))
    with pytest.raises(UsageError, match=r"^train split: 49 .*neighbours=50, which needs 50$"):
        metric.check(Sets(train, train, splits(noise(49, 0), noise(9, 1))))


def test_planted_copies_are_found_among_real_images_of_fashion_mnist(
    environment: dict[str, str],
) -> None:
    train, test = (fashion_mnist.load(environment["TOUCHSTONE_DATA"], s) for s in ("train", "test"))
    draws = torch.Generator().manual_seed(0)
    planted = train.pixels[torch.randperm(len(train), generator=draws)[:50]].clone()
    planted[17:34] = planted[17:34].flip(3)
    noisy = planted[34:].float() + torch.linspace(4, 8, 16).view(-1, 1, 1, 1) * torch.randn(
        16, 1, 28, 28, generator=draws
    )
    planted[34:] = noisy.round().clamp(0, 255).byte()
    rows = torch.randperm(len(test), generator=draws)
    honest, unseen = test.pixels[rows[:950]], test.pixels[rows[950:1450]]
    data = splits(train.pixels, unseen, environment["TOUCHSTONE_CACHE"])
    generated = images(torch.cat([planted, honest]), "generated")
    found = Memorization(load("fashion"))(Sets(generated, data("train"), data))
    # All 50, and next to none of the 950; the closest pairs of a picture are the copies.
    assert isinstance(found["memorization/copies"], float)
    assert 50 <= found["memorization/copies"] <= 50 + 0.01 * 950
    assert isinstance(found["memorization/real"], float)
    assert found["memorization/real"] <= 0.01
    alone = Memorization(load("fashion"))(Sets(images(planted), data("train"), data))
    assert alone["memorization"] == 1


def test_the_configuration_has_the_settings_that_were_measured() -> None:
    settings = OmegaConf.load(Path(__file__).parents[2] / "conf" / "metrics" / "memorization.yaml")
    made = settings.figures.memorization
    assert (made.neighbours, made.threshold) == (50, 0.25)
