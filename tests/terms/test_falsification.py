"""Falsified templates: what the discriminator learns of them is a ratio of densities."""

import pytest
import torch
from torch import Tensor, nn

from touchstone.draws import Draws
from touchstone.networks.printed_codes import Discriminator, Generator
from touchstone.symbols import beside, symbols_of
from touchstone.terms import Creation, Critique
from touchstone.terms.falsification import AsMisread, Evenly, Falsification, Misreading


class Uneven:
    """Black symbols are misread thrice as often as white ones."""

    def __call__(self, symbols: Tensor, centres: Tensor, generator: nn.Module) -> Tensor:
        return torch.where(centres > 0, 0.1, 0.3)


class Ratio(nn.Module):
    """One `log r` for every pair of the template's symbol and what the picture shows of it."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(2, 2))

    def inspect(self, samples: Tensor) -> Tensor:
        seen, shown = ((symbols_of(c) > 0).long() for c in torch.split(samples, 1, dim=1))
        return self.table[shown, seen]


def seen(symbols: Tensor, draws: Draws) -> Tensor:
    """Pictures in which each symbol looks as it is with probability 0.8."""
    flipped = draws.uniform(*symbols.shape) < 0.2
    return beside(torch.zeros(len(symbols), 1, 24, 24), symbols * (1 - 2 * flipped.float()))[:, 1:]


@pytest.mark.parametrize("falsifier", [Evenly(0.25), Uneven()])
def test_at_its_minimum_stands_the_ratio_of_densities(falsifier: Evenly | Uneven) -> None:
    draws, inspector = Draws(0), Ratio()
    term = Falsification(1, falsifier)
    optimizer = torch.optim.LBFGS(inspector.parameters(), max_iter=50)
    symbols = (draws.uniform(4000, 8, 8) < 0.5).float() * 2 - 1
    samples = beside(seen(symbols, draws), symbols)

    def loss() -> Tensor:
        value = term.discriminator(critique(samples, inspector, Draws(1)))
        optimizer.zero_grad()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    # A picture that shows the template's symbol is 0.2 / 0.8 times as likely if another one was
    # printed, and one that does not 0.8 / 0.2 times, whatever the rates of falsification.
    against = torch.tensor([[0.25, 4.0], [4.0, 0.25]]).log()
    torch.testing.assert_close(inspector.table.detach(), against, rtol=0, atol=0.05)


def critique(samples: Tensor, discriminator: nn.Module, draws: Draws) -> Critique:
    def never() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        raise AssertionError("asks for no verdict")

    networks = (Generator(8, 24, width=4), discriminator)
    return Critique(lambda x: x, samples, samples, never, draws, None, samples, networks)


def test_as_misread_is_the_generators_probability() -> None:
    generator = Generator(8, 24, width=4)
    symbols = torch.ones(2, 8, 8)
    expected = generator.misreading(symbols, -symbols).sigmoid()
    found = AsMisread()(symbols, -symbols, generator)
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad


def test_gradients_reach_what_inspects_and_what_reads_and_nothing_else() -> None:
    generator, discriminator = Generator(8, 24, width=4), Discriminator(24, width=4)
    samples = generator(torch.randn(4, generator.latent_size)).detach()
    term = Falsification(1, AsMisread())
    hand = critique(samples, discriminator, Draws(0))
    torch.autograd.backward(term.discriminator(hand))
    with_gradient = {name for name, p in discriminator.named_parameters() if p.grad is not None}
    assert with_gradient == {n for n, _ in discriminator.named_parameters() if "places" in n}

    def never() -> dict[str, Tensor]:
        raise AssertionError("asks for no verdict")

    networks = (generator, discriminator)
    creation = Creation(samples, samples, never, never, Draws(0), None, samples, networks)
    torch.autograd.backward(Misreading(1).generator(creation))
    reached = {name.split(".")[0] for name, p in generator.named_parameters() if p.grad is not None}
    assert reached == {"reader", "misreading"}


def test_misreading_is_two_cross_entropies() -> None:
    generator = Generator(8, 24, width=4)
    for part in (generator.reader, generator.misreading):
        weight, bias = list(part.layers.parameters())[-2:]
        torch.nn.init.zeros_(weight)
        torch.nn.init.constant_(bias, 2.0)
    symbols = torch.ones(1, 8, 8)
    symbols[0, 0] = -1  # 8 of 64 are black; all are read as white, so 8 are misread
    samples = beside(torch.zeros(1, 1, 24, 24), symbols)
    creation = Creation(
        samples, samples, dict, dict, Draws(0), None, samples, (generator, nn.Identity())
    )
    white, black = nn.functional.softplus(torch.tensor([-2.0, 2.0]))
    expected = (56 * white + 8 * black) / 64 + (8 * white + 56 * black) / 64
    torch.testing.assert_close(Misreading(1).generator(creation), expected)


def test_a_rate_is_between_0_and_1() -> None:
    with pytest.raises(ValueError, match="rate=1"):
        Evenly(1)
