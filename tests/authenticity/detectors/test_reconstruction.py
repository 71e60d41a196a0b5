"""Codes compared with the generator's prints of their templates."""

import pytest
import torch

from touchstone.authenticity.detectors.reconstruction import Reconstruction
from touchstone.errors import UsageError
from touchstone.networks.printed_codes import Generator
from touchstone.symbols import beside
from touchstone.trained import Trained


def test_a_print_of_the_generators_own_differs_by_nothing_and_others_by_what_they_differ() -> None:
    torch.manual_seed(0)
    generator = Generator(8, 24, width=4)
    detector = Reconstruction()
    detector.prepare(Trained(generator), (2, 24, 24))
    symbols = (torch.rand(3, 8, 8) < 0.5).float() * 2 - 1
    with torch.no_grad():
        prints = generator.print(symbols, torch.zeros(3, 8, 8), torch.zeros(3, 8))
        own = detector.score(beside(0.5 * prints + 0.1, symbols))  # another contrast and light
        torch.testing.assert_close(own, torch.zeros(3), atol=1e-6, rtol=0)
        # Of unit variance each, an uncorrelated picture is 1 + 1 away on average.
        noise = detector.score(beside(torch.randn(3, 1, 24, 24), symbols))
        torch.testing.assert_close(noise, torch.full((3,), 2.0), atol=0.25, rtol=0)


def test_for_generators_that_print_alone() -> None:
    with pytest.raises(UsageError, match="model=printed_codes"):
        Reconstruction().prepare(Trained(torch.nn.Identity()), (2, 24, 24))
