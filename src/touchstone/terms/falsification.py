"""Falsified templates: how an inspector of printed codes learns from genuine prints alone."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from touchstone.symbols import beside, symbols_of
from touchstone.terms.term import Creation, Critique, Term


class Falsifier(Protocol):
    """Says how likely a symbol of a template is to be another in a counterfeit."""

    def __call__(self, symbols: Tensor, centres: Tensor, generator: nn.Module) -> Tensor:
        """Gives probabilities `(N, S, S)`.

        Args:
            symbols: around each place of the template, `(N, S, S)` in {-1, 1}.
            centres: what the template has at the place, the same or others.
            generator: the counterfeiter.
        """
        ...


class Evenly:
    """Falsifies every symbol alike.

    Args:
        rate: the probability, in (0, 1).

    Raises:
        ValueError: `rate` is out of range.
    """

    def __init__(self, rate: float = 0.1) -> None:
        if not 0 < rate < 1:
            raise ValueError(f"rate={rate} of falsified symbols has to be between 0 and 1.")
        self.rate = rate

    def __call__(self, symbols: Tensor, centres: Tensor, generator: nn.Module) -> Tensor:
        """Gives `rate` everywhere."""
        return torch.full_like(symbols, self.rate)


class AsMisread:
    """Falsifies what the generator, which reads as a counterfeiter does, would misread."""

    def __call__(self, symbols: Tensor, centres: Tensor, generator: nn.Module) -> Tensor:
        """Gives the generator's own probability of misreading."""
        with torch.no_grad():
            logits: Tensor = generator.misreading(symbols, centres)  # type: ignore[operator]
        return logits.float().sigmoid()


class Falsification(Term):
    """Has the discriminator tell which symbols of a genuine print's template were falsified.

    A counterfeit is a print, as good as any, of a template with a few symbols misread; so is a
    genuine print beside a template with a few symbols falsified, and no counterfeit is needed. With
    `e(t)` the probability that a symbol t of the template is misread, among its neighbours, a print
    of the opposite symbol is shown beside t with probability `e(t)`, and one of t itself with
    `1 - e(opposite of t)`. The cross-entropy of the discriminator's `log r` and the logarithm of
    these odds is least where r is the ratio of densities,
    `p(picture | another symbol was printed) / p(picture | this symbol was printed)`.

    Args:
        weight: factor of the term.
        falsifier: which symbols are falsified.
    """

    probes = True

    def __init__(self, weight: float, falsifier: Falsifier) -> None:
        super().__init__(weight)
        self.falsifier = falsifier

    def discriminator(self, critique: Critique) -> Tensor:
        """The cross-entropy of what was falsified, the mean over all symbols."""
        generator, discriminator = critique.networks
        pictures, templates = torch.split(critique.real, 1, dim=1)
        printed = symbols_of(templates)
        chances = critique.draws.uniform(*printed.shape).to(printed)
        wrong = (chances < self.falsifier(printed, -printed, generator)).to(printed)
        shown = printed * (1 - 2 * wrong)
        odds = self.falsifier(shown, shown, generator) / (
            1 - self.falsifier(shown, -shown, generator)
        )
        log_ratios: Tensor = discriminator.inspect(beside(pictures, shown))  # type: ignore[operator]
        return binary_cross_entropy_with_logits(log_ratios.float() + odds.log(), wrong)


class Misreading(Term):
    """Has the generator read genuine prints as a counterfeiter would, and learn where it errs.

    Its errors become fewer and harder to find as it learns to read, and with them what it proposes
    to the discriminator.
    """

    def generator(self, creation: Creation) -> Tensor:
        """The cross-entropy of the symbols that it reads, and that of having misread them."""
        generator, _ = creation.networks
        pictures, templates = torch.split(creation.real, 1, dim=1)
        symbols = symbols_of(templates)
        read = generator.reader(pictures).float()  # type: ignore[operator]
        misread = (read.detach() > 0) != (symbols > 0)
        expected = generator.misreading(symbols, symbols).float()  # type: ignore[operator]
        return binary_cross_entropy_with_logits(
            read, (symbols > 0).to(read)
        ) + binary_cross_entropy_with_logits(expected, misread.to(expected))
