import pytest
import torch
from torch import Tensor, nn

from touchstone.authenticity.learning import bfloat16_is_fast, frozen, learn, seeded
from touchstone.data.images import Images


def images(number: int) -> Images:
    """Each picture is its number."""
    return Images(torch.arange(number).byte().view(-1, 1, 1, 1), None, ())


def shown(number: int, iterations: int, batch_size: int, seed: int = 0) -> list[list[int]]:
    """The numbers of the pictures of each batch."""
    batches: list[list[int]] = []
    weight = nn.Parameter(torch.zeros(()))

    def loss(samples: Tensor, iteration: int) -> Tensor:
        assert iteration == len(batches)
        batches.append((samples.flatten() * 127.5 + 127.5).round().int().tolist())
        return weight * samples.sum()

    learn(loss, [weight], images(number), iterations=iterations, batch_size=batch_size, seed=seed)
    return batches


def test_every_item_is_shown_once_a_pass() -> None:
    batches = shown(10, iterations=4, batch_size=5)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5]
    assert sorted(batches[0] + batches[1]) == sorted(batches[2] + batches[3]) == list(range(10))
    assert batches[:2] != batches[2:]
    assert batches == shown(10, iterations=4, batch_size=5)
    assert batches != shown(10, iterations=4, batch_size=5, seed=1)


def test_few_items_fill_a_batch() -> None:
    [batch] = shown(3, iterations=1, batch_size=9)
    assert sorted(batch) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_it_finds_the_minimum(mode: type[torch.no_grad]) -> None:
    weight = nn.Parameter(torch.zeros(()))
    items = images(101)  # their mean is 50
    mean = float(items.batch(torch.arange(101))[0].mean())
    with mode():
        learn(lambda x, _: (x - weight).square().mean(), [weight], items, iterations=400, lr=0.02)
    assert weight.item() == pytest.approx(mean, abs=0.03)


def test_what_is_drawn_follows_from_the_seed_and_disturbs_nobody() -> None:
    def drawn(seed: int) -> list[float]:
        numbers: list[float] = []
        weight = nn.Parameter(torch.zeros(()))

        def loss(samples: Tensor, iteration: int) -> Tensor:
            numbers.append(float(torch.rand(())))
            return weight * 0

        learn(loss, [weight], images(4), iterations=3, seed=seed)
        return numbers

    state = torch.get_rng_state()
    assert drawn(0) == drawn(0) != drawn(1)
    with seeded(0):
        first = nn.Linear(2, 2).weight
    with seeded(0):
        assert nn.Linear(2, 2).weight.equal(first)
    assert torch.get_rng_state().equal(state)


def test_frozen_networks_hand_gradients_through() -> None:
    network = nn.Linear(2, 1)
    network.bias.requires_grad_(False)
    with frozen(network):
        given = torch.ones(1, 2, requires_grad=True)
        network(given).sum().backward()
    assert given.grad is not None
    assert given.grad.equal(network.weight)
    assert network.weight.grad is None
    assert network.weight.requires_grad
    assert not network.bias.requires_grad  # as it was


def test_bfloat16_is_asked_for_where_it_is_fast() -> None:
    kinds: set[torch.dtype] = set()
    layer = nn.Linear(1, 1)

    def loss(samples: Tensor, iteration: int) -> Tensor:
        value: Tensor = layer(samples.flatten(1))
        kinds.add(value.dtype)
        return value.float().sum()

    learn(loss, layer.parameters(), images(4), iterations=1)
    fast = bfloat16_is_fast(torch.device("cpu"))
    assert kinds == {torch.bfloat16 if fast else torch.float32}
