from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd import grad, gradcheck, gradgradcheck

from touchstone.networks.heads import Projection
from touchstone.networks.mlp import Discriminator, Generator, Maxout


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_generator_has_the_paper_s_parameters() -> None:
    with torch.device("meta"):
        generator = Generator(100, [1, 28, 28])
    # 100*1200 + 1200                                              =   121,200
    # 1200*1200 + 1200                                             = 1,441,200
    # 1200*784 + 784                                               =   941,584
    assert count(generator) == 2_503_984


def test_discriminator_has_the_paper_s_parameters() -> None:
    with torch.device("meta"):
        discriminator = Discriminator([1, 28, 28])
    # 784*240*5 + 240*5                                            =   942,000
    # 240*240*5 + 240*5                                            =   289,200
    # 240 + 1                                                      =       241
    assert count(discriminator) == 1_231_441


@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 5, 4], [2], [7]])
def test_samples_of_any_shape(shape: list[int]) -> None:
    torch.manual_seed(0)
    samples = Generator(6, shape, width=8)(torch.randn(5, 6))
    assert samples.shape == (5, *shape)
    verdict = Discriminator(shape, width=4, pieces=3).examine(samples)
    assert verdict["features"].shape == (5, 4)
    assert verdict["logits"].shape == (5,)


def test_sample_worked_out_by_hand() -> None:
    # The last layer's bias alone: tanh(2) = 0.96403.
    generator = Generator(3, [2, 1, 1], width=4)
    for name, parameter in generator.named_parameters():
        nn.init.constant_(parameter, 2.0 if name == "layers.4.bias" else 0.0)
    samples = generator(torch.randn(2, 3))
    torch.testing.assert_close(samples, torch.full((2, 2, 1, 1), 0.9640276))


def test_the_first_layer_is_given_uniform_numbers_and_labels() -> None:
    seen: list[torch.Tensor] = []
    generator = Generator(3, [2], width=4, classes=2)
    generator.layers[0].register_forward_hook(lambda layer, args, output: seen.append(args[0]))
    # Phi(0) = 1/2, Phi(1) = 0.8413447, Phi(-1) = 0.1586553
    generator(torch.tensor([[0.0, 1.0, -1.0]]), torch.tensor([1]))
    torch.testing.assert_close(seen[0], torch.tensor([[0.0, 0.6826895, -0.6826895, 0.0, 1.0]]))


def test_a_conditional_generator_needs_labels() -> None:
    with pytest.raises(ValueError, match="labels"):
        Generator(3, [2], width=4, classes=2)(torch.randn(1, 3))


def test_maxout_is_the_largest_of_a_unit_s_pieces() -> None:
    # Units (1, -1) and (2, 0) times x: of 3 the larger are 3 and 6, of -3 they are 3 and 0.
    maxout = Maxout(1, 2, pieces=2)
    with torch.no_grad():
        maxout.linear.weight.copy_(torch.tensor([[1.0], [-1.0], [2.0], [0.0]]))
        maxout.linear.bias.zero_()
    values = maxout(torch.tensor([[3.0], [-3.0]]))
    torch.testing.assert_close(values, torch.tensor([[3.0, 6.0], [3.0, 0.0]]))


def test_maxout_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    maxout = Maxout(3, 4, pieces=2).double()
    features = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(maxout, features)
    assert gradgradcheck(maxout, features)


def test_dropout_of_images_in_training_alone() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator([1, 28, 28], width=8)
    samples = torch.ones(4, 1, 28, 28)
    kept = (discriminator.layers[:2](samples) > 0).float()
    assert kept.mean().item() == pytest.approx(0.8, abs=5 * (0.16 / 3136) ** 0.5)
    discriminator.eval()
    torch.testing.assert_close(discriminator(samples), discriminator(samples), rtol=0, atol=0)


def test_the_head_is_passed_in() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator([2], width=4, head=partial(Projection, classes=3)).eval()
    points = torch.randn(1, 2).expand(3, 2)
    logits = discriminator(points, torch.arange(3))
    assert len(logits.unique()) == 3


@pytest.mark.parametrize("normalization", ["none", "spectral"])
def test_a_gradient_penalty_reaches_every_weight(normalization: str) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator([2], width=8, normalization=normalization)
    points = torch.randn(16, 2, requires_grad=True)
    (gradient,) = grad(discriminator(points).sum(), points, create_graph=True)
    gradient.square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in discriminator.named_parameters():
        if not name.endswith("bias"):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("normalization", ["batch", "layer", "instance", "other"])
def test_refuses_normalizations_of_images(normalization: str) -> None:
    with pytest.raises(ValueError, match=rf"model\.normalization={normalization} .* model=mlp"):
        Discriminator([2], normalization=normalization)
