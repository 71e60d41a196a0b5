"""Values from the papers' formulas for discriminators whose gradients are known by hand."""

import subprocess
import sys
from collections.abc import Callable
from math import sqrt
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from touchstone.draws import Draws
from touchstone.terms import Critique, Term, Verdict
from touchstone.terms.penalties import (
    DRAGAN,
    R1,
    R2,
    Drift,
    GradientPenalty,
    LeCam,
    WeightClipping,
    gradients,
)

# Two images of 1x2x2, so that a norm over a channel, a sample and a batch all differ.
REAL = torch.arange(8.0).reshape(2, 1, 2, 2) / 4
FAKE = -torch.ones(2, 1, 2, 2)

PENALTIES: dict[str, Callable[[], Term]] = {
    "gradient_penalty": lambda: GradientPenalty(10),
    "r1": lambda: R1(10),
    "r2": lambda: R2(10),
    "dragan": lambda: DRAGAN(10, variance=0.04),
    "drift": lambda: Drift(0.001),
    # Frozen anchors: a mean that follows the logits, but lets no gradient through, has no finite
    # differences.
    "lecam": lambda: started(LeCam(0.3, decay=1.0), real=0.7, fake=-0.2),
}
PER_SAMPLE = ["gradient_penalty", "r1", "r2", "dragan"]


class Scripted:
    """Draws that were chosen, and a record of the shapes asked for."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers
        self.shapes: list[tuple[int, ...]] = []

    def uniform(self, size: int, *shape: int) -> Tensor:
        self.shapes.append((size, *shape))
        return self.numbers.reshape(size, *shape)

    normal = uniform


def half_square(samples: Tensor) -> Tensor:
    """Its gradient is the sample itself."""
    return samples.flatten(1).square().sum(1) / 2


def critique(
    discriminator: Callable[[Tensor], Tensor],
    draws: Draws | Scripted | None = None,
    real: Tensor = REAL,
    fake: Tensor = FAKE,
) -> Critique:
    def judge() -> tuple[Verdict, Verdict]:
        return {"logits": discriminator(real)}, {"logits": discriminator(fake)}

    networks = (nn.Identity(), nn.Identity())
    return Critique(discriminator, real, fake, judge, draws or Draws(0), None, fake, networks)


def valued(penalty: Term, critique: Critique) -> Tensor:
    """What a penalty adds to the discriminator's loss."""
    value = penalty.discriminator(critique)
    assert value is not None
    return penalty.weighed(value)


def started(lecam: LeCam, real: float, fake: float) -> LeCam:
    lecam.real_anchor.fill_(real)
    lecam.fake_anchor.fill_(fake)
    lecam.started.fill_(True)
    return lecam


def close(value: Tensor, expected: float) -> bool:
    return value.shape == () and value.item() == pytest.approx(expected, rel=1e-6, abs=1e-6)


def network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """A smooth discriminator with random weights, the same each time."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Tanh(), nn.Flatten(0), nn.Unflatten(0, (-1, 3)))
    return layers.append(nn.Linear(3, 1)).append(nn.Flatten(0)).to(dtype)


def test_gradient_penalty_by_hand() -> None:
    # Real is all 3, fake all -1: a coefficient of 0.25 lies at 0, one of 0.875 at 2.5. The gradient
    # of half_square there has norm 0 or 2.5 sqrt(4) = 5: the penalty is 10 ((0-1)² + (5-1)²) / 2.
    draws = Scripted(torch.tensor([0.25, 0.875]))
    value = valued(
        GradientPenalty(10), critique(half_square, draws, real=3 * torch.ones_like(FAKE))
    )
    assert draws.shapes == [(2, 1, 1, 1)], "one coefficient a sample"
    assert close(value, 85)


def test_r1_and_r2_by_hand() -> None:
    # Sums of squares: (0+1+4+9)/16 = 0.875 and (16+25+36+49)/16 = 7.875, their mean 4.375; fake: 4.
    assert close(valued(R1(10), critique(half_square)), 10 / 2 * 4.375)
    assert close(valued(R2(10), critique(half_square)), 10 / 2 * 4)


def test_dragan_by_hand() -> None:
    # Noise of 2 deviations of sqrt(0.25): each element moves by 1, to norms of
    # sqrt(1 + 25/16 + 36/16 + 49/16) and sqrt(64 + 81 + 100 + 121) / 4.
    draws = Scripted(2 * torch.ones(8))
    value = valued(DRAGAN(10, variance=0.25), critique(half_square, draws))
    first, second = sqrt(16 + 25 + 36 + 49) / 4, sqrt(64 + 81 + 100 + 121) / 4
    assert draws.shapes == [(2, 1, 2, 2)], "noise for every element"
    assert close(value, 10 * ((first - 1) ** 2 + (second - 1) ** 2) / 2)


def test_packs_of_samples_are_points_together() -> None:
    # D of two samples is 3 x_1 + 4 x_2: its gradient at a pack has the norm 5, (5 - 1)^2 = 16.
    def judge(samples: Tensor) -> Tensor:
        return samples.reshape(-1, 2) @ torch.tensor([3.0, 4.0])

    assert gradients(judge, torch.ones(6, 1)).tolist() == [[3.0, 4.0]] * 3
    packs = critique(judge, real=torch.ones(6, 1), fake=torch.zeros(6, 1))
    assert close(valued(GradientPenalty(10), packs), 160)


def test_a_packs_samples_lie_at_one_place_of_their_lines() -> None:
    # Of packs of three, from 0 to 2: the places 1 and 0.5, where half the square of all has the
    # norms sqrt(3) and sqrt(3) / 2.
    def judge(samples: Tensor) -> Tensor:
        return samples.reshape(-1, 3).square().sum(1) / 2

    draws = Scripted(torch.tensor([0.5, 0.25]))
    packs = critique(judge, draws, real=2 * torch.ones(6, 1), fake=torch.zeros(6, 1))
    packs.networks[1].pack = 3  # type: ignore[assignment]

    value = valued(GradientPenalty(10), packs)

    assert draws.shapes == [(2, 1)], "one coefficient a pack"
    assert close(value, 10 * ((sqrt(3) - 1) ** 2 + (sqrt(3) / 2 - 1) ** 2) / 2)


def test_drift_by_hand() -> None:
    # The real logits are 0.4375 and 3.9375; the fake ones play no part.
    assert close(valued(Drift(0.001), critique(half_square)), 0.001 * (0.4375**2 + 3.9375**2) / 2)


def test_lecam_by_hand() -> None:
    lecam = LeCam(0.3, decay=0.9)
    # First batch: real logits 0.4375 and 3.9375 of mean 2.1875, fake ones 2 and 2. The anchors are
    # these means.
    first = valued(lecam, critique(half_square))
    assert close(first, 0.3 * ((1.5625**2 + 1.9375**2) / 2 + 0.1875**2))
    # Second batch: real and fake exchanged, so the anchors are 0.9 and 0.1 of the two means.
    second = valued(lecam, critique(half_square, real=FAKE, fake=REAL))
    real, fake = 0.9 * 2.1875 + 0.1 * 2, 0.9 * 2 + 0.1 * 2.1875
    assert close(lecam.real_anchor, real)
    assert close(lecam.fake_anchor, fake)
    expected = (2 - fake) ** 2 + ((0.4375 - real) ** 2 + (3.9375 - real) ** 2) / 2
    assert close(second, 0.3 * expected)


def test_lecam_goes_on_from_its_saved_state() -> None:
    unbroken = LeCam(0.3)
    valued(unbroken, critique(half_square))
    resumed = LeCam(0.3)
    resumed.load_state_dict(unbroken.state_dict())
    later = critique(half_square, real=FAKE, fake=REAL)
    assert torch.equal(valued(resumed, later), valued(unbroken, later))
    assert list(unbroken.state_dict()) == ["real_anchor", "fake_anchor", "started"]


def test_lecam_can_be_applied_twice_before_the_backward_pass() -> None:
    weight = torch.tensor(1.0, requires_grad=True)
    now, lecam = critique(lambda samples: weight * half_square(samples)), LeCam(0.3)
    torch.autograd.backward(valued(lecam, now) + valued(lecam, now))
    assert weight.grad is not None


def test_lecam_follows_the_logits_of_all_processes(tmp_path: Path) -> None:
    program = """
import sys, torch
from torch import distributed
from touchstone.terms.penalties import LeCam
from touchstone.terms import Critique
rank = int(sys.argv[1])
distributed.init_process_group("gloo", f"file://{sys.argv[2]}", rank=rank, world_size=2)
logits, lecam = torch.tensor([1.0 + rank]), LeCam(1.0)
verdicts = {"logits": logits}, {"logits": 10 * logits}
lecam.discriminator(Critique(torch.sum, logits, logits, lambda: verdicts, None, None, logits, ()))
print(lecam.real_anchor.item(), lecam.fake_anchor.item())
distributed.destroy_process_group()
"""
    arguments = [sys.executable, "-c", program]
    processes = [
        subprocess.Popen(
            [*arguments, str(rank), str(tmp_path / "meeting")], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    assert [process.communicate(timeout=60)[0].split() for process in processes] == [
        ["1.5", "15.0"]
    ] * 2


@pytest.mark.parametrize("make", PENALTIES.values(), ids=PENALTIES)
def test_a_batch_repeated_has_the_same_penalty(make: Callable[[], Term]) -> None:
    numbers = torch.tensor([0.1, 0.9])
    if isinstance(make(), DRAGAN):
        numbers = torch.linspace(-1, 1, 8)
    once = valued(make(), critique(network(torch.float32), Scripted(numbers)))
    real, fake = REAL.repeat(2, 1, 1, 1), FAKE.repeat(2, 1, 1, 1)
    twice = valued(
        make(), critique(network(torch.float32), Scripted(numbers.repeat(2)), real, fake)
    )
    torch.testing.assert_close(twice, once)


@pytest.mark.parametrize("make", PENALTIES.values(), ids=PENALTIES)
def test_gradients_by_the_parameters_against_finite_differences(
    make: Callable[[], Term],
) -> None:
    model = network()
    names, parameters = zip(*model.named_parameters(), strict=True)

    def value(*parameters: Tensor) -> Tensor:
        def discriminator(samples: Tensor) -> Tensor:
            given = dict(zip(names, parameters, strict=True))
            logits: Tensor = torch.func.functional_call(model, given, (samples,))
            return logits

        return valued(make(), critique(discriminator, Draws(0), REAL.double(), FAKE.double()))

    # The output's bias moves no gradient by the samples, and has none itself.
    moving = value(*parameters)
    touched = torch.autograd.grad(moving, parameters, allow_unused=True)
    assert all(pull is not None and pull.any() for pull in touched[:-1])
    assert torch.autograd.gradcheck(value, parameters)


@pytest.mark.parametrize("name", PENALTIES)
def test_per_sample_penalties_say_so(name: str) -> None:
    assert PENALTIES[name]().per_sample == (name in PER_SAMPLE)


@pytest.mark.parametrize("make", PENALTIES.values(), ids=PENALTIES)
@pytest.mark.parametrize("shape", [(4, 5), (4, 1, 16), (4, 3, 8, 8)], ids=str)
def test_samples_of_any_shape(make: Callable[[], Term], shape: tuple[int, ...]) -> None:
    samples = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    value = valued(make(), critique(half_square, Draws(1), samples, samples.flip(0)))
    assert value.shape == ()
    assert value > 0


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_full_precision_under_autocast(name: str) -> None:
    model = network(torch.float32)
    plain = valued(PENALTIES[name](), critique(model, Draws(0)))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = valued(PENALTIES[name](), critique(model, Draws(0)))
        half = gradients(model, REAL.bfloat16())
    assert torch.equal(mixed, plain)
    leaf = REAL.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf).sum(), leaf)
    assert half.dtype == torch.float32
    assert torch.equal(half, gradient.flatten(1))


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_where_the_discriminator_is_flat_the_gradient_is_zero_not_nan(name: str) -> None:
    slope = torch.tensor(0.0, requires_grad=True)
    value = valued(PENALTIES[name](), critique(lambda samples: slope * samples.flatten(1).sum(1)))
    torch.autograd.backward(value)
    assert slope.grad is not None
    assert slope.grad.isfinite()


def test_gradients_are_each_samples_own_and_reach_no_generator() -> None:
    samples = REAL.clone().requires_grad_()
    rows = gradients(half_square, samples)
    assert torch.equal(rows, REAL.flatten(1))
    (gradient,) = torch.autograd.grad(rows.sum(), samples, allow_unused=True)
    assert gradient is None


@pytest.mark.parametrize("make", PENALTIES.values(), ids=PENALTIES)
def test_lazy_application_keeps_the_average_pull(make: Callable[[], Term]) -> None:
    always, lazy = make(), make()
    lazy.every = 4
    due = [update for update in range(12) if lazy.due(update)]
    assert due == [0, 4, 8]
    assert all(always.due(update) for update in range(12))
    now = critique(network(torch.float32), Draws(0))
    later = critique(network(torch.float32), Draws(0))
    torch.testing.assert_close(valued(lazy, now), 4 * valued(always, later))


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: R1(-1), "weight"),
        (lambda: R1(1, every=0), "every"),
        (lambda: DRAGAN(1, variance=0), "variance"),
        (lambda: LeCam(1, decay=1.1), "decay"),
        (lambda: WeightClipping(0), "bound"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        make()


def test_weight_clipping_clamps_every_parameter_in_place() -> None:
    linear, norm = nn.Linear(2, 2), nn.BatchNorm1d(2)
    model = nn.Sequential(linear, norm)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.5, -0.5], [0.004, -0.004]]))
        linear.bias.copy_(torch.tensor([0.01, -0.02]))
    places = [parameter.data_ptr() for parameter in model.parameters()]
    WeightClipping(0.01)(model)
    assert places == [parameter.data_ptr() for parameter in model.parameters()]
    clipped = torch.tensor([[0.01, -0.01], [0.004, -0.004]])
    assert torch.equal(linear.weight, clipped)
    assert torch.equal(linear.bias, torch.tensor([0.01, -0.01]))
    assert torch.equal(norm.weight, torch.full((2,), 0.01))
