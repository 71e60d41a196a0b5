"""What the training step asks of an augmentation."""

from typing import Protocol

from torch import Tensor

from touchstone.draws import Randomness


class Augmentation(Protocol):
    """Changes samples, the generated ones so that gradients go through it to the generator."""

    def __call__(self, samples: Tensor, draws: Randomness, progress: Tensor) -> Tensor:
        """Changes samples `(N, ...)`.

        Args:
            samples: this process's samples.
            draws: where its random numbers come from.
            progress: the share of the run's budget of images that has been shown, a scalar in
                [0, 1].
        """
        ...
