"""Values of equation 4 for a synthesis whose Jacobian is known by hand."""

from math import log

import pytest
import torch
from torch import Tensor, nn

from touchstone.draws import Draws, Share
from touchstone.networks.stylegan2 import Generator
from touchstone.terms import Creation, Verdict
from touchstone.terms.path_length import PathLength


class Scaling(nn.Module):
    """Four numbers of a latent are the style of both layers, whose sum times k is the sample."""

    def __init__(self, k: float) -> None:
        super().__init__()
        self.k = nn.Parameter(torch.tensor(k))
        self.seen: list[Tensor] = []

    def styles(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        offset = 0 if labels is None else labels[:, None, None]
        return (latents[:, None] + offset).expand(-1, 2, -1) * torch.ones((), requires_grad=True)

    def synthesis(self, styles: Tensor) -> Tensor:
        self.seen.append(styles.detach())
        return self.k * styles.sum(dim=1).reshape(-1, 1, 2, 2)


class Scripted:
    """Draws that were chosen."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers

    def normal(self, size: int, *shape: int) -> Tensor:
        return self.numbers.reshape(size, *shape)

    uniform = normal


def never() -> Verdict:
    raise AssertionError("the term asks for no verdict")


def creation(
    generator: nn.Module, latents: Tensor, draws: Scripted | Draws, labels: Tensor | None = None
) -> Creation:
    empty = torch.empty(0)
    networks = (generator, nn.Identity())
    return Creation(empty, empty, never, never, draws, labels, latents, networks)


# Of lengths 5 and 10.
NOISE = torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 6.0, 8.0]])


def test_by_hand() -> None:
    # A layer's gradient is k y / sqrt(4 pixels): with k = 2, of length 5 and 10, the same in both
    # layers. a goes from 0 to 0.01 * 7.5, then to 0.075 + 0.01 * (7.5 - 0.075).
    generator, term = Scaling(2.0), PathLength(2, every=4)
    given = creation(generator, torch.randn(4, 4), Scripted(NOISE))
    for average in (0.075, 0.14925):
        value = term.generator(given)
        torch.testing.assert_close(term.average, torch.tensor(average))
        expected = ((5 - average) ** 2 + (10 - average) ** 2) / 2
        torch.testing.assert_close(value, torch.tensor(expected))


def test_gradient_by_hand() -> None:
    # With a at 0 the term is E k² |y|² / 4, its slope E k |y|² / 2: (25 + 100) / 2 at k = 2.
    generator = Scaling(2.0)
    term = PathLength(1, decay=0)
    value = term.generator(creation(generator, torch.randn(4, 4), Scripted(NOISE)))
    value.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(generator.k.grad, torch.tensor(62.5))


def test_no_gradient_flows_through_the_average() -> None:
    # a at 7.5, the mean length: the slope is 2 E (l - a) dl/dk, l = k |y| / 2.
    # -2.5 * 2.5 + 2.5 * 5 = 6.25; through a of decay 1 it would be half of it.
    generator = Scaling(2.0)
    term = PathLength(1, decay=1)
    value = term.generator(creation(generator, torch.randn(4, 4), Scripted(NOISE)))
    value.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(generator.k.grad, torch.tensor(6.25))


def test_a_weight_of_2_is_the_paper_s() -> None:
    # Without the division by the roots of r² pixels and of 2 log2 r - 2 layers, the lengths' square
    # is their product times larger: 2 / (r² (2 log2 r - 2)) = ln 2 / (r² (ln r - ln 2)).
    for levels, r in ((3, 16), (7, 256)):
        with torch.device("meta"):
            layers = Generator(4, r, 1, width=64).layers
        assert layers == 2 * levels
        assert 2 / r**2 / layers == pytest.approx(log(2) / (r**2 * (log(r) - log(2))))


def test_labels_go_with_their_latents() -> None:
    generator = Scaling(1.0)
    latents, labels = torch.arange(4.0)[:, None].expand(4, 4), torch.tensor([0, 10, 20, 30])
    PathLength(1).generator(creation(generator, latents, Scripted(NOISE), labels))
    torch.testing.assert_close(generator.seen[0][:, 0, 0], torch.tensor([0.0, 22.0]))


def test_processes_look_at_what_one_would() -> None:
    torch.manual_seed(0)
    network = Generator(6, 8, 1, width=4, mapping=1).eval()
    latents = torch.randn(8, 6)
    lengths = PathLength(1)._lengths
    whole = lengths(creation(network, latents, Draws(7)))
    parts = [
        lengths(creation(network, part, Draws(7, share=Share(rank, 2))))
        for rank, part in enumerate(latents.chunk(2))
    ]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_reaches_stylegan2_s_styles_and_weights_and_lessens_itself() -> None:
    torch.manual_seed(0)
    network = Generator(6, 16, 1, width=8, mapping=2)
    term = PathLength(1, decay=0)
    term.average.fill_(1.5)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    values = []
    for _ in range(30):
        with torch.autocast("cpu", torch.bfloat16):
            value = term.generator(creation(network, torch.randn(16, 6), Draws(0)))
        assert value.dtype == torch.float32
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        values.append(value.item())
        optimizer.step()
    for name, parameter in network.named_parameters():
        if name.endswith("original"):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    assert sum(values[-5:]) < sum(values[:5]) / 2


def test_the_average_is_state() -> None:
    term = PathLength(1)
    term.average.fill_(3)
    other = PathLength(1)
    other.load_state_dict(term.state_dict())
    assert other.average == 3


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_refuses(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"decay={decay}"):
        PathLength(1, decay=decay)
