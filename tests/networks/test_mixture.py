from collections.abc import Callable
from functools import partial
from math import log

import pytest
import torch
from torch import nn
from torch.autograd import grad

from touchstone.networks import dcgan, mlp
from touchstone.networks.mixture import Generator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def points(experts: int = 3, classes: int = 0) -> Generator:
    torch.manual_seed(0)
    return Generator(partial(mlp.Generator, 4, [2], width=8, classes=classes), experts)


def test_four_experts_of_half_the_width_cost_what_one_generator_does() -> None:
    with torch.device("meta"):
        generator = Generator(partial(dcgan.Generator, 100, 28, 1, width=32), 4)
        one = Generator(partial(dcgan.Generator, 100, 28, 1, width=64), 1)
    # each: projection 100 * 4*4*128                               = 204,800
    # 4*4 * (128*64 + 64*32)                                       = 163,840
    # 4*4 * 32*1 + 1, batch norms 2 * (128 + 64 + 32)              =     961
    # four of them, and the gate's 4                               = 1,478,408
    assert count(generator) == 1_478_408
    # 100*4*4*256 + 4*4*(256*128 + 128*64) + 4*4*64 + 1 + 2*448 + 1 = 1,066,882: the inner layers'
    # cost is equal, and the first and the last have twice the units altogether.
    assert count(one) == 1_066_882


@pytest.mark.parametrize(
    ("expert", "shape"),
    [
        (partial(mlp.Generator, 6, [2], width=2), [2]),
        (partial(mlp.Generator, 6, [1, 8, 8], width=2), [1, 8, 8]),
        (partial(dcgan.Generator, 6, 28, 1, width=2), [1, 28, 28]),
    ],
)
def test_shapes(expert: Callable[[], nn.Module], shape: list[int]) -> None:
    torch.manual_seed(0)
    generator = Generator(expert, 3)
    latents = torch.randn(5, 9)
    assert generator.latent_size == 9
    assert generator(latents).shape == (5, *shape)
    assert generator.expert_samples(latents).shape == (3, 5, *shape)


def test_each_sample_is_that_of_the_expert_that_its_latent_chooses() -> None:
    generator = points()
    latents = torch.randn(50, 7)
    chosen, continuous = generator.codes(latents)
    assert continuous.shape == (50, 0)
    assert set(chosen.tolist()) == {0, 1, 2}
    every = generator.expert_samples(latents)
    assert generator(latents).equal(every[chosen, torch.arange(50)])
    # The rest of the latent has no part in the choice.
    latents[:, 3:] = torch.randn(50, 4)
    assert generator.codes(latents)[0].equal(chosen)


def test_the_choice_follows_the_shares() -> None:
    generator = points()
    with torch.no_grad():
        generator.gate.copy_(torch.tensor([log(0.2), log(0.7), log(0.1)]))
    expected = torch.tensor([0.2, 0.7, 0.1])
    torch.testing.assert_close(generator.shares(), expected)
    number = 40_000
    chosen, _ = generator.codes(torch.randn(number, 7))
    shares = torch.bincount(chosen, minlength=3) / number
    deviations = (expected * (1 - expected) / number).sqrt()
    assert ((shares - expected).abs() < 5 * deviations).all()


def test_rare_latents_stay_finite() -> None:
    generator = points()
    latents = torch.full((2, 7), 8.0)
    latents[1] = -8
    generator(latents).sum().backward()
    assert generator.gate.grad is not None
    assert generator.gate.grad.isfinite().all()


def test_the_gate_s_gradient_is_the_softmax_s() -> None:
    # With z = 0, whose Gumbel noise is the same for both experts, logits (1, 0) choose the first:
    # d sample / d gate_0 = p (1 - p) (x_0 - x_1), p = 1 / (1 + e^-1).
    torch.manual_seed(0)
    generator = Generator(partial(mlp.Generator, 1, [1], width=8), 2)
    with torch.no_grad():
        generator.gate.copy_(torch.tensor([1.0, 0.0]))
    latents = torch.tensor([[0.0, 0.0, 0.5]])
    sample = generator(latents)
    first, second = generator.expert_samples(latents).flatten().unbind()
    torch.testing.assert_close(sample.flatten(), first[None], rtol=0, atol=0)
    (gradient,) = grad(sample.sum(), generator.gate)
    expected = 0.7310586 * 0.2689414 * (first - second)
    torch.testing.assert_close(gradient, torch.stack([expected, -expected]).detach())


def test_a_chosen_expert_alone_learns_of_its_sample() -> None:
    generator = points()
    latents = torch.randn(1, 7)
    chosen = int(generator.codes(latents)[0])
    generator(latents).sum().backward()
    for number, expert in enumerate(generator.experts):
        last = list(expert.parameters())[-1].grad
        assert last is not None
        assert bool(last.abs().sum() > 0) == (number == chosen)


def test_labels_reach_the_experts() -> None:
    generator = points(classes=3)
    latents = torch.randn(1, 7).expand(3, 7)
    assert len(generator(latents, torch.arange(3)).unique(dim=0)) == 3
    with pytest.raises(ValueError, match="labels"):
        generator(latents)
