"""Consistency regularization: the discriminator is not to mind an augmentation."""

from torch import Tensor

from touchstone.augmentations import Augmentation
from touchstone.terms.term import Critique, Term


class Consistency(Term):
    """`lambda E (D(x) - D(T(x)))²`, T an augmentation that leaves the meaning of a sample.

    CR-GAN (Zhang et al. 2020, arXiv 1910.12027, equation 4) has it of real samples alone. Balanced
    consistency, bCR (Zhao et al. 2020, arXiv 2002.04724, algorithm 1), adds the same of fake ones:
    without it, a generator may learn to make the traces of T. `weight` is lambda, 10 in both
    papers, whose T mirrors an image and moves it by a few pixels.

    Args:
        weight: lambda of real samples, at least 0.
        augmentation: T; one that does not depend on the run's progress.
        fake_share: bCR's lambda of fake samples, as a share of that of real ones, at least 0.
        every: discriminator updates from one application to the next, at least 1.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self, weight: float, augmentation: Augmentation, fake_share: float = 0.0, every: int = 1
    ) -> None:
        super().__init__(weight, every)
        if fake_share < 0:
            raise ValueError(f"Consistency's fake_share={fake_share} has to be at least 0.")
        self.augmentation = augmentation
        self.fake_share = fake_share

    def discriminator(self, critique: Critique) -> Tensor:
        """`E (D(x) - D(T(x)))²`, x real, and `fake_share` times the same of fake x."""
        # First, for each pass moves the vectors of spectral normalization, of which a compiled
        # judgement keeps no copy for its way back.
        changed_real = self._changed(critique.real, critique)
        changed_fake = self._changed(critique.fake, critique) if self.fake_share else None
        real, fake = critique.logits
        value = (real - changed_real).square().mean()
        if changed_fake is not None:
            value = value + self.fake_share * (fake - changed_fake).square().mean()
        return value

    def _changed(self, samples: Tensor, critique: Critique) -> Tensor:
        """The logits of the samples after T."""
        progress = samples.new_zeros(())
        return critique.discriminator(self.augmentation(samples, critique.draws, progress))
