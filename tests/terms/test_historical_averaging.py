from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.testing import assert_close

from touchstone.terms.historical_averaging import HistoricalAveraging


def test_the_squared_distance_from_the_mean_of_all_updates(hands: Callable[..., Any]) -> None:
    generator, discriminator = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    term = HistoricalAveraging(1)
    term.prepare((generator, discriminator))
    critique, creation = hands({}, {}, networks=(generator, discriminator))
    # weights 2, 4, 9: means 2, 3, 5
    for weight, distance in ((2.0, 0.0), (4.0, 1.0), (9.0, 16.0)):
        nn.init.constant_(generator.weight, weight)
        value = term.generator(creation)
        assert_close(value, torch.tensor(distance))
    torch.autograd.backward(value)
    assert_close(generator.weight.grad, torch.tensor([[2 * (9.0 - 5.0)]]))
    # The other player's history is its own.
    nn.init.constant_(discriminator.weight, 7.0)
    assert term.discriminator(critique) == 0


def test_goes_on_from_its_saved_state(hands: Callable[..., Any]) -> None:
    networks = (nn.Linear(2, 2), nn.Linear(2, 2))
    _, creation = hands({}, {}, networks=networks)
    unbroken, resumed = HistoricalAveraging(1), HistoricalAveraging(1)
    for term in (unbroken, resumed):
        term.prepare(networks)
    unbroken.generator(creation)
    resumed.load_state_dict(unbroken.state_dict())
    nn.init.constant_(networks[0].weight, 0.5)
    assert resumed.generator(creation).equal(unbroken.generator(creation))
    assert resumed.generator(creation) > 0
