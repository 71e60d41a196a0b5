"""The largest micro-batch that fits, where what fits is known."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.fitting import largest_micro_batch
from touchstone.gan import GAN
from touchstone.losses import Hinge
from touchstone.networks import dcgan
from touchstone.terms.penalties import R1


class Narrow(dcgan.Discriminator):
    """Says, as CUDA does, that memory is short where more than so many samples pass at once."""

    room = 0

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        if len(samples) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(samples, labels)


def game(room: int, penalty: R1) -> GAN:
    discriminator = Narrow(8, 1, 2, "layer")
    discriminator.room = room
    optimizer = lambda parameters: torch.optim.Adam(parameters)  # noqa: E731
    return GAN(
        dcgan.Generator(3, 8, 1, 2),
        discriminator,
        Hinge(),
        optimizers={"generator": optimizer, "discriminator": optimizer},
        terms={"r1": penalty},
    )


# Real and fake samples are judged together: a micro-batch of n takes room for 2 n.
@pytest.mark.parametrize(("room", "fits"), [(24, 12), (23, 6), (12, 6), (11, 4), (2, 1)])
def test_the_largest_divisor_that_fits(room: int, fits: int) -> None:
    gan = game(room, R1(1.0, every=16))
    before = copy.deepcopy(gan.state_dict())
    assert largest_micro_batch(gan, torch.zeros(12, 1, 8, 8), None, nullcontext) == fits
    assert all(torch.equal(value, before[key]) for key, value in gan.state_dict().items())
    assert all(weight.grad is None for weight in gan.parameters())


def test_nothing_fits() -> None:
    with pytest.raises(UsageError, match="no room for a single sample"):
        largest_micro_batch(game(1, R1(1.0)), torch.zeros(4, 1, 8, 8), None, nullcontext)


def test_penalties_that_are_not_due_at_first_are_counted() -> None:
    class Greedy(R1):
        def discriminator(self, critique: object) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UsageError):
        largest_micro_batch(
            game(100, Greedy(1.0, every=1000)), torch.zeros(4, 1, 8, 8), None, nullcontext
        )
