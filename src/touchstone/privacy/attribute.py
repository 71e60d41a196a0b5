"""Attribute inference: what synthetic records tell of somebody whose other data are known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.privacy.intervals import LEVEL, Estimate

DRAWS, BLOCK = 1000, 100  # of the bootstrap, and of those at once


class People(NamedTuple):
    """What is known of people, and what is secret.

    Attributes:
        known: features, float32 `(N, K)`.
        secret: the labels of one column, int64 `(N,)`.
    """

    known: Tensor
    secret: Tensor


@dataclass(frozen=True)
class Guessing:
    """How well secrets are guessed, by one figure, with 95 % intervals.

    Attributes:
        members: of people whom the generator was trained on.
        control: of people whom it was not: what can be known of anybody, by what goes together.
        advantage: the first less the second: what training on somebody gave away of him.
    """

    members: Estimate
    control: Estimate
    advantage: Estimate


@dataclass(frozen=True)
class AttributeInference:
    """What an attacker learns.

    Attributes:
        accuracy: of his guesses.
        auroc: of his certainty of each label against the others, the mean over labels; None where
            only one label occurs, so that there is nothing to tell.
    """

    accuracy: Guessing
    auroc: Guessing | None


def nearest_record() -> Any:
    """The attacker who looks up the synthetic record nearest in what is known."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(1)


def boosted_trees() -> Any:
    """The attacker who learns what goes together in the synthetic records."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(early_stopping=False, random_state=0)


def attribute_inference(
    synthetic: People,
    members: People,
    others: People,
    learner: Callable[[], Any],
    seed: int = 0,
) -> AttributeInference:
    """Lets an attacker, who has the synthetic records, guess what is secret of people.

    The attack of Stadler, Oprisanu and Troncoso 2022 (Synthetic Data - Anonymisation Groundhog Day,
    arXiv 2011.07018, section 5), its advantage that over people who were not in the data.

    Args:
        synthetic: what the attacker learns from.
        members: whom the generator was trained on.
        others: whom it was not, of the same kind.
        learner: gives a classifier of scikit-learn: `nearest_record`, `boosted_trees`.
        seed: of the bootstrap over people.

    Raises:
        UsageError: no records of one of the three.
    """
    named = {"synthetic records": synthetic, "members": members, "others": others}
    for name, people in named.items():
        if not len(people.known):
            raise UsageError(f"attribute inference: there are no {name}")
    occurring = torch.cat([people.secret for people in named.values()])
    labels = torch.unique(occurring)
    certainty = _attacker(synthetic, labels, learner)
    sides = [
        (certainty(people.known), torch.searchsorted(labels, people.secret.contiguous()))
        for people in (members, others)
    ]
    compared = [number for number in range(len(labels)) if all(_both(s, number) for _, s in sides)]
    draws = torch.Generator().manual_seed(derive(seed, "attribute"))
    accuracy, auroc = [_Accuracy(*side) for side in sides], None
    if compared:
        auroc = _guessing([_Auroc(*side, compared) for side in sides], draws)
    return AttributeInference(_guessing(accuracy, draws), auroc)


def _attacker(
    synthetic: People, labels: Tensor, learner: Callable[[], Any]
) -> Callable[[Tensor], Tensor]:
    """What the attacker holds to be how likely: from what is known `(n, K)` to `(n, labels)`."""
    told = torch.unique(synthetic.secret)
    columns = torch.searchsorted(labels, told)
    # scikit-learn's boosting learns of no single label, though there is nothing to learn of it.
    classifier = None
    if len(told) > 1:
        classifier = learner().fit(synthetic.known.numpy(), synthetic.secret.numpy())

    def certainty(known: Tensor) -> Tensor:
        likely = torch.zeros(len(known), len(labels), dtype=torch.float64)
        likely[:, columns] = 1.0
        if classifier is not None:
            likely[:, columns] = torch.from_numpy(classifier.predict_proba(known.numpy())).double()
        return likely

    return certainty


def _both(secret: Tensor, label: int) -> bool:
    """Whether there are people with a label and people without it."""
    return bool((secret == label).any() and (secret != label).any())


class _Accuracy:
    """The share of right guesses, where people have weights."""

    def __init__(self, certainty: Tensor, secret: Tensor) -> None:
        self.number = len(secret)
        self._right = (certainty.argmax(1) == secret).double()

    def __call__(self, weights: Tensor) -> Tensor:
        return weights @ self._right / weights.sum(1)


class _Auroc:
    """The area under the ROC curve of each label against the others, where people have weights.

    The people are in the order of their scores once: with weights, what lies below somebody is a
    running sum, and no draw of the bootstrap has to be sorted.
    """

    def __init__(self, certainty: Tensor, secret: Tensor, labels: list[int]) -> None:
        self.number = len(secret)
        self._ranked = []
        for label in labels:
            scores, order = certainty[:, label].contiguous().sort(stable=True)
            lower = torch.searchsorted(scores, scores)
            not_higher = torch.searchsorted(scores, scores, right=True)
            self._ranked.append((order, secret[order] == label, lower, not_higher))

    def __call__(self, weights: Tensor) -> Tensor:
        areas = []
        for order, has_it, lower, not_higher in self._ranked:
            ordered = weights[:, order]
            with_it, without = ordered * has_it, ordered * ~has_it
            sums = torch.nn.functional.pad(without.cumsum(1), (1, 0))
            below = (sums[:, lower] + sums[:, not_higher]) / 2
            areas.append((with_it * below).sum(1) / (with_it.sum(1) * without.sum(1)))
        return torch.stack(areas).nanmean(0)  # a draw may leave out all people of a rare label


def _guessing(sides: Sequence[_Accuracy | _Auroc], draws: torch.Generator) -> Guessing:
    """A figure of members and of others, and intervals by the percentiles of the bootstrap."""
    found = [side(torch.ones(1, side.number, dtype=torch.float64)) for side in sides]
    drawn = [_bootstrap(side, draws) for side in sides]
    values = [*found, found[0] - found[1]]
    spread = [*drawn, drawn[0] - drawn[1]]
    limits = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
    return Guessing(
        *(
            Estimate(float(value), *torch.nanquantile(sample, limits).tolist())
            for value, sample in zip(values, spread, strict=True)
        )
    )


def _bootstrap(statistic: _Accuracy | _Auroc, draws: torch.Generator) -> Tensor:
    """The figure of people drawn again with replacement, as many as there are, `(DRAWS,)`."""
    drawn = []
    for _ in range(DRAWS // BLOCK):
        chosen = torch.randint(statistic.number, (BLOCK, statistic.number), generator=draws)
        weights = torch.zeros(chosen.shape, dtype=torch.float64)
        drawn.append(statistic(weights.scatter_add_(1, chosen, torch.ones_like(weights))))
    return torch.cat(drawn)
