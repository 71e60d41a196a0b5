import math

import pytest
import torch
from torch import Tensor, nn

from touchstone.draws import Draws
from touchstone.networks.ctgan import Generator
from touchstone.terms.condition import Condition
from touchstone.terms.term import Creation

# Conditions: 0 and 1 of the first category, 2 to 4 of the last.
LAYOUT = [("category", 2), ("number", 2), ("category", 3)]


class Certain(Generator):
    """Its logits are what it is told, whatever the latents."""

    def __init__(self, choices: list[float]) -> None:
        super().__init__(4, LAYOUT, [0.2] * 5, width=8)
        self.told = nn.Parameter(torch.tensor([0.3, *choices]))

    def forward(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        rows: Tensor = self.blocks(self.told.expand(len(latents), -1), self.gumbel_noise(latents))
        return rows


def created(generator: Generator, labels: Tensor) -> Creation:
    def unasked() -> dict[str, Tensor]:
        raise AssertionError

    latents = torch.randn(len(labels), generator.latent_size)
    fake = generator(latents, labels)
    return Creation(
        real=fake,
        fake=fake,
        judge_real=unasked,
        judge_fake=unasked,
        draws=Draws(0),
        labels=labels,
        latents=latents,
        networks=(generator, nn.Identity()),
    )


def test_it_is_the_cross_entropy_of_the_value_asked_for() -> None:
    # Softmaxes of 1/4, 3/4 of the first category, and 1/8, 2/8, 5/8 of the last.
    generator = Certain([0, math.log(3), 7.0, -7.0, 0, math.log(2), math.log(5)])
    # Condition 1 is the first one's second value; 4 is the last one's third, after 2 and 3.
    loss = Condition(1, LAYOUT).generator(created(generator, torch.tensor([1, 4])))
    assert loss.item() == pytest.approx(-(math.log(3 / 4) + math.log(5 / 8)) / 2, abs=1e-5)


def test_its_gradient_is_that_of_the_logits_whatever_the_noise() -> None:
    generator = Certain([0, 1.0, 0.0, 0.0, 0, 0, 0])
    loss = Condition(1, LAYOUT).generator(created(generator, torch.zeros(50).long()))
    torch.autograd.backward(loss)
    # d(-log p_0) / dl = p - (1, 0), with p_0 = 1 / (1 + e); the others were not asked for.
    first = 1 / (1 + math.e)
    assert generator.told.grad is not None
    expected = [0, first - 1, 1 - first, 0, 0, 0, 0, 0]
    torch.testing.assert_close(generator.told.grad, torch.tensor(expected), atol=1e-5, rtol=0)


def test_a_value_far_ahead_of_the_one_asked_for_is_held_back() -> None:
    generator = Certain([0, 10.0, 0, 0, 0, 0, 0])
    loss = Condition(1, LAYOUT).generator(created(generator, torch.zeros(8).long()))
    torch.autograd.backward(loss)
    assert generator.told.grad is not None
    assert loss.isfinite()
    assert generator.told.grad[2].item() == pytest.approx(1, abs=1e-3)
