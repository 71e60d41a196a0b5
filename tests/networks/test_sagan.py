import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from touchstone.networks.attention import SelfAttention
from touchstone.networks.heads import Head, Logit, Projection
from touchstone.networks.sagan import Discriminator, Generator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def pair(resolution: int = 28, classes: int = 5) -> tuple[Generator, Discriminator]:
    """A small pair whose attention is no longer the identity."""
    torch.manual_seed(0)
    generator = Generator(6, resolution, 2, width=4, classes=classes)
    head: Head = partial(Projection, classes=classes) if classes else Logit
    discriminator = Discriminator(resolution, 2, width=4, head=head)
    for network in (generator, discriminator):
        for layer in network.modules():
            if isinstance(layer, SelfAttention):
                nn.init.constant_(layer.gamma, 0.5)
    return generator, discriminator


LABELS = torch.tensor([3, 0, 4, 3])


def test_the_generator_s_parameters_at_128() -> None:
    # dense 128 * 4*4*1024 + 16,384                                       =  2,113,536
    # blocks of 9*i*o + 9*o*o + i*o, and of 1,000 * 2 * (i + o) by class, for i, o =
    #   1024, 1024: 19 * 1024²               = 19,922,944, and 4,096,000  = 24,018,944
    #   1024, 512: 4,718,592 + 2,359,296 + 524,288, and 3,072,000         = 10,674,176
    #   512, 256: a quarter, 1,900,544, and 1,536,000                     =  3,436,544
    #   256, 128: 475,136, and 768,000                                    =  1,243,136
    #   128, 64: 118,784, and 384,000                                     =    502,784
    # attention at 256: 2 * 256*32 + 2 * 256*128 + 1                      =     81,921
    # batch norm 2*64, convolution 9*64*3 + 3                             =      1,859
    with torch.device("meta"):
        assert count(Generator(128, 128, 3, classes=1000)) == 42_072_900


def test_the_discriminator_s_parameters_at_128() -> None:
    # blocks of 9*i*o + 9*o*o + i*o + 3*o, for i, o =
    #   3, 64: 1,728 + 36,864 + 192 + 192                                 =     38,976
    #   64, 128: 73,728 + 147,456 + 8,192 + 384                           =    229,760
    #   128, 256: 294,912 + 589,824 + 32,768 + 768                        =    918,272
    #   256, 512: 1,179,648 + 2,359,296 + 131,072 + 1,536                 =  3,671,552
    #   512, 1024: 4,718,592 + 9,437,184 + 524,288 + 3,072                = 14,683,136
    #   1024, 1024, without a shortcut: 18 * 1024² + 2,048                = 18,876,416
    # attention at 128: 2 * 128*16 + 2 * 128*64 + 1                       =     20,481
    # dense 1,024 + 1, embedding 1,000 * 1,024                            =  1,025,025
    with torch.device("meta"):
        head = partial(Projection, classes=1000)
        assert count(Discriminator(128, 3, head=head)) == 39_463_618


@pytest.mark.parametrize(
    ("resolution", "side"), [(28, 14), (32, 16), (48, 24), (64, 32), (128, 32)]
)
@pytest.mark.parametrize("classes", [0, 5])
def test_shapes_range_and_the_place_of_attention(resolution: int, side: int, classes: int) -> None:
    generator, discriminator = pair(resolution, classes)
    seen: list[int] = []
    for network in (generator, discriminator):
        attending = [layer for layer in network.modules() if isinstance(layer, SelfAttention)]
        assert len(attending) == 1
        attending[0].register_forward_hook(lambda layer, args, out: seen.append(out.shape[-1]))
    with torch.no_grad():
        samples = generator(torch.randn(4, 6), LABELS)
        verdict = discriminator.examine(samples, LABELS)
    assert seen == [side, side]
    assert generator.latent_size == 6
    assert generator.classes == classes
    assert samples.shape == (4, 2, resolution, resolution)
    assert samples.abs().max() <= 1
    assert samples.std() > 0.05
    assert verdict["logits"].shape == (4,)
    widest = {28: 4, 32: 4}.get(resolution, 64)
    assert verdict["features"].shape == (4, widest)


def test_labels_matter_with_classes_alone() -> None:
    latents = torch.randn(4, 6)
    generator, discriminator = pair()
    with torch.no_grad():
        for key, parameter in generator.named_parameters():
            if "scale" in key or "shift" in key:
                parameter.normal_()
    samples = generator.eval()(latents, LABELS)
    others = generator(latents, torch.tensor([3, 0, 4, 1]))
    assert torch.equal(samples[:3], others[:3])
    assert (samples[3] - others[3]).abs().max() > 1e-3
    logits = discriminator.eval()(samples, LABELS)
    changed = discriminator(samples, torch.tensor([3, 0, 4, 1]))
    assert torch.equal(logits[:3], changed[:3])
    assert (logits[3] - changed[3]).abs() > 1e-3
    with pytest.raises(ValueError, match="needs labels"):
        generator(latents)
    unconditional = pair(classes=0)[0].eval()
    assert torch.equal(unconditional(latents, LABELS), unconditional(latents))


def test_gradients_reach_every_parameter_of_both() -> None:
    generator, discriminator = (network.double() for network in pair())
    labels = torch.arange(10) % 5
    logits = discriminator(generator(torch.randn(10, 6).double(), labels), labels)
    (logits * torch.randn(10).double()).sum().backward()
    for network in (generator, discriminator):
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.abs().max() > 1e-9, key


def test_spectral_normalization_is_of_every_layer_but_the_generator_s_tables() -> None:
    for network in pair():
        for _ in range(200):
            network(
                torch.randn(4, 6) if isinstance(network, Generator) else torch.randn(4, 2, 28, 28),
                LABELS,
            )
        network.eval()
        kinds = (nn.Conv2d, nn.Linear, nn.Embedding)
        for name, layer in network.named_modules():
            if isinstance(layer, kinds) and "scale" not in name and "shift" not in name:
                norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()
                assert norm == pytest.approx(1, abs=0.02), name
    tables = [key for key, _ in pair()[0].named_parameters() if "scale" in key or "shift" in key]
    assert tables
    assert not any("parametrizations" in key for key in tables)


def test_a_step_with_a_gradient_penalty_in_mixed_precision_and_channels_last() -> None:
    generator, discriminator = (net.to(memory_format=torch.channels_last) for net in pair())
    with torch.autocast("cpu", torch.bfloat16):
        fake = generator(torch.randn(4, 6), LABELS)
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
    arguments: tuple[tuple[Tensor, Tensor], ...] = (
        (torch.randn(4, 6), LABELS),
        (torch.randn(4, 2, 28, 28), LABELS),
    )
    for network, fresh, inputs in zip(pair(), pair(), arguments, strict=True):
        network(*inputs)
        copied = copy.deepcopy(network)
        fresh.load_state_dict(network.state_dict())
        for training in (True, False):
            expected = network.train(training)(*inputs)
            assert torch.equal(copied.train(training)(*inputs), expected)
            assert torch.equal(fresh.train(training)(*inputs), expected)


@pytest.mark.parametrize("resolution", [0, 16, 30, 56, 256])
def test_refuses_other_resolutions(resolution: int) -> None:
    message = rf"data\.resolution={resolution} .* model=sagan.* 28, 32, 48, 64, 128"
    with pytest.raises(ValueError, match=message):
        Generator(10, resolution, 1)
    with pytest.raises(ValueError, match=message):
        Discriminator(resolution, 1)
