from copy import deepcopy
from functools import partial
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from touchstone.networks.heads import Projection
from touchstone.networks.progan import Discriminator, Generator, Growing


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_generator_has_table_2_s_parameters() -> None:
    # 4x4: 4*4 * 512*512 + 512                                     =  4,194,816
    # 4x4 to 32x32: 7 * (3*3 * 512*512 + 512)                      = 16,518,656
    # 64:   3*3 * (512*256 + 256*256) + 2*256                      =  1,769,984
    # 128:  3*3 * (256*128 + 128*128) + 2*128                      =    442,624
    # 256:  3*3 * (128*64 + 64*64) + 2*64                          =    110,720
    # 512:  3*3 * (64*32 + 32*32) + 2*32                           =     27,712
    # 1024: 3*3 * (32*16 + 16*16) + 2*16                           =      6,944
    # to samples: 3 * (4*512 + 256 + 128 + 64 + 32 + 16) + 9*3     =      7,659
    # The table says 23.1M.
    with torch.device("meta"):
        assert count(Generator(512, 1024, 3, width=512)) == 23_079_115


def test_discriminator_has_table_2_s_parameters() -> None:
    # from samples: (3 + 1) * (4*512 + 256 + 128 + 64 + 32 + 16)   =     10,176
    # 1024: 3*3 * (16*16 + 16*32) + 16 + 32                        =      6,960
    # 512:  3*3 * (32*32 + 32*64) + 32 + 64                        =     27,744
    # 256:  3*3 * (64*64 + 64*128) + 64 + 128                      =    110,784
    # 128:  3*3 * (128*128 + 128*256) + 128 + 256                  =    442,752
    # 64:   3*3 * (256*256 + 256*512) + 256 + 512                  =  1,770,240
    # 32, 16, 8: 6 * (3*3 * 512*512 + 512)                         = 14,158,848
    # 4: 3*3 * 513*512 + 512 + 4*4 * 512*512 + 512                 =  6,559,232
    # dense 512 + 1                                                =        513
    # The table says 23.1M.
    with torch.device("meta"):
        assert count(Discriminator(1024, 3, width=512)) == 23_087_249


def pair(
    resolution: int = 16, channels: int = 2, fade: int = 100, stable: int = 50
) -> tuple[Generator, Discriminator]:
    """Small networks whose levels are faded in from image 50, 200, ... and done 100 images on."""
    torch.manual_seed(0)
    generator = Generator(6, resolution, channels, 4, fade, stable)
    discriminator = Discriminator(resolution, channels, 4, fade, stable)
    return generator, discriminator


def grown(network: Growing, images: int) -> Growing:
    network.advance(images)
    return network


@pytest.mark.parametrize(
    ("images", "level", "fading", "alpha"),
    [
        (0, 0, False, 1.0),
        (49, 0, False, 1.0),
        (50, 1, True, 0.0),
        (75, 1, True, 0.25),
        (149, 1, True, 0.99),
        (150, 1, False, 1.0),
        (199, 1, False, 1.0),
        (200, 2, True, 0.0),
        (300, 2, False, 1.0),
        (351, 2, False, 1.0),
        (10**9, 2, False, 1.0),
    ],
)
def test_grows_by_images(images: int, level: int, fading: bool, alpha: float) -> None:
    for network in pair():
        assert network.advance(images) == (level, fading)
        assert (network.level, network.fading) == (level, fading)
        torch.testing.assert_close(network.alpha, torch.tensor(alpha))


def test_a_fade_of_no_images_is_a_step() -> None:
    generator, _ = pair(fade=0)
    assert [generator.advance(images) for images in (49, 50, 99, 100)] == [
        (0, False),
        (1, False),
        (1, False),
        (2, False),
    ]


@pytest.mark.parametrize("resolution", [8, 14, 16, 28, 32, 56, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_samples_have_the_full_resolution_at_every_level(resolution: int, channels: int) -> None:
    generator, discriminator = pair(resolution, channels)
    levels = len(generator.blocks)
    latents = torch.randn(3, 6)
    assert (generator.latent_size, generator.classes) == (6, 0)
    for level in range(levels):
        for images in (150 * level - 50, 150 * level):  # in a fade, and after it
            grown(generator, max(0, images)).eval()
            grown(discriminator, max(0, images))
            samples = generator(latents)
            assert samples.shape == (3, channels, resolution, resolution)
            factor = 2 ** (levels - 1 - level)
            blocks = interpolate(avg_pool2d(samples, factor), scale_factor=factor)
            torch.testing.assert_close(samples, blocks)
            assert discriminator(samples).shape == (3,)


def test_features_are_normalized_pixelwise() -> None:
    generator, _ = pair()
    seen: list[Tensor] = []
    for block in generator.blocks:
        block.register_forward_hook(lambda layer, args, output: seen.append(output))
    grown(generator, 1000)(100 * torch.randn(5, 6))
    assert [features.shape[2] for features in seen] == [4, 8, 16]
    for features in seen:
        squares = features.square().mean(dim=1)
        torch.testing.assert_close(squares, torch.ones_like(squares), rtol=1e-4, atol=0)


def test_the_start_is_table_2_s_convolution_of_a_single_pixel() -> None:
    torch.manual_seed(0)
    start = Generator(64, 28, 1, width=200).blocks[0][0]  # type: ignore[index]
    outputs = start(torch.randn(50, 64, 1, 1))
    assert outputs.shape == (50, 200, 7, 7)
    # Divided by He's constant of a window of 7*7 places, of which one meets the latent.
    assert outputs.std().item() == pytest.approx(2**0.5 / 7, rel=0.02)


def test_a_latent_s_length_does_not_matter() -> None:
    generator, _ = pair()
    latents = torch.randn(5, 6)
    torch.testing.assert_close(generator(latents), generator(7 * latents))


def test_the_discriminator_sees_no_more_than_its_level() -> None:
    _, discriminator = pair()
    samples = torch.randn(4, 2, 16, 16)
    averaged = interpolate(avg_pool2d(samples, 2), scale_factor=2)
    grown(discriminator, 150)  # 8x8
    torch.testing.assert_close(discriminator(samples), discriminator(averaged))
    grown(discriminator, 300)
    assert (discriminator(samples) - discriminator(averaged)).abs().max() > 1e-3


@pytest.mark.parametrize("end", [150, 300])
@pytest.mark.parametrize("training", [False, True])
def test_outputs_are_continuous_across_the_end_of_a_fade(end: int, training: bool) -> None:
    generator, discriminator = (network.train(training) for network in pair())
    latents, samples = torch.randn(8, 6), torch.randn(8, 2, 16, 16)

    def outputs(images: int) -> tuple[Tensor, Tensor]:
        generator.advance(images)
        discriminator.advance(images)
        return generator(latents), discriminator(samples)

    after, halfway = outputs(end), outputs(end - 50)
    last = outputs(end - 1)
    # The generator's is linear in alpha: a hundredth of the way is left.
    torch.testing.assert_close(after[0] - last[0], (after[0] - halfway[0]) / 50, rtol=0, atol=1e-6)
    assert (after[0] - halfway[0]).abs().max() > 0.01
    for now, before, long_before in zip(after, last, halfway, strict=True):
        assert (now - before).abs().max() < (now - long_before).abs().max() / 25


@pytest.mark.parametrize("start", [50, 200])
def test_outputs_are_continuous_across_the_start_of_a_fade(start: int) -> None:
    generator, discriminator = (network.eval() for network in pair())
    latents, samples = torch.randn(8, 6), torch.randn(8, 2, 16, 16)
    before = grown(generator, start - 1)(latents), grown(discriminator, start - 1)(samples)
    after = grown(generator, start)(latents), grown(discriminator, start)(samples)
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("images", [100, 230])
def test_a_pass_of_the_discriminator_in_a_fade_is_the_paper_s(images: int) -> None:
    generator, discriminator = pair()
    generator.advance(images)
    level, _ = discriminator.advance(images)
    alpha = (images - 50) % 150 / 100
    latents, real = torch.randn(8, 6), torch.randn(8, 2, 16, 16)

    def papers(samples: Tensor) -> Tensor:
        """Figure 2's right half, on samples of the level's side."""
        coarse = discriminator.from_samples[level - 1](avg_pool2d(samples, 2))
        fine = discriminator.blocks[level](discriminator.from_samples[level](samples))
        features = (1 - alpha) * coarse + alpha * fine
        for below in reversed(range(level)):
            features = discriminator.blocks[below](features)
        logits: Tensor = discriminator.head(features)["logits"]
        return logits

    def shrunk(samples: Tensor) -> Tensor:
        return avg_pool2d(samples, 16 // (4 * 2**level))

    # The generator's sum of two resolutions, as it is seen in evaluation.
    fake = generator.eval()(latents)
    torch.testing.assert_close(
        discriminator(generator.train()(latents)), papers(shrunk(fake)), rtol=1e-4, atol=1e-5
    )
    # The real samples, "similarly to how the generator output combines two resolutions".
    fine = shrunk(real)
    coarse = interpolate(avg_pool2d(fine, 2), scale_factor=2)
    torch.testing.assert_close(
        discriminator(real), papers((1 - alpha) * coarse + alpha * fine), rtol=1e-4, atol=1e-5
    )


def test_goes_on_in_the_middle_of_a_fade() -> None:
    latents, samples = torch.randn(4, 6), torch.randn(4, 2, 16, 16)
    networks = pair()
    for network, given in zip(networks, (latents, samples), strict=True):
        network.advance(230)
        other = deepcopy(network)
        nn.init.normal_(next(other.parameters()))
        other.advance(0)
        other.load_state_dict(network.state_dict())
        assert (other.level, other.fading, other.alpha) == (2, True, torch.tensor(0.3))
        assert torch.equal(other(given), network(given))
    # As a part of something else, under its prefix.
    whole, again = nn.ModuleList(networks), nn.ModuleList(pair())
    again.load_state_dict(whole.state_dict())
    assert torch.equal(again[0](latents), whole[0](latents))


def trained(networks: tuple[Generator, Discriminator], images: int) -> set[str]:
    """The parameters that gradients reach."""
    generator, discriminator = networks
    for network in networks:
        network.advance(images)
        network.zero_grad()
    discriminator(generator(torch.randn(8, 6))).square().sum().backward()
    names = chain(*(network.named_parameters(str(n)) for n, network in enumerate(networks)))
    return {name for name, value in names if value.grad is not None and value.grad.abs().sum() > 0}


def test_gradients_reach_a_level_when_its_time_has_come() -> None:
    networks = pair()
    names = chain(*(network.named_parameters(str(n)) for n, network in enumerate(networks)))
    states = {images: trained(networks, images) for images in (0, 100, 160, 250, 400)}
    assert set().union(*states.values()) == {name for name, _ in names}

    def levels(images: int, part: str) -> set[str]:
        return {name.split(".")[2] for name in states[images] if f".{part}." in name}

    for part in ("blocks",):
        assert [levels(images, part) for images in states] == [
            {"0"},
            {"0", "1"},
            {"0", "1"},
            {"0", "1", "2"},
            {"0", "1", "2"},
        ]
    for part in ("to_samples", "from_samples"):
        assert [levels(images, part) for images in states] == [
            {"0"},
            {"0", "1"},
            {"1"},
            {"1", "2"},
            {"2"},
        ]
    generator, _ = networks
    trained(networks, 0)
    assert all(value.grad is None for value in generator.blocks[1:].parameters())


@pytest.mark.parametrize("images", [100, 400])
def test_gradients_can_be_differentiated_again(images: int) -> None:
    _, discriminator = pair()
    discriminator.advance(images)
    samples = torch.randn(4, 2, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(samples).sum(), samples, create_graph=True)
    gradient.square().sum().backward()  # type: ignore[no-untyped-call]
    weights = [value for value in discriminator.blocks[0].parameters() if value.ndim > 1]
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in weights)


@pytest.mark.parametrize("images", [100, 400])
def test_runs_in_bfloat16_and_channels_last(images: int) -> None:
    generator, discriminator = (n.to(memory_format=torch.channels_last) for n in pair())
    generator.advance(images)
    discriminator.advance(images)
    latents = torch.randn(4, 6)
    full = discriminator(generator(latents))
    with torch.autocast("cpu", torch.bfloat16):
        half = discriminator(generator(latents))
    torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0.05)


def test_a_conditional_head_takes_labels() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(8, 1, 4, head=partial(Projection, classes=3))
    samples = torch.randn(2, 1, 8, 8)
    verdict = discriminator.examine(samples, torch.tensor([0, 1]))
    assert verdict["features"].shape == (2, 4)
    others = discriminator(samples, torch.tensor([0, 2]))
    assert verdict["logits"][0] == others[0]
    assert verdict["logits"][1] != others[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 30}, r"data\.resolution=30 .* model=progan"),
        ({"fade": -1}, r"model\.fade=-1"),
        ({"stable": 0}, r"model\.stable=0"),
    ],
)
def test_refuses(arguments: dict[str, int], message: str) -> None:
    given: dict[str, Any] = {"resolution": 28, "channels": 1} | arguments
    with pytest.raises(ValueError, match=message):
        Generator(10, **given)
    with pytest.raises(ValueError, match=message):
        Discriminator(**given)
