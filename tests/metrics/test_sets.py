import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from touchstone.data.images import Images, quantize
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor, load
from touchstone.metrics.sets import Drawn, ImageSet, Sets, Splits, Stored, features_of
from touchstone.sampling import samples


class Mean(Extractor):
    """Two features: an image's mean, and its square; counts how often it is asked."""

    name, num_features = "mean", 2

    def __init__(self, fingerprint: str = "mean") -> None:
        super().__init__()
        self.fingerprint = fingerprint
        self.asked: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(len(images))
        mean = images.float().mean((1, 2, 3))
        return torch.stack([mean, mean**2], 1)


class Stripes(nn.Module):
    """Makes images of 2x2 from latents, brighter by class where it knows of any."""

    latent_size = 4

    def __init__(self, classes: int = 0, low: float = -1.0) -> None:
        super().__init__()
        self.classes, self.low = classes, low

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        light = 0 if labels is None else labels.view(-1, 1, 1, 1) / 10
        made = (latents.tanh().view(-1, 1, 2, 2) * 0.5 + light).clamp(-1, 1)
        return made if self.low < 0 else made.abs() * 2


def images(number: int, labels: bool = False) -> Images:
    generator = torch.Generator().manual_seed(number)
    pixels = torch.randint(0, 256, (number, 1, 2, 2), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(number) % 3 if labels else None, ("a", "b", "c"))


def test_features_are_computed_once_in_chunks() -> None:
    extractor, real = Mean(), images(600)
    made = ImageSet(Stored(real), "real")
    means = real.pixels.float().mean((1, 2, 3))
    for _ in range(2):
        made.extract(extractor)
        assert torch.equal(made.features(extractor), torch.stack([means, means**2], 1))
    assert extractor.asked == [250, 250, 100]
    assert made.gaussian(extractor).mean[0].item() == pytest.approx(means.double().mean().item())
    assert extractor.asked == [250, 250, 100]


def test_two_extractors_see_the_images_in_one_pass() -> None:
    first, second = Mean("first"), Mean("second")
    generated = ImageSet(Drawn(Stripes(), 300, seed=0, device="cpu"), "generated")
    generated.extract(first, second)
    assert first.asked == second.asked == [250, 50]
    assert torch.equal(generated.features(first), generated.features(second))


def test_features_of_real_images_are_kept_for_other_jobs(tmp_path: Path) -> None:
    first, again, other = Mean(), Mean(), Mean("other")
    made = ImageSet(Stored(images(20)), "real", cache=tmp_path)
    made.gaussian(first)
    same = ImageSet(Stored(images(20)), "real", cache=tmp_path)
    assert torch.equal(same.gaussian(again).root, made.gaussian(first).root)
    assert torch.equal(same.features(again), made.features(first))
    assert again.asked == []
    same.features(other)
    ImageSet(Stored(images(21)), "real", cache=tmp_path).features(again)
    assert (other.asked, again.asked) == ([20], [21])


@pytest.mark.parametrize("kind", ["features", "statistics"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, kind: str) -> None:
    made = ImageSet(Stored(images(20)), "real", cache=tmp_path)
    right = made.gaussian(Mean()).covariance
    [file] = (tmp_path / kind).glob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    again = ImageSet(Stored(images(20)), "real", cache=tmp_path)
    assert torch.equal(again.gaussian(Mean()).covariance, right)
    again.features(Mean())
    assert file.read_bytes() == whole


def test_generated_features_are_kept_nowhere(tmp_path: Path) -> None:
    drawn = Drawn(Stripes(), 20, seed=0, device="cpu")
    ImageSet(drawn, "generated", cache=tmp_path).gaussian(Mean())
    assert list(tmp_path.iterdir()) == []


def test_pixels_can_be_had_again_by_their_number() -> None:
    generator = Stripes()
    drawn = ImageSet(Drawn(generator, 600, seed=3, device="cpu"), "generated")
    whole = quantize(torch.cat(list(samples(generator, 600, seed=3))))
    assert torch.equal(drawn.pixels(), whole)
    assert torch.equal(drawn.pixels([599, 0, 260, 0]), whole[[599, 0, 260, 0]])
    assert drawn.generator is generator
    assert drawn.labels is None


def test_a_conditional_generator_makes_every_class_in_turn() -> None:
    drawn = ImageSet(Drawn(Stripes(classes=3), 500, seed=0, device="cpu"), "generated")
    assert drawn.labels is not None
    assert drawn.labels.tolist() == [number % 3 for number in range(500)]
    assert drawn.classes == ("0", "1", "2")
    light = drawn.pixels().float().mean((1, 2, 3))
    means = [light[drawn.labels == label].mean().item() for label in range(3)]
    assert means[1] - means[0] == pytest.approx(12.75, abs=6)
    assert means[2] - means[1] == pytest.approx(12.75, abs=6)


def test_samples_between_0_and_1_are_refused() -> None:
    drawn = ImageSet(Drawn(Stripes(low=0.0), 300, seed=0, device="cpu"), "generated")
    with pytest.raises(
        UsageError, match=r"lie in \[0\.0\d, \d\.\d\d\]: they have to be in \[-1, 1\]"
    ):
        drawn.extract(Mean())


def test_a_generator_that_makes_next_to_nothing_yet_is_not_refused() -> None:
    class Faint(Stripes):
        def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
            return super().forward(latents).abs() * 0.01

    drawn = ImageSet(Drawn(Faint(), 300, seed=0, device="cpu"), "generated")
    assert set(drawn.pixels().flatten().tolist()) == {128}


def test_samples_that_are_not_finite_are_refused() -> None:
    class Broken(Stripes):
        def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
            return super().forward(latents) * math.nan

    with pytest.raises(UsageError, match="not finite"):
        ImageSet(Drawn(Broken(), 3, seed=0, device="cpu"), "generated").pixels()


def test_a_trainers_precision_is_none_of_the_extractors() -> None:
    fashion = load("fashion")
    pixels = torch.randint(
        0, 256, (8, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    plain = features_of(fashion.eval(), pixels)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(features_of(fashion, pixels), plain)


def test_the_extractor_is_frozen() -> None:
    fashion = load("fashion").train()
    pixels = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    ImageSet(Stored(Images(pixels, None, ())), "real").extract(fashion)
    assert not any(module.training for module in fashion.modules())
    assert not any(parameter.requires_grad for parameter in fashion.parameters())


def test_what_are_no_images_of_eight_bits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 .* not torch\.float32"):
        features_of(Mean(), torch.rand(4, 1, 1, 1))
    with pytest.raises(ValueError, match=r"uint8 .* not torch\.uint8 \(4, 1\)"):
        features_of(Mean(), torch.zeros(4, 1, dtype=torch.uint8))


def test_splits_are_loaded_when_they_are_asked_for() -> None:
    asked: list[str] = []

    def split(split: str) -> Images:
        asked.append(split)
        return images({"train": 30, "test": 10}[split], labels=True)

    splits = Splits(split, device="cpu", cache=None, train=images(30, labels=True))
    sets = Sets(splits("train"), splits("train"), splits)
    assert asked == []
    tests = sets.split("test")
    assert tests is not None
    assert (len(tests), tests.classes, tests.name) == (10, ("a", "b", "c"), "test split")
    assert sets.split("test") is tests
    assert sets.split("train") is sets.reference
    assert asked == ["test"]
    assert Sets(sets.reference, sets.reference).split("test") is None
