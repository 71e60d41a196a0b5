"""What is added to a player's loss beside the adversarial one, and what an update has in hand."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from torch import Tensor, nn

from touchstone.draws import Randomness

# What a discriminator says of samples, by name: `logits` `(N,)`; one with a head of touchstone's
# also `features` `(N, F)`, from which the head computed them, and what else the head guesses.
Verdict: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Critique:
    """What the discriminator's update has in hand.

    Attributes:
        discriminator: maps samples `(N, ...)` to raw logits `(N,)`, the labels already bound.
        real: real samples as the discriminator saw them, `(N, ...)`.
        fake: generated samples as the discriminator saw them, `(N, ...)`, detached.
        judge: gives the verdicts on both, with the graph to the discriminator's parameters.
        draws: where a term takes its random numbers from.
        labels: of the real samples, which the generated ones were given too, `(N,)`.
        latents: of the generated samples, `(N, latent_size)`.
        networks: the generator and the discriminator themselves.
    """

    discriminator: Callable[[Tensor], Tensor]
    real: Tensor
    fake: Tensor
    judge: Callable[[], tuple[Verdict, Verdict]]
    draws: Randomness
    labels: Tensor | None
    latents: Tensor
    networks: tuple[nn.Module, nn.Module]

    @cached_property
    def verdicts(self) -> tuple[Verdict, Verdict]:
        """On the real and on the generated samples, judged once, when they are first asked for."""
        return self.judge()

    @property
    def logits(self) -> tuple[Tensor, Tensor]:
        """Of the real and of the generated samples."""
        real, fake = self.verdicts
        return real["logits"], fake["logits"]


@dataclass(frozen=True)
class Creation:
    """What the generator's update has in hand.

    Attributes:
        real: real samples as they came, `(N, ...)`.
        fake: generated samples, `(N, ...)`, with the graph to the generator's parameters.
        judge_real: gives the verdict on as many real samples.
        judge_fake: gives the verdict on the generated samples, with the graph.
        draws: where a term takes its random numbers from.
        labels: of both, `(N,)`.
        latents: of the generated samples, `(N, latent_size)`.
        networks: the generator and the discriminator themselves.
    """

    real: Tensor
    fake: Tensor
    judge_real: Callable[[], Verdict]
    judge_fake: Callable[[], Verdict]
    draws: Randomness
    labels: Tensor | None
    latents: Tensor
    networks: tuple[nn.Module, nn.Module]

    @cached_property
    def real_verdict(self) -> Verdict:
        """On the real samples, judged once, when it is first asked for."""
        return self.judge_real()

    @cached_property
    def fake_verdict(self) -> Verdict:
        """On the generated samples, judged once, when it is first asked for."""
        return self.judge_fake()


class Term(nn.Module):
    """A term of the discriminator's loss, of the generator's, or of both.

    Applied lazily, it looks at each `every`-th update of its player alone, with its weight scaled
    by `every` so that its average pull stays (Karras et al. 2020, arXiv 1912.04958, appendix B).

    Args:
        weight: factor of the term, at least 0; its symbol in the paper stands with each term.
        every: updates of its player from one application to the next, at least 1.

    Attributes:
        per_sample: whether the term looks at each sample's own gradient, which means something only
            when a sample's logit does not depend on the rest of the batch: no batch statistics.
        whole_batch: whether a sample's term depends on the other samples of the batch.
        probes: whether it makes passes of its own through the discriminator.
        examines: whether it asks for more of a verdict than the logits.
        needs_labels: whether it looks at the samples' labels.
        compares: whether the generator's term looks at real samples.

    Raises:
        ValueError: `weight` or `every` is out of range.
    """

    per_sample = False
    whole_batch = False
    probes = False
    examines = False
    needs_labels = False
    compares = False

    def __init__(self, weight: float, every: int = 1) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"{type(self).__name__}'s weight={weight} has to be at least 0.")
        if every < 1:
            raise ValueError(f"{type(self).__name__}'s every={every} has to be at least 1 update.")
        self.weight = weight
        self.every = every

    def prepare(self, networks: tuple[nn.Module, nn.Module]) -> None:
        """Sees the generator and the discriminator before the training, to make room for state."""
        return None

    def due(self, update: int) -> bool:
        """Tells whether the player's update number `update`, from 0, applies the term."""
        return update % self.every == 0

    def weighed(self, value: Tensor) -> Tensor:
        """Applies `weight`, and `every`, to the term's value."""
        return self.weight * self.every * value

    def discriminator(self, critique: Critique) -> Tensor | None:
        """Gives the discriminator's term as the paper writes it, a scalar; None: it has none."""
        return None

    def generator(self, creation: Creation) -> Tensor | None:
        """Gives the generator's term as the paper writes it, a scalar; None: it has none."""
        return None

    def extra_repr(self) -> str:
        """Shows the weight in a printed network."""
        return f"weight={self.weight}, every={self.every}"
