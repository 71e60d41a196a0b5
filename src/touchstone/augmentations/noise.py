"""No augmentation, and noise that fades."""

from dataclasses import dataclass

from torch import Tensor

from touchstone.draws import Randomness


@dataclass(frozen=True)
class Identity:
    """Shows the samples as they are."""

    def __call__(self, samples: Tensor, draws: Randomness, progress: Tensor) -> Tensor:
        """Gives the samples back."""
        return samples


@dataclass(frozen=True)
class InstanceNoise:
    """Adds Gaussian noise that fades over the run (Sønderby et al. 2017, arXiv 1610.04490).

    It lets the distributions of real and fake samples overlap. The noise of each element is
    N(0, deviation²) at the start; its deviation falls linearly to 0 at the end of the budget.

    Attributes:
        deviation: of the noise at the start, in the samples' units; at least 0.

    Raises:
        ValueError: `deviation` is negative.
    """

    deviation: float = 0.1

    def __post_init__(self) -> None:
        if self.deviation < 0:
            raise ValueError(f"augmentation.deviation={self.deviation} has to be at least 0.")

    def __call__(self, samples: Tensor, draws: Randomness, progress: Tensor) -> Tensor:
        """Adds the noise that belongs to `progress`."""
        deviation = self.deviation * (1 - progress).clamp(min=0)
        return samples + deviation * draws.normal(*samples.shape).to(samples)
