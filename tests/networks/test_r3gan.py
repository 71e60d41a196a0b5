from functools import partial
from math import sqrt

import pytest
import torch
from torch import nn
from torch.autograd import grad
from torch.nn import functional

from touchstone.networks.heads import Projection
from touchstone.networks.r3gan import Block, Discriminator, Generator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# A block of width w: 1x1 w*2w + 2w, grouped 3*3*16*2w + 2w, 1x1 2w*w = 4w^2 + 292w:
# 2,583,552 for 768, 701,952 for 384, 203,520 for 192 and 64,896 for 96. At 256x256 four sides have
# 768: 2 * (4 * 2,583,552 + 701,952 + 203,520 + 64,896)             = 22,609,152
# 1x1 between sides: 768*384 + 384*192 + 192*96                     =    387,072


def test_the_paper_s_generator_has_its_23_06_million_parameters() -> None:
    with torch.device("meta"):
        generator = Generator(64, 256, 3)
    # basis 4*4*768, dense 64*768, 1x1 96*3                         =     61,728
    assert count(generator) == 22_609_152 + 387_072 + 61_728 == 23_057_952


def test_the_paper_s_discriminator_has_its_23_01_million_parameters() -> None:
    with torch.device("meta"):
        discriminator = Discriminator(256, 3)
    # 1x1 3*96, depthwise 4*4*768, dense 768, and 1 of the head's bias = 13,345
    assert count(discriminator) == 22_609_152 + 387_072 + 13_345 == 23_009_569


@pytest.mark.parametrize(
    ("resolution", "width"), [(28, 16), (32, 16), (64, 16), (128, 32), (256, 64)]
)
def test_shapes(resolution: int, width: int) -> None:
    torch.manual_seed(0)
    generator = Generator(8, resolution, 3, width=width)
    with torch.no_grad():
        samples = generator(torch.randn(2, 8))
        assert samples.shape == (2, 3, resolution, resolution)
        assert samples.abs().max() > 1
        assert generator.eval()(torch.randn(2, 8)).abs().max() == 1
        verdict = Discriminator(resolution, 3, width=width).examine(samples)
    assert verdict["features"].shape == (2, width)
    assert verdict["logits"].shape == (2,)


def test_28_is_32_without_its_margin() -> None:
    torch.manual_seed(0)
    whole, cropped = (Generator(8, side, 1, width=8) for side in (32, 28))
    cropped.load_state_dict(whole.state_dict())
    latents = torch.randn(2, 8)
    torch.testing.assert_close(cropped(latents), whole(latents)[:, :, 2:30, 2:30])
    seeing, blind = (Discriminator(side, 1, width=8) for side in (32, 28))
    blind.load_state_dict(seeing.state_dict())
    samples = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(blind(samples), seeing(functional.pad(samples, (2,) * 4)))


def test_a_block_starts_as_the_identity() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 16, 5, 5)
    assert Block(16, branches=8)(features).equal(features)


def test_a_block_worked_out_by_hand() -> None:
    # Of features of -1, 1x1 weights of 1 over 8 channels make -8, slope 0.2 -1.6, 3x3 windows over
    # 16 channels of a single place (the middle) -25.6, slope -5.12, 1x1 over 16 -81.92, and -1.
    block = Block(8, branches=8)
    for name, parameter in block.named_parameters():
        nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
    features = block(-torch.ones(1, 8, 1, 1))
    torch.testing.assert_close(features, torch.full((1, 8, 1, 1), -82.92))


def test_weights_are_drawn_with_fix_up() -> None:
    # Four sides of two blocks: L = 8, and L^(-1/4) = 0.5946; the gain of the slope sqrt(2 / 1.04).
    torch.manual_seed(0)
    discriminator = Discriminator(32, 3, width=64)
    gain = sqrt(2 / 1.04) * 8**-0.25
    blocks = [module for module in discriminator.modules() if isinstance(module, Block)]
    assert len(blocks) == 8
    for block in blocks:
        first, grouped, last = (m for m in block.branch if isinstance(m, nn.Conv2d))
        for layer, inputs in ((first, 64), (grouped, 9 * 16)):
            tolerance = 5 / sqrt(2 * layer.weight.numel())
            assert layer.weight.std().item() == pytest.approx(gain / sqrt(inputs), rel=tolerance)
        assert grouped.groups == 8
        assert last.weight.abs().max() == 0
        assert last.bias is None


def test_sides_change_by_bilinear_resampling() -> None:
    generator, discriminator = Generator(8, 32, 1, width=8), Discriminator(32, 1, width=8)
    # Between pixel middles 0 and 4 of a row, at a quarter and three quarters: 1 and 3.
    row = torch.tensor([0.0, 4.0]).expand(1, 8, 2, 2)
    up = generator.layers[2](row)
    torch.testing.assert_close(up[0, 0, 1], torch.tensor([0.0, 1.0, 3.0, 4.0]))
    down = discriminator.layers[3](row)
    torch.testing.assert_close(down, torch.full((1, 8, 1, 1), 2.0))


def test_classes() -> None:
    torch.manual_seed(0)
    generator = Generator(8, 32, 1, width=8, classes=3)
    latents = torch.randn(1, 8).expand(3, 8)
    samples = generator(latents, torch.arange(3))
    assert len(samples.unique(dim=0)) == 3
    discriminator = Discriminator(32, 1, width=8, head=partial(Projection, classes=3))
    assert discriminator(samples, torch.arange(3)).shape == (3,)
    with pytest.raises(ValueError, match="labels"):
        generator(latents)


def test_gradients_and_penalties_reach_every_parameter() -> None:
    torch.manual_seed(0)
    generator = Generator(8, 28, 1, width=8)
    discriminator = Discriminator(28, 1, width=8)
    for network in (generator, discriminator):
        for module in network.modules():
            if isinstance(module, Block):  # the zeros stop gradients at first
                for parameter in module.branch[4].parameters():
                    nn.init.normal_(parameter)
    samples = generator(torch.randn(2, 8))
    (gradient,) = grad(discriminator(samples).sum(), samples, create_graph=True)
    (gradient.square().sum() + discriminator(samples).sum()).backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_refuses_what_it_does_not_make() -> None:
    with pytest.raises(ValueError, match=r"data\.resolution=48 .* model=r3gan.* 28, 32, 64, 128"):
        Generator(8, 48, 1)
    with pytest.raises(ValueError, match=r"model\.width=12 .* multiple of 8"):
        Discriminator(32, 1, width=12)
    with pytest.raises(ValueError, match=r"model\.width=96 .* multiple of 64"):
        Generator(8, 256, 1, width=96)
    with pytest.raises(ValueError, match=r"model\.normalization=spectral .* model=r3gan"):
        Discriminator(32, 1, normalization="spectral")
