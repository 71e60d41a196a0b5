"""The likelihood ratio of a code, symbol by symbol."""

import math

import pytest
import torch
from torch import Tensor, nn

from touchstone.authenticity.detectors.symbol_wise import SymbolWise
from touchstone.errors import UsageError
from touchstone.networks.printed_codes import Discriminator, Generator
from touchstone.symbols import beside
from touchstone.trained import Trained


class Known(nn.Module):
    """A discriminator that gives log r of 0 but at the first symbol, and 3 there."""

    def inspect(self, samples: Tensor) -> Tensor:
        found = torch.zeros(len(samples), 8, 8)
        found[:, 0, 0] = 3.0
        return found


def samples(number: int) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    symbols = (torch.rand(number, 8, 8, generator=draws) < 0.5).float() * 2 - 1
    return beside(torch.randn(number, 1, 24, 24, generator=draws).tanh(), symbols)


def prepared(detector: SymbolWise, discriminator: nn.Module | None = None) -> SymbolWise:
    torch.manual_seed(0)
    generator = Generator(8, 24, width=4)
    detector.prepare(Trained(generator, discriminator or Discriminator(24, width=4)), (2, 24, 24))
    return detector


def test_by_hand() -> None:
    detector = prepared(SymbolWise(share=0.1), Known())
    # log(1 + 0.1 (e³ - 1)) of one symbol, log 1 = 0 of the others.
    expected = math.log(1 + 0.1 * (math.e**3 - 1))
    torch.testing.assert_close(detector.score(samples(2)), torch.full((2,), expected))
    found = detector.map(samples(2))
    assert found.shape == (2, 24, 24)
    torch.testing.assert_close(found[:, :3, :3], torch.full((2, 3, 3), expected))
    torch.testing.assert_close(found[:, 3:], torch.zeros(2, 21, 24), atol=1e-6, rtol=0)


def test_without_a_share_each_symbol_has_the_generators() -> None:
    detector = prepared(SymbolWise(), Known())
    generator = detector.trained.generator
    given = samples(3)
    errs = generator.misreading(given[:, 1, 1::3, 1::3], given[:, 1, 1::3, 1::3]).sigmoid()  # type: ignore[operator]
    expected = torch.log1p(errs[:, 0, 0] * (math.e**3 - 1))
    torch.testing.assert_close(detector.score(given), expected)


def test_each_sample_by_itself_and_stable_for_any_ratio() -> None:
    detector = prepared(SymbolWise(share=0.01))
    given = samples(5)
    together = detector.score(given)
    torch.testing.assert_close(together, torch.cat([detector.score(one[None]) for one in given]))

    class Extreme(nn.Module):
        def inspect(self, samples: Tensor) -> Tensor:
            return torch.tensor([-500.0, 500.0]).repeat(len(samples), 8, 4)

    # log(1 - 0.01) of 32 symbols, and 500 + log 0.01 of 32.
    expected = 32 * math.log(0.99) + 32 * (500 + math.log(0.01))
    found = prepared(SymbolWise(share=0.01), Extreme()).score(given)
    torch.testing.assert_close(found, torch.full((5,), expected))


def test_for_discriminators_of_symbols_alone() -> None:
    with pytest.raises(UsageError, match=r"model=printed_codes penalty=\[falsification\]"):
        prepared(SymbolWise(), nn.Identity())
    with pytest.raises(ValueError, match=r"share=1\.5"):
        SymbolWise(1.5)
