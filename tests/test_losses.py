"""Values from the papers' formulas, written out with the logistic function in plain Python."""

from math import exp, inf, log

import pytest
import torch
from torch import Tensor

from touchstone.losses import (
    DiscriminatorAlone,
    Hinge,
    LeastSquares,
    Loss,
    Relativistic,
    RelativisticAverage,
    Vanilla,
    Wasserstein,
)

REAL = torch.tensor([2.0, -0.5])
FAKE = torch.tensor([-1.0, 0.25])

LOSSES = [
    Vanilla(),
    Vanilla(saturating=True, smoothing=0.1),
    LeastSquares(),
    Wasserstein(),
    Hinge(),
    Relativistic(),
    RelativisticAverage(),
]


def sigmoid(logit: float) -> float:
    return 1 / (1 + exp(-logit))


# Each pair is (the discriminator's loss, the generator's) of REAL and FAKE.
WORKED = [
    (
        Vanilla(),
        -(log(sigmoid(2)) + log(sigmoid(-0.5))) / 2
        - (log(1 - sigmoid(-1)) + log(1 - sigmoid(0.25))) / 2,
        -(log(sigmoid(-1)) + log(sigmoid(0.25))) / 2,
    ),
    (
        Vanilla(saturating=True, smoothing=0.1),
        -0.9 * (log(sigmoid(2)) + log(sigmoid(-0.5))) / 2
        - 0.1 * (log(1 - sigmoid(2)) + log(1 - sigmoid(-0.5))) / 2
        - (log(1 - sigmoid(-1)) + log(1 - sigmoid(0.25))) / 2,
        (log(1 - sigmoid(-1)) + log(1 - sigmoid(0.25))) / 2,
    ),
    # ((2-1)² + (-0.5-1)²)/2 + (1 + 0.0625)/2 = 1.625 + 0.53125; ((-2)² + (-0.75)²)/2
    (LeastSquares(), 2.15625, 2.28125),
    # the means are 0.75 and -0.375
    (Wasserstein(), -1.125, 0.375),
    # real: (0 + 1.5)/2; fake: (0 + 1.25)/2
    (Hinge(), 1.375, 0.375),
    # real - fake is 3 and -0.75
    (
        Relativistic(),
        -(log(sigmoid(3)) + log(sigmoid(-0.75))) / 2,
        -(log(sigmoid(-3)) + log(sigmoid(0.75))) / 2,
    ),
    # real - E fake is 2.375 and -0.125; fake - E real is -1.75 and -0.5
    (
        RelativisticAverage(),
        -(log(sigmoid(2.375)) + log(sigmoid(-0.125))) / 2
        - (log(1 - sigmoid(-1.75)) + log(1 - sigmoid(-0.5))) / 2,
        -(log(sigmoid(-1.75)) + log(sigmoid(-0.5))) / 2
        - (log(1 - sigmoid(2.375)) + log(1 - sigmoid(-0.125))) / 2,
    ),
]


def name(loss: object) -> str | None:
    return type(loss).__name__ if not isinstance(loss, float) else None


@pytest.mark.parametrize(("loss", "discriminator", "generator"), WORKED, ids=name)
def test_values_worked_by_hand(loss: Loss, discriminator: float, generator: float) -> None:
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=0, abs=1e-6)
    assert loss.generator(FAKE, REAL).item() == pytest.approx(generator, rel=0, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_a_batch_repeated_has_the_same_loss(loss: Loss) -> None:
    twice_real, twice_fake = REAL.repeat(2), FAKE.repeat(2)
    torch.testing.assert_close(
        loss.discriminator(twice_real, twice_fake), loss.discriminator(REAL, FAKE)
    )
    torch.testing.assert_close(loss.generator(twice_fake, twice_real), loss.generator(FAKE, REAL))


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_gradients_against_finite_differences(loss: Loss) -> None:
    # No logit lies at a kink of the hinge.
    real = torch.tensor([1.7, -0.4, 0.3], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([-1.2, 0.6, 2.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss.discriminator, (real, fake))
    assert torch.autograd.gradcheck(loss.generator, (fake, real))


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_each_player_is_pushed_the_right_way(loss: Loss) -> None:
    real, fake = (torch.zeros(3, requires_grad=True) for _ in range(2))
    pull_real, pull_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    assert (pull_real < 0).all(), "the discriminator raises real logits"
    # The squared distance to 0 rests at 0.
    assert (pull_fake > 0).all() or isinstance(loss, LeastSquares)
    (pull,) = torch.autograd.grad(loss.generator(fake, real), fake)
    assert (pull < 0).all(), "the generator raises fake logits"


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_the_generator_gets_real_logits_only_when_relativistic(loss: Loss) -> None:
    if loss.relativistic:
        with pytest.raises(ValueError, match="real_logits"):
            loss.generator(FAKE)
    else:
        assert torch.equal(loss.generator(FAKE), loss.generator(FAKE, REAL))


@pytest.mark.parametrize("loss", [Vanilla(smoothing=0.1), Relativistic(), RelativisticAverage()])
@pytest.mark.parametrize("size", [-1e4, 1e4])
def test_huge_logits_stay_finite(loss: Loss, size: float) -> None:
    logits = torch.full((2,), size, requires_grad=True)
    for value in (loss.discriminator(logits, -logits), loss.generator(logits, -logits)):
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.abs() < inf
        assert gradient.isfinite().all()


def test_the_hinge_rests_beyond_its_margin_for_the_discriminator_alone() -> None:
    real, fake = torch.tensor([1.5], requires_grad=True), torch.tensor([-1.5], requires_grad=True)
    loss = Hinge().discriminator(real, fake)
    assert loss.item() == 0
    assert not any(pull.any() for pull in torch.autograd.grad(loss, (real, fake)))
    (pull,) = torch.autograd.grad(Hinge().generator(fake), fake)
    assert pull.item() == -1


def test_the_minimax_form_saturates_and_the_other_does_not() -> None:
    def pull(loss: Vanilla) -> float:
        rejected = torch.tensor([-10.0], requires_grad=True)
        (gradient,) = torch.autograd.grad(loss.generator(rejected), rejected)
        return gradient.item()

    assert pull(Vanilla(saturating=True)) == pytest.approx(-sigmoid(-10), abs=1e-7)
    assert pull(Vanilla()) == pytest.approx(-sigmoid(10), abs=1e-6)


def test_smoothing_is_one_sided_and_rests_at_its_target() -> None:
    # The real term is least where sigmoid(logit) = 1 - smoothing = 0.9.
    real = torch.tensor([log(9.0)], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    pulls = torch.autograd.grad(Vanilla(smoothing=0.1).discriminator(real, fake), (real, fake))
    assert pulls[0].item() == pytest.approx(0, abs=1e-12)
    assert pulls[1].item() == pytest.approx(sigmoid(0.3), abs=1e-12)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_out_of_range_is_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match="smoothing"):
        Vanilla(smoothing=smoothing)


@pytest.mark.parametrize("real", [torch.zeros(3), torch.zeros(2, 1)], ids=["3", "2x1"])
def test_batches_that_do_not_pair_up_are_refused(real: Tensor) -> None:
    with pytest.raises(ValueError, match="as many"):
        Relativistic().discriminator(real, FAKE)
    with pytest.raises(ValueError, match="as many"):
        Relativistic().generator(FAKE, real)


def test_the_critic_estimates_the_distance() -> None:
    estimates = Wasserstein().estimates(torch.tensor([3.0, 1.0]), torch.tensor([-1.0, 0.0]))
    assert {name: float(value) for name, value in estimates.items()} == {
        "wasserstein_distance": 2.5
    }


def test_a_loss_of_the_discriminator_alone_teaches_the_generator_nothing() -> None:
    alone, vanilla = DiscriminatorAlone(Vanilla()), Vanilla()
    real, fake = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0], requires_grad=True)
    assert alone.discriminator(real, fake).equal(vanilla.discriminator(real, fake))
    value = alone.generator(fake)
    torch.autograd.backward(value)
    assert value == 0
    assert fake.grad is not None
    assert not fake.grad.any()
