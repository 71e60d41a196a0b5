"""Attribute inference: figures against scikit-learn, and an advantage only where there is one."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from touchstone.errors import UsageError
from touchstone.privacy.attribute import (
    People,
    attribute_inference,
    boosted_trees,
    nearest_record,
)


def people(number: int, seed: int, labels: int = 2) -> People:
    """What is known says a little of the secret."""
    draws = torch.Generator().manual_seed(seed)
    secret = torch.randint(labels, (number,), generator=draws)
    known = torch.randn(number, 4, generator=draws)
    known[:, 0] += secret
    return People(known, secret)


@pytest.mark.parametrize("labels", [2, 4])
def test_figures_are_scikit_learns(labels: int) -> None:
    synthetic, members, others = (people(300, seed, labels) for seed in range(3))
    found = attribute_inference(synthetic, members, others, LogisticRegression)
    model = LogisticRegression().fit(synthetic.known, synthetic.secret)
    assert found.auroc is not None
    for side, accuracy, area in (
        (members, found.accuracy.members, found.auroc.members),
        (others, found.accuracy.control, found.auroc.control),
    ):
        likely = model.predict_proba(side.known)
        assert accuracy.value == pytest.approx(model.score(side.known, side.secret))
        one_hot = np.eye(labels)[side.secret]
        assert area.value == pytest.approx(roc_auc_score(one_hot, likely, average="macro"))
    for figure in (found.accuracy, found.auroc):
        difference = figure.members.value - figure.control.value
        assert figure.advantage.value == pytest.approx(difference, abs=1e-12)
        assert figure.advantage.low < figure.advantage.value < figure.advantage.high


def test_the_interval_of_the_accuracy_is_a_binomials() -> None:
    synthetic, members, others = (people(400, seed) for seed in range(3))
    figure = attribute_inference(synthetic, members, others, LogisticRegression).accuracy
    deviation = sum(
        side.value * (1 - side.value) / 400 for side in (figure.members, figure.control)
    )
    reach = 1.96 * deviation**0.5
    assert figure.advantage.high - figure.advantage.low == pytest.approx(2 * reach, rel=0.08)


def test_a_copier_gives_secrets_away() -> None:
    members, others = people(300, 0), people(300, 1)
    found = attribute_inference(members, members, others, nearest_record)
    assert found.accuracy.members.value == 1
    assert found.accuracy.advantage.low > 0.2
    assert found.auroc is not None
    assert found.auroc.advantage.low > 0.2


def test_what_goes_together_in_everybody_is_no_advantage() -> None:
    covered = 0
    for repetition in range(20):
        synthetic, members, others = (people(200, 100 + 3 * repetition + i) for i in range(3))
        found = attribute_inference(synthetic, members, others, nearest_record)
        assert found.accuracy.control.value > 0.5
        covered += found.accuracy.advantage.covers(0)
    assert covered >= 17


def test_boosted_trees_learn_what_goes_together() -> None:
    synthetic, members, others = (people(300, seed) for seed in range(3))
    found = attribute_inference(synthetic, members, others, boosted_trees)
    assert found.auroc is not None
    assert found.auroc.control.low > 0.53
    assert found.accuracy.advantage.covers(0)


def test_a_constant_column_and_labels_never_made() -> None:
    synthetic = People(torch.randn(50, 2), torch.full((50,), 7))
    members = People(torch.zeros(4, 2), torch.tensor([7, 7, 9, 3]))
    found = attribute_inference(synthetic, members, members, boosted_trees)
    assert found.accuracy.members.value == 0.5
    assert found.accuracy.advantage.value == 0
    assert found.auroc is not None
    assert found.auroc.members.value == 0.5  # nobody is told from anybody
    alike = People(torch.zeros(4, 2), torch.full((4,), 7))
    assert attribute_inference(synthetic, alike, alike, boosted_trees).auroc is None


def test_nobody_is_refused() -> None:
    some, none = people(10, 0), People(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(UsageError, match="there are no others"):
        attribute_inference(some, some, none, nearest_record)
