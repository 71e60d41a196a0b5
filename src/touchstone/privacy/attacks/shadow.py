"""Shadow models: what an attack says of a record with it in training, and without."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from touchstone.draws import derive
from touchstone.errors import UsageError
from touchstone.privacy.attacks.attack import Attack, Evidence

MODELS = 4  # at the least: for a variance, two with a record and two without
LEAST = 1e-6  # the least standard deviation: an attack may say the same of all models


class Shadow:
    """The likelihood ratio of a record's score under models that had it and models that had not.

    LiRA, the online attack of Carlini et al. 2022 (arXiv 2112.03570, section 5, algorithm 1). A
    generator gives no loss of a record, so another attack's score stands in its place. Each record
    is in a random half of the models. Its means are its own; the variances are those over all
    records, which are better known where there are tens of models (their section 6.3).

    As it trains models it is for tens of records: the most exposed (`exposure`), or canaries.

    Args:
        train: from which of the records a model is trained on, bool `(N,)`, and a seed to synthetic
            records `(S, F)`, as the audited model's came about. For the strongest attacker it is
            trained on all members that are not asked about, too.
        attack: whose score is compared.
        models: how many are trained.
        seed: of the halves and of the models.

    Raises:
        UsageError: fewer than four models, so that there is no variance.
    """

    def __init__(
        self,
        train: Callable[[Tensor, int], Tensor],
        attack: Attack,
        models: int = 16,
        seed: int = 0,
    ) -> None:
        if models < MODELS:
            raise UsageError(
                f"models={models}: a record needs two shadow models with it and two without, so "
                f"{MODELS} or more"
            )
        self._train, self._attack = train, attack
        self._models, self._seed = models, seed

    def __call__(self, records: Tensor, evidence: Evidence) -> Tensor:
        """Scores records `(N, F)`: log p(score | in) - log p(score | out), float64 `(N,)`."""
        order = torch.rand(
            self._models,
            len(records),
            generator=torch.Generator().manual_seed(derive(self._seed, "halves")),
        )
        member = order.argsort(0) < self._models // 2  # (models, N)
        made = (
            self._train(inside, derive(self._seed, "shadow", number))
            for number, inside in enumerate(member)
        )
        scores = torch.stack(
            [self._attack(records, Evidence(rows, evidence.reference)) for rows in made]
        )
        audited = self._attack(records, evidence)
        return _log_normal(audited, scores, member) - _log_normal(audited, scores, ~member)


def _log_normal(audited: Tensor, scores: Tensor, chosen: Tensor) -> Tensor:
    """The log of N(audited; mean, variance), of the chosen among scores `(models, N)`: `(N,)`."""
    number = chosen.sum(0)
    mean = (scores * chosen).sum(0) / number
    squares = ((scores - mean).square() * chosen).sum()
    deviation = max(float((squares / (number - 1).sum()).sqrt()), LEAST)
    return -0.5 * ((audited - mean) / deviation).square() - math.log(deviation)
