import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from touchstone.networks.attention import SelfAttention
from touchstone.networks.biggan import Discriminator, Generator
from touchstone.networks.heads import Projection


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def pair(resolution: int = 28) -> tuple[Generator, Discriminator]:
    """A small pair whose attention, where it has any, is no longer the identity."""
    torch.manual_seed(0)
    generator = Generator(60, resolution, 2, classes=5, width=2, embedding_size=7)
    discriminator = Discriminator(resolution, 2, width=2, head=partial(Projection, classes=5))
    for network in (generator, discriminator):
        for layer in network.modules():
            if isinstance(layer, SelfAttention):
                nn.init.constant_(layer.gamma, 0.5)
    return generator, discriminator


LABELS = torch.tensor([3, 0, 4, 3])


def test_table_4_s_generator_has_its_parameters() -> None:
    # The paper's table 1 has 158.3 million for both networks; here they have 158,407,430. With a
    # bias in the convolutions of its blocks, which batch normalization takes off again, the
    # generator would have 3 * 96 * (16 + 8 + 4 + 2 + 1) = 8,928 more: 70,433,988.
    # embedding 1,000 * 128                                               =    128,000
    # dense 20 * 4*4*1536 + 24,576                                        =    516,096
    # blocks of 9*i*o + 9*o*o + i*o, and of 148 * 2 * (i + o) to scales and shifts, for i, o =
    #   1536, 1536: 19 * 1536²                = 44,826,624, and   909,312 = 45,735,936
    #   1536, 768: 10,616,832 + 5,308,416 + 1,179,648, and 681,984        = 17,786,880
    #   768, 384: a quarter, 4,276,224, and 340,992                       =  4,617,216
    #   384, 192: 1,069,056, and 170,496                                  =  1,239,552
    #   192, 96: 267,264, and 85,248                                      =    352,512
    # attention at 192: 2 * 192*24 + 2 * 192*96 + 1                       =     46,081
    # batch norm 2*96, convolution 9*96*3 + 3                             =      2,787
    with torch.device("meta"):
        assert count(Generator(120, 128, 3, classes=1000, width=96)) == 70_425_060


def test_table_4_s_discriminator_has_its_parameters() -> None:
    # blocks of 9*i*o + 9*o*o + i*o + 3*o, for i, o =
    #   3, 96: 2,592 + 82,944 + 288 + 288                                 =     86,112
    #   96, 192: 165,888 + 331,776 + 18,432 + 576                         =    516,672
    #   192, 384: 663,552 + 1,327,104 + 73,728 + 1,152                    =  2,065,536
    #   384, 768: 2,654,208 + 5,308,416 + 294,912 + 2,304                 =  8,259,840
    #   768, 1536: 10,616,832 + 21,233,664 + 1,179,648 + 4,608            = 33,034,752
    #   1536, 1536, without a shortcut: 18 * 1536² + 3,072                = 42,470,400
    # attention at 96: 2 * 96*12 + 2 * 96*48 + 1                          =     11,521
    # dense 1,536 + 1, embedding 1,000 * 1,536                            =  1,537,537
    with torch.device("meta"):
        head = partial(Projection, classes=1000)
        assert count(Discriminator(128, 3, width=96, head=head)) == 87_982_370


def test_the_pair_for_cifar_10_has_its_parameters() -> None:
    # embedding 10 * 128, dense 32 * 4*4*256 + 4,096                      =    136,448
    # three blocks, each 19 * 256² + 160 * 2 * 512                        =  4,227,072
    # batch norm 2*256, convolution 9*256*3 + 3                           =      7,427
    with torch.device("meta"):
        assert count(Generator(128, 32, 3, classes=10, width=64)) == 4_370_947
    # 3, 256: 6,912 + 589,824 + 768 + 768                                 =    598,272
    # 256, 256, with a shortcut: 19 * 256² + 768                          =  1,245,952
    # two without: 2 * (18 * 256² + 512)                                  =  2,360,320
    # dense 256 + 1, embedding 10 * 256                                   =      2,817
    with torch.device("meta"):
        head = partial(Projection, classes=10)
        assert count(Discriminator(32, 3, width=64, head=head)) == 4_207_361


@pytest.mark.parametrize(
    ("resolution", "attending"), [(28, []), (32, []), (64, [32, 32]), (128, [64, 64])]
)
def test_shapes_range_and_the_place_of_attention(resolution: int, attending: list[int]) -> None:
    generator, discriminator = pair(resolution)
    seen: list[int] = []
    for network in (generator, discriminator):
        for layer in network.modules():
            if isinstance(layer, SelfAttention):
                layer.register_forward_hook(lambda layer, args, out: seen.append(out.shape[-1]))
    with torch.no_grad():
        samples = generator(torch.randn(4, 60), LABELS)
        verdict = discriminator.examine(samples, LABELS)
    assert seen == attending
    assert generator.latent_size == 60
    assert generator.classes == 5
    assert samples.shape == (4, 2, resolution, resolution)
    assert samples.abs().max() <= 1
    assert samples.std() > 0.05
    assert verdict["logits"].shape == (4,)
    assert verdict["features"].shape == (4, 32 if resolution >= 64 else 8)


def test_each_chunk_enters_at_its_own_level() -> None:
    # What a block is given first does not depend on the chunks of those after it.
    generator = pair()[0].eval()
    seen: list[Tensor] = []
    for block in generator.blocks:
        block.register_forward_pre_hook(lambda block, args: seen.append(args[0]))
    generator.end.register_forward_pre_hook(lambda end, args: seen.append(args[0]))
    latents = torch.randn(4, 60)
    generator(latents, LABELS)
    for chunk in range(3):
        changed = latents.clone()
        changed[:, 20 * chunk : 20 * chunk + 20] += 1
        generator(changed, LABELS)
        before, after = seen[:3], seen[-3:]
        same = [torch.equal(own, other) for own, other in zip(before, after, strict=True)]
        assert same == [level < chunk for level in range(3)]


def test_the_blocks_share_the_embedding_and_the_first_layer_has_none() -> None:
    generator = pair()[0].eval()
    latents = torch.randn(4, 60)
    starts: list[Tensor] = []
    generator.start.register_forward_hook(lambda start, args, out: starts.append(out))
    samples = generator(latents, LABELS)
    others = generator(latents, torch.tensor([3, 0, 4, 1]))
    assert torch.equal(*starts)
    assert torch.equal(samples[:3], others[:3])
    assert (samples[3] - others[3]).abs().max() > 1e-4
    tables = [layer for layer in generator.modules() if isinstance(layer, nn.Embedding)]
    assert [table.weight.shape for table in tables] == [(5, 7)]
    with pytest.raises(ValueError, match="needs labels"):
        generator(latents)


def test_weights_start_orthogonal() -> None:
    # Spectral normalization leaves them so: their singular values are 1 already.
    for network in pair(64):
        for layer in network.eval().modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Embedding)):
                values = torch.linalg.svdvals(layer.weight.flatten(1))
                torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=1e-4)


def test_spectral_normalization_is_of_all_but_the_generator_s_embedding() -> None:
    matrices = [
        [key for key, parameter in network.named_parameters() if parameter.ndim > 1]
        for network in pair(64)
    ]
    plain = [[key for key in keys if "parametrizations" not in key] for keys in matrices]
    assert plain == [["embedding.weight"], []]
    assert min(len(keys) for keys in matrices) > 20


def test_gradients_reach_every_parameter_of_both() -> None:
    generator, discriminator = (network.double() for network in pair(64))
    labels = torch.arange(10) % 5
    logits = discriminator(generator(torch.randn(10, 60).double(), labels), labels)
    (logits * torch.randn(10).double()).sum().backward()
    for network in (generator, discriminator):
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.abs().max() > 1e-9, key


@pytest.mark.parametrize("resolution", [28, 64])
def test_a_step_with_a_gradient_penalty_in_mixed_precision_and_channels_last(
    resolution: int,
) -> None:
    generator, discriminator = (
        network.to(memory_format=torch.channels_last) for network in pair(resolution)
    )
    with torch.autocast("cpu", torch.bfloat16):
        fake = generator(torch.randn(4, 60), LABELS)
        logits = discriminator(fake, LABELS)
    leaf = fake.detach().float().requires_grad_()
    score = discriminator(leaf, LABELS).sum()
    (gradient,) = torch.autograd.grad(score, leaf, create_graph=True)
    (logits.float().mean() + gradient.square().sum()).backward()
    for network in (generator, discriminator):
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key


def test_a_copy_and_a_stored_state_go_on_bit_for_bit() -> None:
    arguments = ((torch.randn(4, 60), LABELS), (torch.randn(4, 2, 28, 28), LABELS))
    for network, fresh, inputs in zip(pair(), pair(), arguments, strict=True):
        network(*inputs)
        copied = copy.deepcopy(network)
        fresh.load_state_dict(network.state_dict())
        for training in (True, False):
            expected = network.train(training)(*inputs)
            assert torch.equal(copied.train(training)(*inputs), expected)
            assert torch.equal(fresh.train(training)(*inputs), expected)


@pytest.mark.parametrize("resolution", [0, 16, 30, 48, 256])
def test_refuses_other_resolutions(resolution: int) -> None:
    message = rf"data\.resolution={resolution} .* model=biggan.* 28, 32, 64, 128"
    with pytest.raises(ValueError, match=message):
        Generator(120, resolution, 1, classes=10)
    with pytest.raises(ValueError, match=message):
        Discriminator(resolution, 1)


@pytest.mark.parametrize(
    ("latent_size", "resolution", "nearest"),
    [(128, 28, "3 .* are 126 and 129"), (2, 32, "4 .* are 4"), (0, 64, "5 .* are 5")],
)
def test_refuses_a_latent_that_does_not_split(
    latent_size: int, resolution: int, nearest: str
) -> None:
    message = rf"model\.latent_size={latent_size} .* in {nearest}\."
    with pytest.raises(ValueError, match=message):
        Generator(latent_size, resolution, 1, classes=10)


def test_refuses_data_without_labels() -> None:
    with pytest.raises(ValueError, match="needs data with labels"):
        Generator(120, 28, 1, classes=0)
