import copy

import pytest
import torch
from torch import Tensor, nn

from touchstone.networks import article, dcgan, infogan, mlp
from touchstone.networks.virtual_batch_norm import VirtualBatchNorm, VirtualBatchNormalized


def wrapped(classes: int = 0) -> VirtualBatchNormalized:
    torch.manual_seed(0)
    network = dcgan.Generator(6, 8, 1, width=4, classes=classes)
    return VirtualBatchNormalized(network, size=5, seed=1)


def test_worked_out_by_hand() -> None:
    # Reference rows 0 and 4: mean 2, variance 4: -1 and 1. With the row 8 the mean of 0, 4 and 8 is
    # 4 and the variance 32/3: (8 - 4) / sqrt(32/3) = sqrt(1.5).
    layer = VirtualBatchNorm(nn.BatchNorm1d(1, eps=0.0), size=2)
    normalized = layer(torch.tensor([[0.0], [4.0], [8.0]]))
    torch.testing.assert_close(normalized, torch.tensor([[-1.0], [1.0], [1.5**0.5]]))


@pytest.mark.parametrize("shape", [(3,), (3, 4, 4)])
def test_each_sample_is_normalized_as_if_it_joined_the_reference(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3) if len(shape) == 1 else nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    activations = 3 * torch.randn(9, *shape) + 1
    found = VirtualBatchNorm(norm, size=5)(activations)
    torch.testing.assert_close(found[:5], norm(activations[:5]))
    for row in range(5, 9):
        together = norm(torch.cat([activations[:5], activations[row : row + 1]]))
        torch.testing.assert_close(found[row], together[5])


def test_a_sample_does_not_depend_on_the_others() -> None:
    generator = wrapped()
    latents = torch.randn(4, 6)
    together = generator(latents)
    assert together.shape == (4, 1, 8, 8)
    for row in range(4):
        torch.testing.assert_close(generator(latents[row : row + 1])[0], together[row])
    torch.testing.assert_close(generator.eval()(latents), together)


def test_the_reference_is_drawn_from_its_seed_and_saved() -> None:
    generator, other = wrapped(), wrapped()
    assert generator.reference_latents.shape == (5, 6)
    assert generator.reference_latents.equal(other.reference_latents)
    network = dcgan.Generator(6, 8, 1, width=4)
    third = VirtualBatchNormalized(network, size=5, seed=2)
    assert not third.reference_latents.equal(generator.reference_latents)
    third.load_state_dict(generator.state_dict())
    latents = torch.randn(3, 6)
    assert third(latents).equal(generator(latents))
    assert copy.deepcopy(generator)(latents).equal(generator(latents))


def test_no_running_statistics_are_left() -> None:
    generator = wrapped()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in generator.modules())
    buffers = [name for name, _ in generator.named_buffers()]
    assert buffers == ["reference_latents"]
    names = {name.removeprefix("network.") for name, _ in generator.named_parameters()}
    assert names == {name for name, _ in dcgan.Generator(6, 8, 1, width=4).named_parameters()}


def test_labels_join_those_of_the_reference() -> None:
    generator = wrapped(classes=3)
    assert generator.classes == 3
    assert generator.latent_size == 6
    labels = generator.reference_labels
    assert isinstance(labels, Tensor)
    assert labels.shape == (5,)
    assert 0 <= labels.min() <= labels.max() < 3
    latents = torch.randn(1, 6).expand(3, 6)
    assert len(generator(latents, torch.arange(3)).unique(dim=0)) == 3
    with pytest.raises(ValueError, match="labels"):
        generator(latents)


def test_codes_pass_through() -> None:
    network = infogan.Generator(20, 8, 1, width=2)
    latents = torch.randn(4, 20)
    codes = VirtualBatchNormalized(network, size=4).codes(latents)
    assert codes[0].equal(network.codes(latents)[0])


def test_layers_of_rows_are_virtual_too() -> None:
    torch.manual_seed(0)
    generator = VirtualBatchNormalized(article.Generator(6, 8, 1, width=2), size=5)
    latents = torch.randn(4, 6)
    torch.testing.assert_close(generator(latents)[1:2], generator(latents[1:2]))


def test_gradients_reach_every_parameter() -> None:
    generator = wrapped()
    generator(torch.randn(4, 6)).square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="size=1"):
        VirtualBatchNormalized(dcgan.Generator(6, 8, 1, width=4), size=1)
    with pytest.raises(ValueError, match="no batch normalization"):
        VirtualBatchNormalized(mlp.Generator(6, [2], width=4))
