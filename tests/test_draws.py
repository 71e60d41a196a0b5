import pytest
import torch
from torch import Tensor

from touchstone.draws import Draws, Share, derive


@pytest.mark.parametrize(
    ("place", "seed"),
    [
        ((0, "weights"), 4_283_426_181_684_004_966),
        ((0, "noise", 64), 5_394_228_416_834_265_733),
        ((7, "noise", 64), 7_575_112_848_190_310_053),
    ],
)
def test_a_place_has_the_seed_it_always_had(place: tuple[int, str, int], seed: int) -> None:
    # Another function here would change every run, and a resumed one in its middle.
    assert derive(*place) == seed


def test_places_have_seeds_of_63_bits_that_differ() -> None:
    places = [(seed, kind, images) for seed in range(4) for kind in "ab" for images in range(500)]
    seeds = [derive(seed, kind, images) for seed, kind, images in places]

    assert len(set(seeds)) == len(places)
    assert min(seeds) >= 0
    assert 2**62 < max(seeds) < 2**63
    assert derive(1, 12) != derive(11, 2)


def test_a_share_is_a_contiguous_part() -> None:
    batch = torch.arange(6)

    assert Share(0, 3).of(batch).tolist() == [0, 1]
    assert Share(2, 3).of(batch).tolist() == [4, 5]
    assert Share().of(batch).tolist() == [0, 1, 2, 3, 4, 5]


def stream(draws: Draws, size: int) -> list[Tensor]:
    return [draws.normal(size, 3), draws.uniform(size), draws.normal(size, 2, 2)]


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_together_draw_what_one_draws_alone(processes: int) -> None:
    alone = stream(Draws(5), 8)
    shares = [
        stream(Draws(5, share=Share(rank, processes)), 8 // processes) for rank in range(processes)
    ]

    for expected, *parts in zip(alone, *shares, strict=True):
        assert torch.equal(torch.cat(parts), expected)


def test_calls_go_on_in_one_stream() -> None:
    draws = Draws(5)
    first, second = draws.normal(4, 3), draws.normal(4, 3)

    assert first.shape == (4, 3)
    assert not torch.equal(first, second)
    again = Draws(5)
    assert torch.equal(again.normal(4, 3), first)
    assert torch.equal(again.normal(4, 3), second)


def test_the_distributions() -> None:
    # Five standard errors of the mean and the deviation of 40,000 numbers.
    normal, uniform = Draws(1).normal(40_000), Draws(1).uniform(40_000)

    assert normal.mean().item() == pytest.approx(0, abs=5 / 200)
    assert normal.std().item() == pytest.approx(1, abs=5 / 200 / 2**0.5)
    assert uniform.mean().item() == pytest.approx(0.5, abs=5 / 200 / 12**0.5)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.max() - uniform.min() > 0.99


def test_torchs_own_generator_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.randn(2)

    torch.manual_seed(3)
    stream(Draws(5), 4)
    assert torch.equal(torch.randn(2), expected)
