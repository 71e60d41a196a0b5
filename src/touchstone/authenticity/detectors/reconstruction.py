"""Printed codes compared with what the generator makes of their templates."""

import torch
from torch import Tensor

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.detectors.template_correlation import check_pair, standardized
from touchstone.errors import UsageError
from touchstone.symbols import symbols_of
from touchstone.trained import Trained


class Reconstruction(Detector):
    """Mean squared difference of a picture and the generator's print of its template.

    The print is the one of the mean style and ink. Both are brought to mean 0 and deviation 1, so
    that an item's own contrast and brightness do not count.
    """

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Sees the generator.

        Raises:
            UsageError: it prints no templates.
        """
        super().prepare(trained, shape)
        check_pair(shape, "reconstruction")
        if not hasattr(trained.generator, "print"):
            raise UsageError(
                "detector=reconstruction: the generator prints no templates: train with "
                "model=printed_codes"
            )

    def score(self, samples: Tensor) -> Tensor:
        """Scores samples `(N, 2, 3 S, 3 S)`: `(N,)`, at least 0."""
        return self.map(samples).mean((1, 2))

    def map(self, samples: Tensor) -> Tensor:
        """The squared differences, `(N, 3 S, 3 S)`."""
        generator = self.trained.generator
        symbols = symbols_of(samples[:, 1:])
        style = torch.zeros(len(samples), int(generator.style)).to(symbols)  # type: ignore[arg-type]
        expected = generator.print(symbols, torch.zeros_like(symbols), style)  # type: ignore[operator]
        both = torch.cat([samples[:, :1].float(), expected.float()], dim=1)
        seen, printed = standardized(both).unbind(1)
        return (seen - printed).square()
