"""Means over the best logits, by hand."""

from math import exp, log

import pytest
import torch

from touchstone.losses import (
    Hinge,
    LeastSquares,
    Loss,
    Relativistic,
    RelativisticAverage,
    Vanilla,
    Wasserstein,
)
from touchstone.selection import TopK

FAKE = torch.tensor([3.0, 1.0, -2.0, 2.0])
REAL = torch.tensor([1.0, 0.0, 5.0, 4.0])


def softplus(value: float) -> float:
    return log(1 + exp(value))


def selecting(loss: Loss, share: float) -> TopK:
    made = TopK(loss)
    made.share.fill_(share)
    return made


# The best two are the first and the last; the best three are also the second.
@pytest.mark.parametrize(
    ("loss", "share", "expected"),
    [
        (Wasserstein(), 0.5, -(3 + 2) / 2),
        (Wasserstein(), 0.75, -(3 + 2 + 1) / 3),
        (Hinge(), 0.25, -3.0),
        (LeastSquares(), 0.5, ((3 - 1) ** 2 + (2 - 1) ** 2) / 2),
        (Vanilla(), 0.5, (softplus(-3) + softplus(-2)) / 2),
        (Vanilla(saturating=True), 0.5, -(softplus(3) + softplus(2)) / 2),
        # The real logits of the first and the last: differences of real and fake -2 and 2.
        (Relativistic(), 0.5, (softplus(-2) + softplus(2)) / 2),
    ],
)
def test_the_mean_over_the_best(loss: Loss, share: float, expected: float) -> None:
    value = selecting(loss, share).generator(FAKE, REAL if loss.relativistic else None)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [Vanilla(), Hinge(), LeastSquares(), Relativistic()])
def test_the_whole_batch_has_the_losses_own_value(loss: Loss) -> None:
    whole, real = TopK(loss), REAL if loss.relativistic else None
    torch.testing.assert_close(whole.generator(FAKE, real), loss.generator(FAKE, real))
    assert torch.equal(whole.discriminator(REAL, FAKE), loss.discriminator(REAL, FAKE))
    assert whole.relativistic == loss.relativistic
    assert whole.whole_batch


def test_the_others_have_no_gradient() -> None:
    fake = FAKE.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(selecting(Vanilla(), 0.5).generator(fake), fake)
    # -d/dx softplus(-x) / 2 = -1 / (1 + e^x) / 2 of the two best.
    expected = torch.tensor([-1 / (1 + exp(3)) / 2, 0, 0, -1 / (1 + exp(2)) / 2])
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(
    ("share", "k"), [(1.0, 64), (0.99, 63), (0.9801, 63), (0.5, 32), (1e-9, 1)]
)
def test_exactly_k_count_also_among_equals(share: float, k: int) -> None:
    fake = torch.zeros(64, requires_grad=True)
    (gradient,) = torch.autograd.grad(selecting(Wasserstein(), share).generator(fake), fake)
    torch.testing.assert_close(gradient.sort().values, torch.tensor([-1 / k] * k + [0] * (64 - k)))


@pytest.mark.parametrize(
    ("images", "share"),
    [
        (0, 1),
        (49_999, 1),
        (50_000, 0.99),
        (100_000, 0.9801),
        (68 * 50_000, 0.99**68),  # 0.5049
        (69 * 50_000, 0.5),  # 0.4998 would be less
        (10**9, 0.5),
    ],
)
def test_k_falls_each_epoch_to_the_least_share(images: int, share: float) -> None:
    selection = TopK(Vanilla())
    selection.advance(images)
    assert selection.share.item() == pytest.approx(share, rel=1e-6)


def test_a_resumed_one_goes_on_where_it_was() -> None:
    unbroken, resumed = TopK(Hinge(), epoch=10), TopK(Hinge(), epoch=10)
    unbroken.advance(10_000)
    resumed.load_state_dict(unbroken.state_dict())
    assert list(unbroken.state_dict()) == ["share"]
    assert torch.equal(resumed.generator(FAKE), unbroken.generator(FAKE))


def test_shapes_stay_and_nothing_is_read_from_the_device() -> None:
    selection = selecting(Relativistic(), 0.5).to("meta")
    selection.advance(10_000_000)
    logits = torch.empty(8, device="meta")
    assert selection.generator(logits, logits).shape == ()


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"least": 0}, "least"), ({"decay": 1.1}, "decay"), ({"epoch": 0}, "epoch")],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=rf"selection\.{name}"):
        TopK(Vanilla(), **settings)  # type: ignore[arg-type]


def test_a_loss_that_compares_with_all_is_refused() -> None:
    with pytest.raises(ValueError, match="RelativisticAverage compares each with the mean of all"):
        TopK(RelativisticAverage())
