"""Every record's own gradient, against a loop over single records."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from touchstone.gan import GAN, Part
from touchstone.losses import Hinge, Vanilla, Wasserstein
from touchstone.networks import dcgan, mlp
from touchstone.networks.heads import Transformations
from touchstone.privacy.per_record import Copies, gradients, held
from touchstone.terms import Term
from touchstone.terms.penalties import R1, Drift, GradientPenalty
from touchstone.terms.self_supervision import SelfSupervision

RECORDS = 5


class Given:
    """Numbers that were drawn before, of some of the records."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers
        self.generator = torch.Generator()

    def normal(self, size: int, *shape: int) -> Tensor:
        raise NotImplementedError

    def uniform(self, size: int, *shape: int) -> Tensor:
        return self.numbers.view(size, *shape)


class Sum(nn.Module):
    """A head of no weights."""

    def forward(self, features: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        return {"logits": features.sum(1)}


def rows(normalization: str = "none", **options: Any) -> nn.Module:
    return mlp.Discriminator(
        [6], width=7, pieces=2, input_dropout=0, dropout=0, normalization=normalization, **options
    )


def game(discriminator: nn.Module, loss: Any, **terms: Term) -> GAN:
    generator = mlp.Generator(3, [6], width=4)
    optimizer = {
        name: lambda weights: torch.optim.SGD(weights, lr=0.1)
        for name in ("generator", "discriminator")
    }
    return GAN(generator, discriminator, loss, optimizers=optimizer, terms=terms).train()


def looped(gan: GAN, real: Tensor, fake: Tensor, chances: Tensor) -> list[Tensor]:
    """The gradients of a game of one record at a time, by backward passes as they are written."""
    each = []
    for i in range(len(real)):
        weights = list(gan.discriminator.parameters())
        part = Part(real[i : i + 1], None, torch.zeros(1, 3), Given(chances[i : i + 1]))  # type: ignore[arg-type]
        loss, _ = gan.discriminator_loss(part, fake[i : i + 1], list(gan.terms))
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        each.append(
            [torch.zeros_like(w) if g is None else g for g, w in zip(found, weights, strict=True)]
        )
    return [torch.stack(of_one) for of_one in zip(*each, strict=True)]


def together(gan: GAN, real: Tensor, fake: Tensor, chances: Tensor) -> list[Tensor]:
    part = Part(real, None, torch.zeros(len(real), 3), Given(chances))  # type: ignore[arg-type]
    return gradients(gan, part, fake, list(gan.terms))


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


GAMES: dict[str, tuple[Callable[[], nn.Module], Any, dict[str, Term]]] = {
    "vanilla": (rows, Vanilla(), {}),
    "wgan_gp": (rows, Wasserstein(), {"penalty": GradientPenalty(10)}),
    "spectral": (lambda: rows("spectral"), Hinge(), {}),
    "spectral with penalties": (
        lambda: rows("spectral"),
        Vanilla(),
        {"penalty": GradientPenalty(10), "r1": R1(1), "drift": Drift(0.1)},
    ),
}


@pytest.mark.parametrize("name", GAMES)
def test_a_records_gradient_is_that_of_a_game_of_its_own(name: str) -> None:
    torch.manual_seed(0)
    made, loss, terms = GAMES[name]
    gan = game(made(), loss, **terms)
    real, fake, chances = torch.randn(RECORDS, 6), torch.randn(RECORDS, 6), torch.rand(RECORDS)
    with held(gan.discriminator):
        found = together(gan, real, fake, chances)
        assert_close(found, looped(gan, real, fake, chances))
    assert float(found[0].std(dim=0).max()) > 1e-3  # they are not all the same


@pytest.mark.parametrize("normalization", ["none", "layer", "instance", "spectral"])
def test_of_images_too(normalization: str) -> None:
    torch.manual_seed(0)
    discriminator = dcgan.Discriminator(16, 1, width=4, normalization=normalization)
    gan = game(
        discriminator.to(memory_format=torch.channels_last), Wasserstein(), p=GradientPenalty(10)
    )
    real, fake = torch.randn(RECORDS, 1, 16, 16), torch.randn(RECORDS, 1, 16, 16)
    chances = torch.rand(RECORDS)
    with held(gan.discriminator):
        assert_close(together(gan, real, fake, chances), looped(gan, real, fake, chances))


def test_a_loss_that_asks_for_more_than_logits() -> None:
    """A self-supervised head: the copies are examined, and each record has its own copy."""
    torch.manual_seed(0)
    head: Any = lambda width: Transformations(width, number=72)  # noqa: E731
    discriminator = dcgan.Discriminator(16, 1, width=4, normalization="none", head=head)
    gan = game(discriminator, Vanilla(), task=SelfSupervision(1))
    real, fake, chances = torch.randn(3, 1, 16, 16), torch.randn(3, 1, 16, 16), torch.rand(3)
    assert_close(together(gan, real, fake, chances), looped(gan, real, fake, chances))


def test_the_vectors_of_the_spectral_norm_move_by_one_step_and_are_held() -> None:
    torch.manual_seed(0)
    network, other = rows("spectral").train(), rows("spectral")
    other.load_state_dict(network.state_dict())
    other.train()
    with held(network):
        before = {name: each.clone() for name, each in network.named_buffers()}
        network(torch.randn(2, 6))
        Copies(network, 2)(torch.randn(2, 6))
        for name, each in network.named_buffers():
            assert torch.equal(each, before[name])
    other(torch.randn(2, 6))  # one pass, one step
    for each, expected in zip(network.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(each, expected)
    assert all(module.training for module in network.modules())


def test_dropout_is_each_copys_own() -> None:
    torch.manual_seed(0)
    network = rows()
    network.layers = nn.Sequential(nn.Dropout(0.5))
    network.head = Sum()
    kept = Copies(network.train(), 400)(torch.ones(800, 1)) > 0
    assert 340 < int(kept.sum()) < 460
    first, second = kept[:400], kept[400:]
    assert 140 < int((first == second).sum()) < 260  # nor that of the sample beside
