"""By hand, for a discriminator that is half the squared norm."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from touchstone.augmentations import DiffAugment, InstanceNoise
from touchstone.draws import Draws
from touchstone.terms import Critique
from touchstone.terms.consistency import Consistency

REAL = torch.arange(8.0).reshape(2, 1, 2, 2) / 4
FAKE = -torch.ones(2, 1, 2, 2)


def half_square(samples: Tensor) -> Tensor:
    """Of REAL (0+1+4+9)/32 = 0.4375 and (16+25+36+49)/32 = 3.9375, of FAKE 2 and 2."""
    return samples.flatten(1).square().sum(1) / 2


def doubled(samples: Tensor, draws: object, progress: Tensor) -> Tensor:
    """A change that makes logits of half_square four times as large."""
    return 2 * samples


def critique(
    discriminator: Callable[[Tensor], Tensor],
    real: Tensor = REAL,
    fake: Tensor = FAKE,
    seed: int = 0,
) -> Critique:
    return Critique(
        discriminator=discriminator,
        real=real,
        fake=fake,
        judge=lambda: ({"logits": discriminator(real)}, {"logits": discriminator(fake)}),
        draws=Draws(seed),
        labels=None,
        latents=torch.zeros(len(real), 1),
        networks=(nn.Identity(), nn.Identity()),
    )


# The differences are three times the logits.
OF_REAL = 9 * (0.4375**2 + 3.9375**2) / 2
OF_FAKE = 9 * 2**2


@pytest.mark.parametrize(
    ("fake_share", "expected"), [(0, OF_REAL), (1, OF_REAL + OF_FAKE), (0.5, OF_REAL + OF_FAKE / 2)]
)
def test_by_hand(fake_share: float, expected: float) -> None:
    term = Consistency(10, doubled, fake_share)
    value = term.discriminator(critique(half_square))
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-6)
    assert term.weighed(value).item() == pytest.approx(10 * expected, rel=1e-6)


def test_an_augmentation_that_changes_nothing_costs_nothing() -> None:
    assert Consistency(10, DiffAugment([]), 1.0).discriminator(critique(half_square)) == 0


def test_fake_samples_are_judged_again_only_where_they_count() -> None:
    seen: list[int] = []

    def discriminator(samples: Tensor) -> Tensor:
        seen.append(len(samples))
        return half_square(samples)

    for fake_share, passes in ((0.0, 3), (1.0, 4)):  # two of them the judgement itself
        seen.clear()
        Consistency(10, doubled, fake_share).discriminator(critique(discriminator))
        assert len(seen) == passes


def test_the_change_is_drawn_from_the_updates_stream() -> None:
    samples = torch.linspace(-1, 1, 4 * 64).reshape(4, 1, 8, 8)
    term = Consistency(10, DiffAugment(["flip", "translation"]))
    slope = torch.linspace(0, 1, 64).reshape(1, 8, 8)

    def discriminator(samples: Tensor) -> Tensor:
        return (samples * slope).flatten(1).sum(1)

    first, again, other = (
        term.discriminator(critique(discriminator, samples, samples, seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert first != other


def test_gradients_by_the_parameters_against_finite_differences() -> None:
    def value(slope: Tensor, bias: Tensor) -> Tensor:
        def discriminator(samples: Tensor) -> Tensor:
            return torch.tanh(samples.flatten(1) @ slope + bias)

        term = Consistency(10, InstanceNoise(0.5), 0.5)
        return term.discriminator(critique(discriminator, REAL.double(), FAKE.double()))

    slope = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(value, (slope, bias))


@pytest.mark.parametrize(
    ("settings", "name"), [((-1, doubled), "weight"), ((1, doubled, -0.1), "fake_share")]
)
def test_settings_out_of_range_are_refused(settings: tuple[object, ...], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Consistency(*settings)  # type: ignore[arg-type]
