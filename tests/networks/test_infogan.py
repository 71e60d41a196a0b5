import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from touchstone.networks.heads import Codes
from touchstone.networks.infogan import Discriminator, Generator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_table_1_s_generator_has_its_parameters() -> None:
    with torch.device("meta"):
        generator = Generator(74, 28, 1)
    # dense 74*1024, batch norm 2*1024                             =    77,824
    # dense 1024*7*7*128, batch norm 2*6272                        = 6,435,072
    # upconv 4*4*128*64, batch norm 2*64                           =   131,200
    # upconv 4*4*64*1 + 1                                          =     1,025
    assert count(generator) == 6_645_121


def test_table_1_s_discriminator_has_its_parameters() -> None:
    with torch.device("meta"):
        discriminator = Discriminator(28, 1, head=partial(Codes, categories=10, continuous=2))
    # conv 4*4*1*64 + 64                                           =     1,088
    # conv 4*4*64*128, batch norm 2*128                            =   131,328
    # dense 7*7*128*1024, batch norm 2*1024                        = 6,424,576
    # D: 1024 + 1                                                  =     1,025
    # Q: 1024*128 + 128, 128*12 + 12 (its batch norm left out)     =   132,748
    assert count(discriminator) == 6_690_765


@pytest.mark.parametrize(("resolution", "channels"), [(8, 1), (28, 1), (32, 3)])
def test_shapes_and_range(resolution: int, channels: int) -> None:
    torch.manual_seed(0)
    generator = Generator(20, resolution, channels, width=2)
    with torch.no_grad():
        list(generator.parameters())[-2].mul_(1000)  # the last weight
        samples = generator(torch.randn(6, 20))
    assert samples.shape == (6, channels, resolution, resolution)
    assert samples.abs().max() <= 1
    assert samples.min() < -0.9
    assert samples.max() > 0.9
    head = partial(Codes, categories=10, continuous=2)
    verdict = Discriminator(resolution, channels, width=2, head=head).examine(samples)
    assert {name: tuple(value.shape) for name, value in verdict.items()} == {
        "features": (6, 32),
        "logits": (6,),
        "categories": (6, 10),
        "continuous": (6, 2),
    }


def test_only_the_order_of_the_category_s_numbers_counts() -> None:
    torch.manual_seed(0)
    generator = Generator(20, 8, 1, width=2).eval()
    latents = torch.randn(3, 20)
    other = latents.clone()
    other[:, :10] *= 3
    assert generator(other).equal(generator(latents))
    other[:, 10] += 0.5
    assert (generator(other) - generator(latents)).flatten(1).abs().amax(dim=1).min() > 0


def test_latents_of_codes_are_followed_one_at_a_time() -> None:
    torch.manual_seed(0)
    generator = Generator(20, 8, 1, width=2)
    continuous = torch.tensor([[-0.9, 0.5], [0.0, 0.5], [0.9, 0.5]])
    noise = torch.randn(1, 8).expand(3, 8)
    latents = generator.latents_of(torch.tensor([4, 4, 4]), continuous, noise)
    assert generator.codes(latents)[0].tolist() == [4, 4, 4]
    torch.testing.assert_close(generator.codes(latents)[1], continuous)


@pytest.mark.parametrize("normalization", ["none", "batch", "layer", "spectral"])
def test_trains_with_its_codes(normalization: str) -> None:
    torch.manual_seed(0)
    generator = Generator(20, 8, 1, width=2)
    head = partial(Codes, categories=10, continuous=2, hidden=8)
    discriminator = Discriminator(8, 1, 2, normalization, head)
    latents = torch.randn(6, 20)
    verdict = discriminator.examine(generator(latents))
    category, continuous = generator.codes(latents)
    bound = cross_entropy(verdict["categories"], category)
    loss = bound + mse_loss(verdict["continuous"], continuous) + verdict["logits"].mean()
    loss.backward()  # type: ignore[no-untyped-call]
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_copies_and_states_give_the_same_samples() -> None:
    torch.manual_seed(0)
    generator, other = (Generator(20, 8, 1, width=2).eval() for _ in range(2))
    latents = torch.randn(3, 20)
    other.load_state_dict(generator.state_dict())
    assert other(latents).equal(generator(latents))
    assert copy.deepcopy(generator)(latents).equal(generator(latents))


@pytest.mark.parametrize("resolution", [0, 30])
def test_refuses_other_resolutions(resolution: int) -> None:
    with pytest.raises(ValueError, match=rf"data\.resolution={resolution} .* model=infogan"):
        Generator(20, resolution, 1)
    with pytest.raises(ValueError, match=rf"data\.resolution={resolution} .* model=infogan"):
        Discriminator(resolution, 1)


def test_refuses_latents_without_room_and_instance_normalization() -> None:
    with pytest.raises(ValueError, match="at least 12"):
        Generator(11, 28, 1)
    with pytest.raises(ValueError, match="model=infogan"):
        Discriminator(28, 1, normalization="instance")
