"""A classifier that was shown counterfeits, beside which the others stand who were not."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.learning import learn, seeded
from touchstone.data.split import Split


class Supervised(Detector):
    """Tells genuine items from counterfeits of known kinds, by the cross-entropy of both.

    Of a counterfeit of a kind that it was not shown it knows nothing: leaving one out says so.

    Args:
        network: makes a network that maps samples `(N, C, H, W)` to logits of being genuine.
        counterfeits: gives the counterfeits that it is shown, labelled by kind.
        leave_out: a kind that it is not shown.
        iterations: of half a batch of genuine items and half of counterfeits.
    """

    def __init__(
        self,
        network: Callable[[], nn.Module],
        counterfeits: Callable[[], Split],
        leave_out: str | None = None,
        iterations: int = 2_000,
    ) -> None:
        super().__init__()
        self._counterfeits, self.leave_out, self.iterations = counterfeits, leave_out, iterations
        with seeded(0):
            self.network = network()

    def fit(self, genuine: Split) -> None:
        """Learns from genuine items and, unlike every other detector, from counterfeits."""
        counterfeits = self._counterfeits()
        assert counterfeits.labels is not None
        shown = counterfeits.labels != (
            counterfeits.classes.index(self.leave_out) if self.leave_out else -1
        )
        numbers = shown.nonzero()[:, 0]
        draws = torch.Generator().manual_seed(0)

        def loss(real: Tensor, iteration: int) -> Tensor:
            chosen = numbers[torch.randint(len(numbers), (len(real),), generator=draws)]
            fake = counterfeits.batch(chosen)[0].to(real)
            genuine_logits, fake_logits = self.network(torch.cat([real, fake])).float().chunk(2)
            return softplus(-genuine_logits).mean() + softplus(fake_logits).mean()

        self.network.train()
        learn(
            loss, self.network.parameters(), genuine, iterations=self.iterations, name="supervised"
        )

    def score(self, samples: Tensor) -> Tensor:
        """Minus the logit of being genuine, `(N,)`."""
        logits: Tensor = self.network(samples)
        return -logits.float()
