"""Historical averaging: the players' weights are kept near their own past."""

import torch
from torch import Tensor, nn

from touchstone.terms.term import Creation, Critique, Term


class HistoricalAveraging(Term):
    """Keeps each player's weights near their average so far (Salimans et al. 2016, section 3.3).

    `‖theta - 1/t sum_i theta[i]‖²`, i = 1 to t the player's updates. The averages are kept with the
    state of the term.
    """

    whole_batch = True  # an update counts once

    def __init__(self, weight: float, every: int = 1) -> None:
        super().__init__(weight, every)
        self.generator_history = _History()
        self.discriminator_history = _History()

    def prepare(self, networks: tuple[nn.Module, nn.Module]) -> None:
        """Makes room for the averages of both networks."""
        generator, discriminator = networks
        self.generator_history.start(generator)
        self.discriminator_history.start(discriminator)

    def discriminator(self, critique: Critique) -> Tensor:
        """The discriminator's squared distance from its average."""
        return self.discriminator_history.distance(critique.networks[1])

    def generator(self, creation: Creation) -> Tensor:
        """The generator's squared distance from its average."""
        return self.generator_history.distance(creation.networks[0])


class _History(nn.Module):
    """The mean of a network's weights at all updates so far."""

    updates: Tensor

    def start(self, network: nn.Module) -> None:
        """Makes room; the weights at the first update are their own mean."""
        self.register_buffer("updates", torch.zeros((), dtype=torch.float64))
        for index, weight in enumerate(network.parameters()):
            self.register_buffer(f"mean_{index}", weight.detach().clone())

    def distance(self, network: nn.Module) -> Tensor:
        """Takes the weights in, and gives their squared distance from the mean."""
        weights = list(network.parameters())
        means = [self.get_buffer(f"mean_{index}") for index in range(len(weights))]
        with torch.no_grad():
            self.updates += 1
            for mean, weight in zip(means, weights, strict=True):
                mean.lerp_(weight, (1 / self.updates).to(mean))
        distances = [
            (weight - mean).square().sum() for weight, mean in zip(weights, means, strict=True)
        ]
        return torch.stack(distances).sum()
