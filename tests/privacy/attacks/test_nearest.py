"""The calibrated nearest distance, by hand."""

import math

import pytest
import torch

from touchstone.privacy.attacks.attack import Evidence
from touchstone.privacy.attacks.nearest import LEAST, Nearest


def test_scores_by_hand() -> None:
    synthetic = torch.tensor([[0.0, 0], [10, 0]])
    reference = torch.tensor([[3.0, 0], [10, 8]])
    scores = Nearest()(torch.tensor([[0.0, 4], [10, 2]]), Evidence(synthetic, reference))
    # The first lies 4 from the synthetic and 5 from the other; the second 2 and 6.
    assert scores.tolist() == pytest.approx([math.log(5 / 4), math.log(6 / 2)], abs=1e-8)


def test_a_copy_is_finite_and_higher_than_anything_near() -> None:
    evidence = Evidence(torch.zeros(1, 3), torch.ones(1, 3))
    copy, near = Nearest()(torch.tensor([[0.0, 0, 0], [1e-6, 0, 0]]), evidence).tolist()
    assert copy == pytest.approx(math.log(math.sqrt(3) / LEAST), rel=1e-6)
    assert copy > near + 6


def test_what_equals_a_synthetic_and_an_own_record_says_nothing() -> None:
    both = torch.ones(1, 3)
    assert Nearest()(both, Evidence(both, both)).tolist() == [0]
