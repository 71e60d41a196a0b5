from collections.abc import Callable
from math import log
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from touchstone.terms.classification import Classification, SemiSupervision

# Logits whose softmax is (1/4, 3/4) and (2/3, 1/3).
QUARTER, THIRDS = [0.0, log(3.0)], [log(2.0), 0.0]


def test_classification_by_hand(hands: Callable[..., Any]) -> None:
    real = {"classes": torch.tensor([QUARTER, THIRDS])}
    fake = {"classes": torch.tensor([THIRDS, THIRDS])}
    critique, creation = hands(real, fake, labels=torch.tensor([1, 0]))
    of_real = -(log(3 / 4) + log(2 / 3)) / 2
    of_fake = -(log(1 / 3) + log(2 / 3)) / 2
    term = Classification(1)
    assert_close(term.discriminator(critique), torch.tensor(of_real + of_fake))
    assert_close(term.generator(creation), torch.tensor(of_fake))
    assert term.examines


def test_classification_needs_labels(hands: Callable[..., Any]) -> None:
    critique, _ = hands({"classes": torch.zeros(1, 2)}, {"classes": torch.zeros(1, 2)})
    with pytest.raises(ValueError, match="labels"):
        Classification(1).discriminator(critique)


def test_semi_supervision_is_the_mean_over_the_labels_that_there_are(
    hands: Callable[..., Any],
) -> None:
    real = {"classes": torch.tensor([QUARTER, THIRDS, QUARTER, THIRDS])}
    critique, creation = hands(real, real, labels=torch.tensor([-1, 0, 0, -1]))
    term = SemiSupervision(1)
    assert_close(term.discriminator(critique), torch.tensor(-(log(2 / 3) + log(1 / 4)) / 2))
    assert term.generator(creation) is None


def test_semi_supervision_of_no_label_is_zero(hands: Callable[..., Any]) -> None:
    real = {"classes": torch.tensor([QUARTER, THIRDS])}
    critique, _ = hands(real, real, labels=torch.tensor([-1, -1]))
    assert SemiSupervision(1).discriminator(critique) == 0
