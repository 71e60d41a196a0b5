from copy import deepcopy
from functools import partial
from itertools import chain

import pytest
import torch
from torch import nn

from touchstone.networks.equalized import equalized
from touchstone.networks.heads import Projection
from touchstone.networks.resampling import Upsample
from touchstone.networks.stylegan2 import Discriminator, Double, Generator, Same, Styled


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_generator_has_configuration_f_s_parameters() -> None:
    # A layer from n to m channels has 3*3*n*m + m + 1 weights, biases and noise's strength, and a
    # style of 513*n; what makes a sample of n channels has 3*n + 3, and a style of 513*n.
    # mapping 8 * (512*512 + 512)                                  =  2,101,248
    # constant 4*4*512                                             =      8,192
    # 4: 2,359,809 + 262,656; sample 264,195                       =  2,886,660
    # 8 to 64: 4 * (2 * (2,359,809 + 262,656) + 264,195)           = 22,036,500
    # 128: 1,179,905 + 262,656; 590,081 + 131,328; 132,099         =  2,296,069
    # 256: 295,041 + 131,328; 147,585 + 65,664; 66,051             =    705,669
    with torch.device("meta"):
        assert count(Generator(512, 256, 3, width=512)) == 30_034_338
    # 512: 73,793 + 65,664; 36,929 + 32,832; 33,027                =    242,245
    # 1024: 18,465 + 32,832; 9,249 + 16,416; 16,515                =     93,477
    # The paper's table 6 says 30M.
    with torch.device("meta"):
        assert count(Generator(512, 1024, 3, width=512)) == 30_034_338 + 242_245 + 93_477


def test_discriminator_has_configuration_f_s_parameters() -> None:
    # A block from n to m channels has 3*3*(n*n + n*m) + n + m and the shortcut's n*m.
    # from samples (3 + 1) * 128                                   =        512
    # 256: 9 * (128*128 + 128*256) + 128 + 256 + 128*256           =    475,520
    # 128: 9 * (256*256 + 256*512) + 256 + 512 + 256*512           =  1,901,312
    # 64 to 8: 4 * (9 * 2 * 512*512 + 2*512 + 512*512)             = 19,927,040
    # 4: 3*3 * 513*512 + 512                                       =  2,364,416
    # dense 4*4*512 * 512 + 512; 512 + 1                           =  4,195,329
    with torch.device("meta"):
        assert count(Discriminator(256, 3, width=512)) == 28_864_129
    # 512: 9 * (64*64 + 64*128) + 64 + 128 + 64*128                =    118,976
    # 1024: 9 * (32*32 + 32*64) + 32 + 64 + 32*64                  =     29,792
    # from samples (3 + 1) * (32 - 128)                            =       -384
    # The paper says 29M.
    with torch.device("meta"):
        assert count(Discriminator(1024, 3, width=512)) == 28_864_129 + 118_976 + 29_792 - 384


def pair(
    resolution: int = 16, channels: int = 2, classes: int = 0
) -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    generator = Generator(6, resolution, channels, 4, classes, mapping=2)
    # Noise's strength is 0 at the start.
    for layer in generator.modules():
        if isinstance(layer, Styled):
            nn.init.constant_(layer.strength, 0.1)
    return generator, Discriminator(resolution, channels, 4)


@pytest.mark.parametrize("resolution", [8, 14, 16, 28, 32, 56, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(resolution: int, channels: int) -> None:
    generator, discriminator = pair(resolution, channels)
    samples = generator(torch.randn(5, 6))
    assert (generator.latent_size, generator.classes) == (6, 0)
    assert samples.shape == (5, channels, resolution, resolution)
    assert discriminator(samples).shape == (5,)
    assert discriminator.examine(samples)["features"].shape == (5, 4)


@pytest.mark.parametrize(("convolve", "factor"), [(Same(), 1), (Double(), 2)])
def test_demodulation_is_equations_1_to_3(convolve: nn.Module, factor: int) -> None:
    torch.manual_seed(0)
    layer = equalized(Styled(6, 3, 5, 8, convolve)).eval()
    nn.init.constant_(layer.strength, 0.3)
    nn.init.normal_(layer.bias)
    features, styles = torch.randn(4, 3, 8 // factor, 8 // factor), torch.randn(4, 6)
    outputs = layer(features, styles)
    for sample in range(4):
        s = layer.affine(styles[sample])
        modulated = s[None, :, None, None] * layer.weight
        sigma = (modulated.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        convolved = convolve(features[sample : sample + 1], modulated / sigma)
        biased = convolved + 0.3 * layer.noise + layer.bias[:, None, None]
        expected = torch.where(biased > 0, biased, 0.2 * biased) * 2**0.5
        torch.testing.assert_close(outputs[sample : sample + 1], expected)


def test_a_convolution_that_is_the_identity_upsamples() -> None:
    features = torch.randn(2, 3, 4, 4)
    weight = nn.init.dirac_(torch.empty(3, 3, 3, 3))
    torch.testing.assert_close(Double()(features, weight), Upsample()(features))


@pytest.mark.parametrize("size", [0.1, 1.0, 10.0])
def test_features_keep_their_deviation_whatever_the_style(size: float) -> None:
    torch.manual_seed(0)
    layer = equalized(Styled(8, 64, 64, 32, Same()))
    features = layer(torch.randn(8, 64, 32, 32), size * torch.randn(8, 8))[:, :, 1:-1, 1:-1]
    # LeakyReLU with its gain leaves N(0, 1) a mean square of 2 * (1 + 0.2²) / 2 = 1.04.
    assert features.square().mean().item() == pytest.approx(1.04, rel=0.02)


def test_evaluation_has_no_randomness_and_training_has() -> None:
    generator, _ = pair()
    latents = torch.randn(3, 6)
    assert (generator(latents) - generator(latents)).abs().max() > 1e-3
    generator.eval()
    assert torch.equal(generator(latents), generator(latents))
    again, _ = pair()
    again.load_state_dict(generator.state_dict())
    assert torch.equal(again.eval()(latents), generator(latents))


def test_most_samples_have_two_styles_in_training() -> None:
    torch.manual_seed(0)
    generator = Generator(6, 16, 1, width=4)
    assert generator.layers == 6
    number = 20_000
    styles = generator.styles(torch.randn(number, 6))
    assert styles.shape == (number, 6, 6)
    as_first = (styles == styles[:, :1]).all(dim=2)
    # From the crossover on, no layer has the first style.
    assert torch.equal(as_first, as_first.cumprod(dim=1).bool())
    lengths = as_first.sum(dim=1)
    shares = torch.bincount(lengths, minlength=7)[1:] / number
    # Probability 0.9, the crossover after 1 to 5 layers: five deviations of 0.0027.
    expected = torch.tensor([0.18, 0.18, 0.18, 0.18, 0.18, 0.1])
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.0135)
    generator.mixing = 0.0
    styles = generator.styles(torch.randn(50, 6))
    assert torch.equal(styles, styles[:, :1].expand_as(styles))


def test_styles_are_averaged_in_training_and_truncated_towards_it() -> None:
    generator, _ = pair()
    latents = torch.randn(10, 6)
    mapped = generator.mapping(latents)
    generator(latents)
    average = generator.w_average
    torch.testing.assert_close(average, 0.005 * mapped.mean(dim=0))
    generator.eval()
    styles = generator.styles
    torch.testing.assert_close(styles(latents)[:, 3], mapped)
    generator.truncation = 0.7
    expected = average + 0.7 * (mapped - average)
    torch.testing.assert_close(styles(latents)[:, 3], expected)
    generator.truncation = 0.0
    samples = generator(latents)
    torch.testing.assert_close(samples, samples[:1].expand_as(samples))


def test_a_conditional_generator_makes_what_it_is_told() -> None:
    generator, _ = pair(classes=3)
    generator.eval()
    latents = torch.randn(2, 6)
    samples = generator(latents, torch.tensor([0, 1]))
    others = generator(latents, torch.tensor([0, 2]))
    assert torch.equal(samples[0], others[0])
    assert (samples[1] - others[1]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="3 classes: it needs labels"):
        generator(latents)


def test_a_conditional_head_takes_labels() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(8, 1, 4, head=partial(Projection, classes=3))
    samples = torch.randn(2, 1, 8, 8)
    logits = discriminator(samples, torch.tensor([0, 1]))
    others = discriminator(samples, torch.tensor([0, 2]))
    assert logits[0] == others[0]
    assert logits[1] != others[1]


def test_gradients_reach_every_parameter() -> None:
    networks = pair()
    generator, discriminator = networks
    discriminator(generator(torch.randn(8, 6))).square().sum().backward()
    for name, value in chain(*(network.named_parameters() for network in networks)):
        assert value.grad is not None, name
        assert value.grad.abs().sum() > 0, name


def test_gradients_of_the_discriminator_can_be_differentiated_again() -> None:
    _, discriminator = pair()
    samples = torch.randn(4, 2, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(samples).sum(), samples, create_graph=True)
    gradient.square().sum().backward()  # type: ignore[no-untyped-call]
    weights = [value for value in discriminator.parameters() if value.ndim > 1]
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in weights)


def test_runs_in_bfloat16_and_channels_last() -> None:
    generator, discriminator = (n.to(memory_format=torch.channels_last).eval() for n in pair())
    latents = torch.randn(4, 6)
    full = discriminator(generator(latents))
    with torch.autocast("cpu", torch.bfloat16):
        half = discriminator(generator(latents))
    torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0.05)


def test_a_copy_is_independent() -> None:
    generator, _ = pair()
    copy = deepcopy(generator)
    latents = torch.randn(4, 6)
    copy.eval()
    before = copy(latents)
    with torch.no_grad():
        for value in generator.parameters():
            value.zero_()
    assert torch.equal(copy(latents), before)


@pytest.mark.parametrize("resolution", [0, 4, 30, 48])
def test_refuses_other_resolutions(resolution: int) -> None:
    message = rf"data\.resolution={resolution} .* model=stylegan2"
    with pytest.raises(ValueError, match=message):
        Generator(10, resolution, 1)
    with pytest.raises(ValueError, match=message):
        Discriminator(resolution, 1)
