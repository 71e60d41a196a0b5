from functools import partial
from math import sqrt, tanh

import pytest
import torch
from torch import Tensor, nn

from touchstone.networks.checkpointing import Checkpointed
from touchstone.networks.heads import Auxiliary, Projection
from touchstone.networks.resnet import Discriminator, Generator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_table_4_s_generator_has_its_parameters() -> None:
    # dense 128 * 4*4*256 + 4,096                                  =   528,384
    # three blocks, each 2 * 3*3*256*256 + 256*256 + 2 * 2*256     = 3,738,624
    # batch norm 2*256, convolution 3*3*256*3 + 3                  =     7,427
    assert count(Generator(128, 32, 3, width=128)) == 4_274_435


def test_table_4_s_discriminator_has_its_parameters() -> None:
    # block down: 3*3*3*128 + 128 + 3*3*128*128 + 128 + 3*128+128  =   151,680
    # block down: 2 * (3*3*128*128 + 128) + 128*128 + 128          =   311,680
    # two blocks, each 2 * (3*3*128*128 + 128)                     =   590,336
    # dense 128 + 1                                                =       129
    assert count(Discriminator(32, 3, width=128)) == 1_053_825


def channels_through(network: Generator | Discriminator, inputs: Tensor) -> list[tuple[int, ...]]:
    """The channels and side after the dense layer or the first block, and after each block."""
    seen: list[tuple[int, ...]] = []
    for layer in network.layers:
        layer.register_forward_hook(lambda layer, args, output: seen.append((*output.shape[1:3],)))
    network(inputs)
    return seen


def test_table_5() -> None:
    width = 2  # for the paper's 64
    generator = channels_through(Generator(8, 48, 3, width), torch.randn(2, 8))
    assert generator[:3] == [(8, 12), (4, 24), (2, 48)]
    discriminator = channels_through(Discriminator(48, 3, width), torch.randn(2, 3, 48, 48))
    assert discriminator[:5] == [(2, 24), (4, 12), (8, 6), (16, 3), (32, 3)]


def test_table_6() -> None:
    width = 2  # for the paper's 64
    generator = channels_through(Generator(8, 128, 3, width), torch.randn(2, 8))
    assert generator[:5] == [(32, 8), (16, 16), (8, 32), (4, 64), (2, 128)]
    discriminator = channels_through(Discriminator(128, 3, width), torch.randn(2, 3, 128, 128))
    assert discriminator[:6] == [(2, 64), (4, 32), (8, 16), (16, 8), (32, 4), (32, 4)]


@pytest.mark.parametrize("resolution", [28, 32, 48, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_range(resolution: int, channels: int) -> None:
    torch.manual_seed(0)
    generator = Generator(10, resolution, channels, width=2)
    with torch.no_grad():
        samples = generator(torch.randn(4, 10))
    assert generator.latent_size == 10
    assert samples.shape == (4, channels, resolution, resolution)
    assert samples.abs().max() <= 1
    assert samples.min() < -0.5
    assert samples.max() > 0.5
    assert Discriminator(resolution, channels, width=2)(samples).shape == (4,)


def make_convolutions_the_identity(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)


@pytest.mark.parametrize(("pixel", "feature", "expected"), [(1.0, 16.0, 784.0), (-1.0, -1.0, 0.0)])
def test_logit_worked_out_by_hand(pixel: float, feature: float, expected: float) -> None:
    # With convolutions that are the identity each block maps f to relu(f) + f: 1 becomes 2, 4, 8,
    # 16 and sums to 7*7*16; -1 stays -1 up to the last ReLU.
    discriminator = Discriminator(28, 1, width=1, normalization="none")
    make_convolutions_the_identity(discriminator)
    nn.init.ones_(discriminator.get_parameter("head.logit.weight"))
    sample = torch.full((1, 1, 28, 28), pixel)
    features = discriminator.layers[:-1](sample)
    torch.testing.assert_close(features, torch.full((1, 1, 7, 7), feature))
    logit = discriminator(sample)
    torch.testing.assert_close(logit, torch.tensor([expected]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("feature", "expected"), [(0.1, tanh(0.4)), (-0.1, 0.0)])
def test_sample_worked_out_by_hand(feature: float, expected: float) -> None:
    # As above, through two blocks; batch normalization divides by sqrt(1 + 1e-5) in eval mode.
    generator = Generator(3, 28, 2, width=1).eval()
    make_convolutions_the_identity(generator)
    nn.init.zeros_(generator.start.weight)
    nn.init.constant_(generator.start.bias, feature)
    samples = generator(torch.randn(1, 3))
    torch.testing.assert_close(samples, torch.full((1, 2, 28, 28), expected), rtol=1e-4, atol=0)


def test_each_convolution_but_the_first_and_the_shortcuts_takes_normalized_features() -> None:
    discriminator = Discriminator(28, 3, width=4, normalization="layer")
    kinds = [type(m) for m in discriminator.modules() if isinstance(m, (nn.Conv2d, nn.GroupNorm))]
    first = [nn.Conv2d, nn.GroupNorm, nn.Conv2d, nn.Conv2d]
    down = [nn.GroupNorm, nn.Conv2d, nn.GroupNorm, nn.Conv2d, nn.Conv2d]
    flat = [nn.GroupNorm, nn.Conv2d, nn.GroupNorm, nn.Conv2d]
    assert kinds == first + down + flat + flat


def test_weights_are_drawn_after_glorot() -> None:
    # U(-a, a) with a = gain * sqrt(6 / (inputs + outputs)), a convolution's times its 9 places.
    torch.manual_seed(0)
    discriminator = Discriminator(32, 3, width=64, normalization="none")
    bounds = {value.shape: value.abs().max().item() for value in discriminator.parameters()}
    assert bounds[torch.Size([64, 64, 3, 3])] == pytest.approx(sqrt(2 * 6 / (9 * 128)), rel=1e-3)
    assert bounds[torch.Size([64, 64, 1, 1])] == pytest.approx(sqrt(6 / 128), rel=2e-3)
    assert bounds[torch.Size([64])] == 0


@pytest.mark.parametrize("resolution", [0, 16, 30, 56, 256])
def test_refuses_other_resolutions(resolution: int) -> None:
    message = rf"data\.resolution={resolution} .* model=resnet.* 28, 32, 48, 64, 128"
    with pytest.raises(ValueError, match=message):
        Generator(10, resolution, 1)
    with pytest.raises(ValueError, match=message):
        Discriminator(resolution, 1)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_checkpointing_is_a_choice_of_both_networks(checkpointing: bool) -> None:
    for network in (
        Generator(3, 28, 1, width=1, checkpointing=checkpointing),
        Discriminator(28, 1, width=1, checkpointing=checkpointing),
    ):
        assert isinstance(network.layers, Checkpointed) == checkpointing


def test_a_conditional_pair_has_a_scale_and_a_shift_and_a_row_more_for_each_class() -> None:
    # The generator of table 4 without the 2 * 2*256 of each of three blocks, 3,072, and with
    # 10 * 2 * 2*256 in their place: 4,274,435 - 3,072 + 30,720.
    # The discriminator's embedding: 1,053,825 + 10 * 128.
    with torch.device("meta"):
        assert count(Generator(128, 32, 3, width=128, classes=10)) == 4_302_083
        head = partial(Projection, classes=10)
        assert count(Discriminator(32, 3, width=128, head=head)) == 1_055_105


def test_labels_move_the_samples_of_their_own_class() -> None:
    torch.manual_seed(0)
    generator = Generator(3, 28, 2, width=2, classes=4).eval()
    latents, labels = torch.randn(1, 3).expand(4, 3), torch.arange(4)
    # By class all are as one at first.
    same = generator(latents, labels)
    torch.testing.assert_close(same, same[:1].expand_as(same))
    with torch.no_grad():
        for key, parameter in generator.named_parameters():
            if "shift" in key:
                parameter[2] += 1
    moved = (generator(latents, labels) - same).abs().amax(dim=(1, 2, 3))
    assert moved[2] > 0.01
    assert moved[[0, 1, 3]].max() == 0


def test_a_conditional_generator_needs_labels_which_another_ignores() -> None:
    latents = torch.randn(2, 3)
    with pytest.raises(ValueError, match="needs labels"):
        Generator(3, 28, 1, width=1, classes=4)(latents)
    generator = Generator(3, 28, 1, width=1).eval()
    assert torch.equal(generator(latents, torch.arange(2)), generator(latents))


def test_the_discriminator_ends_in_any_head() -> None:
    discriminator = Discriminator(28, 1, width=2, head=partial(Auxiliary, classes=4)).eval()
    samples = torch.randn(3, 1, 28, 28)
    verdict = discriminator.examine(samples)
    assert {name: tuple(value.shape) for name, value in verdict.items()} == {
        "features": (3, 2),
        "logits": (3,),
        "classes": (3, 4),
    }
    assert torch.equal(discriminator(samples), verdict["logits"])


def test_gradients_reach_every_parameter_of_a_conditional_pair() -> None:
    torch.manual_seed(0)
    generator = Generator(6, 28, 2, width=4, classes=5).double()
    discriminator = Discriminator(28, 2, width=4, head=partial(Projection, classes=5)).double()
    labels = torch.arange(10) % 5
    logits = discriminator(generator(torch.randn(10, 6).double(), labels), labels)
    (logits * torch.randn(10).double()).sum().backward()
    for network in (generator, discriminator):
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.abs().max() > 1e-9, key


def test_checkpointing_takes_no_labels() -> None:
    with pytest.raises(ValueError, match=r"model\.checkpointing=true .* head=logit"):
        Generator(3, 28, 1, width=1, checkpointing=True, classes=4)
