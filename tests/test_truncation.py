import copy
import math

import pytest
import torch
from torch import Tensor, nn

from touchstone.errors import UsageError
from touchstone.networks.dcgan import Generator
from touchstone.sampling import latents, samples
from touchstone.truncation import BATCH, sampled_as, take_statistics, truncated


class Echo(nn.Module):
    """Shows the latents that reach it, and what it was told of truncation."""

    latent_size = 3

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return latents


class Own(Echo):
    """Truncates in a way of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.truncation = 1.0

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.truncation * latents


def dcgan() -> Generator:
    torch.manual_seed(0)
    return Generator(latent_size=6, resolution=16, channels=1, width=4)


@pytest.mark.parametrize("threshold", [0.04, 0.5, 1.0, 2.0])
def test_it_is_the_truncated_normal(threshold: float) -> None:
    drawn = truncated(latents(20_000, 4, seed=0), threshold).double().flatten()

    # The variance of N(0, 1) on [-t, t] is 1 - 2 t pdf(t) / (cdf(t) - cdf(-t)).
    density = math.exp(-(threshold**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * threshold * density / math.erf(threshold / math.sqrt(2))
    assert drawn.abs().max().item() == pytest.approx(threshold, rel=1e-3)
    assert drawn.abs().max() <= threshold * (1 + 1e-7)
    assert drawn.mean().item() == pytest.approx(0, abs=5 * math.sqrt(variance / 80_000))
    assert drawn.var().item() == pytest.approx(variance, rel=0.02)


def test_by_hand() -> None:
    # cdf(1) = 0.841345: of z = 1, half of the way to t = 1 on [0.5, 0.841345] at 0.341345 / 0.5.
    at_one = torch.special.ndtri(torch.tensor(0.5 + 0.3413447 * 0.6826895, dtype=torch.float64))
    made = truncated(torch.tensor([-math.inf, -1, 0, 1, math.inf]), 1.0)
    by_hand = torch.tensor([-1, -at_one.item(), 0, at_one.item(), 1])
    assert torch.allclose(made, by_hand, rtol=0, atol=1e-6)


def test_order_and_symmetry_are_kept_and_a_wide_threshold_changes_nothing() -> None:
    drawn = latents(1000, 1, seed=0).flatten().sort().values
    narrow = truncated(drawn, 0.5)
    assert (narrow.diff() >= 0).all()
    assert torch.equal(truncated(-drawn, 0.5), -narrow)
    for wide in (9.0, math.inf):
        assert torch.allclose(truncated(drawn, wide), drawn, rtol=1e-6, atol=1e-7)


def test_a_generators_samples_are_those_of_truncated_latents() -> None:
    generator = Echo().eval()
    made = next(samples(sampled_as(generator, seed=0, truncation=0.5), 9, seed=4))
    assert torch.equal(made, truncated(latents(9, 3, seed=4), 0.5))
    assert sampled_as(generator, seed=0) is generator
    assert not sampled_as(generator, seed=0, truncation=0.5).training
    assert not generator.training


def test_a_generator_that_truncates_by_itself_is_told_how() -> None:
    generator = Own()
    made = next(samples(sampled_as(generator, seed=0, truncation=0.5), 9, seed=4))
    assert torch.equal(made, 0.5 * latents(9, 3, seed=4))
    assert generator.truncation == 1.0


def test_standing_statistics_are_torchs_cumulative_means() -> None:
    generator = dcgan().eval()
    theirs = copy.deepcopy(generator).train()
    norms = [layer for layer in theirs.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
    fed: list[Tensor] = []
    generator.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0]))
    take_statistics(generator, 5, seed=7)
    assert [len(batch) for batch in fed] == [BATCH] * 5
    for batch in fed:
        theirs(batch)

    ours = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d)]
    for one, other in zip(ours, norms, strict=True):
        state, expected = one.state_dict(), other.state_dict()
        for name, tolerance in (("running_mean", 1e-5), ("running_var", 1e-7)):
            assert torch.allclose(state[name], expected[name], rtol=1e-4, atol=tolerance)
    assert not generator.training


def test_standing_statistics_are_those_of_what_the_truncation_lets_through() -> None:
    # The first layer's activations are linear in the latents: their variance is the latents'.
    generator = dcgan().eval()
    before = copy.deepcopy(generator.state_dict())
    wide = sampled_as(generator, seed=0, standing=40)
    narrow = sampled_as(generator, seed=0, truncation=0.5, standing=40)
    again = sampled_as(generator, seed=0, truncation=0.5, standing=40)

    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    first = "layers.0.running_var"
    ratio = narrow.state_dict()[f"generator.{first}"] / wide.state_dict()[first]
    # 1 - 2 * 0.5 * 0.352065 / 0.382925 = 0.080589
    assert torch.allclose(ratio, torch.full((8,), 0.0806), rtol=0.1)
    state = again.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in narrow.state_dict().items())


def test_a_conditional_generator_is_shown_each_class_in_turn() -> None:
    class Labelled(nn.Module):
        latent_size, classes = 2, 3

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(1)

        def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
            made: Tensor = self.norm(labels[:, None].float())
            return made

    generator = Labelled()
    take_statistics(generator, 3, seed=0)
    # 192 labels, 64 of each class; 0, 1 and 2 have the mean 1.
    assert generator.norm.running_mean is not None
    assert generator.norm.running_mean.item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("truncation", "standing", "message"),
    [
        (0, 0, "truncation=0: it has to be a number, more than 0, or null"),
        (-0.5, 0, "truncation=-0.5"),
        (math.nan, 0, "truncation=nan"),
        ("much", 0, "truncation=much"),
        (True, 0, "truncation=True"),
        (None, -1, "standing=-1: it has to be a whole number, 0 or more"),
        (None, 2.5, "standing=2.5"),
        (0.5, 100, "standing=100: the generator has no batch normalization"),
    ],
)
def test_what_makes_no_sense_is_refused(truncation: float, standing: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sampled_as(Echo(), seed=0, truncation=truncation, standing=standing)
