from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from touchstone.terms import Creation
from touchstone.terms.orthogonal import OrthogonalRegularization


def term(generator: nn.Module) -> Tensor:
    """The regularization of a generator, which is all that it looks at."""

    def never() -> dict[str, Tensor]:
        raise AssertionError("no verdict is asked for")

    samples = torch.zeros(2, 1)
    creation = Creation(
        real=samples,
        fake=samples,
        judge_real=never,
        judge_fake=never,
        draws=None,  # type: ignore[arg-type]
        labels=None,
        latents=samples,
        networks=(generator, nn.Identity()),
    )
    value = OrthogonalRegularization(1e-4).generator(creation)
    assert value is not None
    return value


def test_worked_out_by_hand() -> None:
    # Rows (1, 1, 0) and (0, 2, 3): their product is 2, twice in the matrix, 2 * 2² = 8. Their
    # lengths play no part.
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 3.0]]))
    assert term(layer).item() == 8


def test_more_filters_than_numbers_by_hand() -> None:
    # Rows (1, 0), (2, 1), (0, 3): products 2, 0 and 3, twice each: 2 * (4 + 0 + 9) = 26.
    layer = nn.Linear(2, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]]))
    assert term(layer).item() == 26


@pytest.mark.parametrize(
    ("layer", "filters"),
    [
        (lambda: nn.Conv2d(2, 4, 3), lambda weight: weight.flatten(1)),
        (lambda: nn.Conv2d(2, 30, 3), lambda weight: weight.flatten(1)),
        (lambda: nn.ConvTranspose2d(4, 2, 3), lambda weight: weight.movedim(1, 0).flatten(1)),
        (lambda: nn.Linear(3, 50), lambda weight: weight),
    ],
)
def test_it_is_equation_3(
    layer: Callable[[], nn.Conv2d], filters: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    made = layer().double()
    columns = filters(made.weight).T
    expected = ((columns.T @ columns) * (1 - torch.eye(columns.shape[1]))).square().sum()
    torch.testing.assert_close(term(made), expected)
    (own,) = torch.autograd.grad(term(made), made.weight)
    (other,) = torch.autograd.grad(expected, made.weight)
    torch.testing.assert_close(own, other)


def test_it_is_0_for_orthogonal_filters_of_any_length_and_sums_over_layers() -> None:
    orthogonal = nn.Conv2d(4, 8, 3)
    nn.init.orthogonal_(orthogonal.weight)
    with torch.no_grad():
        orthogonal.weight *= torch.arange(1.0, 9.0).view(8, 1, 1, 1)
    assert term(orthogonal).item() == pytest.approx(0, abs=1e-7)
    other = nn.Linear(3, 2)
    both = nn.Sequential(orthogonal, other, nn.Embedding(7, 3), nn.BatchNorm2d(4))
    torch.testing.assert_close(term(both), term(other))


def test_it_moves_no_power_iteration_and_is_of_what_is_trained() -> None:
    layer = nn.Linear(5, 4)
    raw = term(layer)
    parametrizations.spectral_norm(layer)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    value = term(layer.train())
    torch.testing.assert_close(value, raw)
    _, original = layer.parameters()
    (gradient,) = torch.autograd.grad(value, original)
    assert gradient.abs().max() > 0
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())


def test_it_is_in_full_precision_under_autocast() -> None:
    layer = nn.Linear(64, 32)
    with torch.autocast("cpu", torch.bfloat16):
        value = term(layer)
    assert torch.equal(value, term(layer))
