import pytest
import torch
from torch import nn

from touchstone.networks.article import Discriminator, Generator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_generator_has_the_article_s_parameters() -> None:
    # dense 100 * 7*7*256                   = 1,254,400
    # batch norm 2 * 12,544                 =    25,088
    # 5*5 * (256*128 + 128*64 + 64*1)       = 1,025,600
    # batch norms 2 * (128 + 64)            =       384
    assert count(Generator(100, 28, 1)) == 2_305_472


def test_discriminator_has_the_article_s_parameters() -> None:
    # 5*5*1*64 + 64                         =     1,664
    # 5*5*64*128 + 128                      =   204,928
    # dense 7*7*128 + 1                     =     6,273
    assert count(Discriminator(28, 1)) == 212_865


@pytest.mark.parametrize(("resolution", "channels"), [(4, 1), (28, 1), (32, 3), (36, 2)])
def test_shapes_and_range(resolution: int, channels: int) -> None:
    torch.manual_seed(0)
    generator = Generator(10, resolution, channels, width=4)
    with torch.no_grad():
        samples = generator(10 * torch.randn(6, 10))
    assert generator.latent_size == 10
    assert samples.shape == (6, channels, resolution, resolution)
    assert samples.abs().max() <= 1
    assert samples.min() < -0.1
    assert samples.max() > 0.1
    assert Discriminator(resolution, channels, width=4)(samples).shape == (6,)


def test_logit_worked_out_by_hand() -> None:
    # Weights 1, biases 0, a 4x4 sample of -1. The first convolution's 2x2 windows hold 3*3, 3*4,
    # 4*3 and 4*4 pixels: -49 in all, -14.7 after the slope of 0.3. The second's one window holds
    # them all: -14.7 in each of two channels, -4.41 after the slope; together -8.82.
    discriminator = Discriminator(4, 1, width=1).eval()
    for name, parameter in discriminator.named_parameters():
        nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
    logit = discriminator(-torch.ones(1, 1, 4, 4))
    torch.testing.assert_close(logit, torch.tensor([-8.82]), rtol=1e-6, atol=0)


def test_the_dense_layer_s_units_are_rectified_and_then_normalized() -> None:
    torch.manual_seed(0)
    units = Generator(10, 8, 1, width=2).start(torch.randn(500, 10))
    torch.testing.assert_close(units.mean(0), torch.zeros(32), rtol=0, atol=1e-5)
    torch.testing.assert_close(units.var(0, correction=0), torch.ones(32), rtol=0, atol=1e-2)
    # A rectified unit's values lie askew, which a normalized unit that is rectified does not undo.
    assert (units**3).mean() > 0.5


def test_dropout_acts_in_training_alone() -> None:
    torch.manual_seed(0)
    samples = torch.randn(4, 1, 28, 28)
    discriminator = Discriminator(28, 1, width=4)
    assert not torch.equal(discriminator(samples), discriminator(samples))
    discriminator.eval()
    assert torch.equal(discriminator(samples), discriminator(samples))
    without = Discriminator(28, 1, width=4, dropout=0.0)
    assert torch.equal(without(samples), without(samples))


def test_the_share_of_dropped_activations() -> None:
    torch.manual_seed(0)
    dropouts = [m for m in Discriminator(28, 1).modules() if isinstance(m, nn.Dropout)]
    assert len(dropouts) == 2
    for dropout in dropouts:
        dropped = (dropout(torch.ones(100_000)) == 0).float().mean()
        assert 0.29 < dropped < 0.31


@pytest.mark.parametrize("resolution", [0, 2, 27, 30])
def test_refuses_a_resolution_that_4_does_not_divide(resolution: int) -> None:
    with pytest.raises(ValueError, match=rf"data\.resolution={resolution} .* model=article"):
        Generator(10, resolution, 1)
    with pytest.raises(ValueError, match=rf"data\.resolution={resolution} .* model=article"):
        Discriminator(resolution, 1)


def test_names_the_nearest_resolutions() -> None:
    with pytest.raises(ValueError, match="nearest are 28 and 32"):
        Generator(10, 30, 1)
