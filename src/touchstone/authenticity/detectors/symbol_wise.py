"""Printed codes judged symbol by symbol, against their templates."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from touchstone.authenticity.detectors.detector import Detector
from touchstone.errors import UsageError
from touchstone.symbols import enlarged, symbols_of
from touchstone.trained import Trained


class SymbolWise(Detector):
    """The likelihood ratio of a counterfeit to a genuine print, `sum log(1 + e (r - 1))`.

    For each symbol r is how many times as likely the picture is if another one was printed, by the
    discriminator (`touchstone.terms.falsification`), and e how likely a counterfeit is to have
    another one there. Symbols are taken for independent, given the picture.

    Args:
        share: e of every symbol, in (0, 1); None: what the generator is likely to misread.

    Raises:
        ValueError: `share` is out of range.
    """

    def __init__(self, share: float | None = None) -> None:
        super().__init__()
        if share is not None and not 0 < share < 1:
            raise ValueError(f"detectors.symbol_wise.share={share} has to be between 0 and 1.")
        self.share = share

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Sees the networks.

        Raises:
            UsageError: they judge no symbols.
        """
        super().prepare(trained, shape)
        if not hasattr(trained.discriminator, "inspect"):
            raise UsageError(
                "detector=symbol_wise: it is for a discriminator that judges each symbol of a "
                "code: train with model=printed_codes penalty=[falsification]"
            )

    def score(self, samples: Tensor) -> Tensor:
        """Scores samples `(N, 2, 3 S, 3 S)`: `(N,)`."""
        return self._evidence(samples).sum((1, 2))

    def map(self, samples: Tensor) -> Tensor:
        """Each symbol's part of the score, at the picture's size `(N, 3 S, 3 S)`."""
        return enlarged(self._evidence(samples))

    def _evidence(self, samples: Tensor) -> Tensor:
        """`log(1 + e (r - 1))` of each symbol, `(N, S, S)`, stable for any r and e."""
        log_ratios = self.trained.discriminator.inspect(samples).float()  # type: ignore[union-attr,operator]
        if self.share is None:
            symbols = symbols_of(samples[:, 1:])
            odds = self.trained.generator.misreading(symbols, symbols).float()  # type: ignore[operator]
        else:
            odds = torch.full_like(log_ratios, self.share).logit()
        return torch.logaddexp(logsigmoid(-odds), logsigmoid(odds) + log_ratios)
