"""The article's own detector: the discriminator's word."""

from torch import Tensor

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.examination import check, examined
from touchstone.trained import Trained


class Discriminator(Detector):
    """Minus the discriminator's raw logit (Goodfellow et al. 2014, arXiv 1406.2661, section 3).

    The baseline, and no detector to rely on. What the discriminator learns to tell is its own
    generator's samples of the moment, and nothing else; where those come near the genuine items,
    its logit says nothing more of them (D = 1/2, proposition 1), and what it says of items that
    neither player has ever made is an accident of the game's last iterations: from one checkpoint
    to the next it drifts, and even turns round. The features below the logit are far steadier.
    """

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Sees the networks."""
        check(trained, shape, "discriminator")
        super().prepare(trained, shape)

    def score(self, samples: Tensor) -> Tensor:
        """Minus the logits, `(N,)`."""
        return -examined(self.trained, samples)["logits"].float()
