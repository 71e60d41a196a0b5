import pytest
import torch

from touchstone.augmentations import Identity, InstanceNoise
from touchstone.draws import Draws

SAMPLES = torch.linspace(-1, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)

START = torch.tensor(0.0)


def test_identity_gives_the_samples_back() -> None:
    assert Identity()(SAMPLES, Draws(0), torch.tensor(0.3)) is SAMPLES


@pytest.mark.parametrize(("progress", "deviation"), [(0, 0.2), (0.25, 0.15), (1, 0), (1.1, 0)])
def test_noise_fades_in_a_straight_line(progress: float, deviation: float) -> None:
    noisy = InstanceNoise(0.2)(SAMPLES, Draws(7), torch.tensor(progress))
    expected = SAMPLES + deviation * Draws(7).normal(2, 3, 4, 4)
    torch.testing.assert_close(noisy, expected, rtol=0, atol=1e-6)


def test_every_element_has_noise_of_its_own() -> None:
    noise = InstanceNoise(0.5)(torch.zeros(64, 3, 8, 8), Draws(0), START)
    assert noise.std().item() == pytest.approx(0.5, rel=0.03)
    assert len(set(noise.flatten().tolist())) > 0.99 * noise.numel()


def test_real_and_fake_get_different_noise_from_one_stream() -> None:
    draws, noise = Draws(0), InstanceNoise()
    assert not torch.equal(noise(SAMPLES, draws, START), noise(SAMPLES, draws, START))


def test_the_generator_learns_through_it() -> None:
    samples = SAMPLES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(InstanceNoise()(samples, Draws(0), START).sum(), samples)
    assert torch.equal(gradient, torch.ones_like(SAMPLES))


def test_memory_format_and_type_are_kept() -> None:
    samples = SAMPLES.double().contiguous(memory_format=torch.channels_last)
    noisy = InstanceNoise()(samples, Draws(0), START)
    assert noisy.dtype == torch.float64
    assert noisy.is_contiguous(memory_format=torch.channels_last)


def test_a_negative_deviation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"augmentation\.deviation"):
        InstanceNoise(-0.1)
