"""The counterfeiter and the inspector of printed codes."""

import pytest
import torch

from touchstone.networks.printed_codes import Classifier, Discriminator, Generator
from touchstone.sampling import latents
from touchstone.symbols import symbols_of


def test_shapes_and_parameters() -> None:
    generator, discriminator = Generator(8, 48, width=32), Discriminator(48, width=64)
    assert generator.latent_size == 3 * 16**2 + 8
    samples = generator(latents(5, generator.latent_size, seed=0))
    assert samples.shape == (5, 2, 48, 48)
    verdict = discriminator.examine(samples)
    assert {name: tuple(value.shape) for name, value in verdict.items()} == {
        "features": (5, 64),
        "logits": (5,),
        "log_ratios": (5, 16, 16),
    }
    assert torch.equal(discriminator(samples), verdict["logits"])
    # reader: 9·32·25 + 32, 32·32 + 32, 32 + 1; misreading: 32·25 + 32, 32, 32·32 + 32, 32 + 1;
    # printer: 10·32·9 + 32, twice 32·32·9 + 32, 32·9 + 9.
    assert sum(p.numel() for p in generator.parameters()) == (
        7_232 + 1_056 + 33 + 832 + 32 + 1_056 + 33 + 2_912 + 2 * 9_248 + 297
    )
    # whole: 10·32·9 + 32, 32·64·9 + 64; head: 64 + 1; places: 10·64·9 + 64, thrice 64·64·9 + 64,
    # 64 + 1.
    assert sum(p.numel() for p in discriminator.parameters()) == (
        2_912 + 18_496 + 65 + 5_824 + 3 * 36_928 + 65
    )


def test_a_sample_shows_the_template_that_its_latent_holds() -> None:
    generator = Generator(8, 24, width=4)
    drawn = latents(3, generator.latent_size, seed=1)
    symbols = symbols_of(generator(drawn)[:, 1:])
    assert torch.equal(symbols, drawn[:, :64].view(3, 8, 8).sign())


def test_what_is_misread_is_printed_otherwise() -> None:
    generator = Generator(8, 24, width=4)
    bias = generator.misreading.get_parameter("layers.3.bias")
    torch.nn.init.constant_(bias, -100)  # reads all rightly
    drawn = latents(3, generator.latent_size, seed=1)
    right = generator(drawn)
    torch.nn.init.constant_(bias, 100)  # and all wrongly
    wrong = generator(drawn)
    opposite = drawn.clone()
    opposite[:, :64] *= -1
    assert torch.equal(right[:, 1], wrong[:, 1])
    torch.nn.init.constant_(bias, -100)
    torch.testing.assert_close(wrong[:, 0], generator(opposite)[:, 0])


def test_the_place_itself_speaks_by_its_centre_alone() -> None:
    generator = Generator(8, 24, width=4)
    symbols = torch.ones(1, 8, 8)
    other = symbols.clone()
    other[0, 3, 3] = -1
    here = generator.misreading(symbols, symbols)[0, 3, 3]
    assert torch.equal(generator.misreading(other, symbols)[0, 3, 3], here)
    assert not torch.equal(generator.misreading(symbols, other)[0, 3, 3], here)


def test_mean_and_soft_maximum_over_the_symbols_are_read() -> None:
    classifier = Classifier(width=4, features=2)
    weight, bias = list(classifier.places.parameters())[-2:]
    torch.nn.init.zeros_(weight)
    torch.nn.init.constant_(bias, 3.0)
    # All symbols alike: the mean and log mean exp are both 3.
    expected = classifier.logit(torch.full((2, 4), 3.0))[:, 0]
    torch.testing.assert_close(classifier(torch.zeros(2, 2, 24, 24)), expected)
    # 10·4·9 + 4, twice 4·4·9 + 4, 4·2 + 2, 4 + 1.
    assert sum(p.numel() for p in classifier.parameters()) == 364 + 2 * 148 + 10 + 5


def test_three_pixels_a_symbol() -> None:
    with pytest.raises(ValueError, match="multiple of 3"):
        Generator(8, 50)
    with pytest.raises(ValueError, match="multiple of 3"):
        Discriminator(50)
