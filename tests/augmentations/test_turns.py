"""The eight ways in which a square falls on itself."""

import torch

from touchstone.augmentations import Turns
from touchstone.draws import Draws


def test_every_sample_in_one_of_eight_ways_all_alike_often() -> None:
    square = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    turned = Turns()(square.expand(4000, 1, 2, 2), Draws(0), torch.zeros(()))
    ways: dict[tuple[float, ...], int] = {}
    for sample in turned.flatten(1).tolist():
        ways[tuple(sample)] = ways.get(tuple(sample), 0) + 1
    around = [(1, 2, 4, 3), (2, 4, 3, 1), (4, 3, 1, 2), (3, 1, 2, 4)]  # clockwise, from a corner
    possible = {(a, b, d, c) for a, b, c, d in around + [way[::-1] for way in around]}
    assert ways.keys() == possible
    # 500 expected of each; the deviation of a binomial count is 21.
    assert all(abs(count - 500) < 84 for count in ways.values())


def test_channels_are_turned_alike() -> None:
    samples = torch.randn(50, 1, 6, 6, generator=torch.Generator().manual_seed(1)).expand(
        -1, 2, -1, -1
    )
    first, second = Turns()(samples, Draws(0), torch.zeros(())).unbind(1)
    assert torch.equal(first, second)
