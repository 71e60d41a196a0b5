import math

import pytest
import torch
from torch import Tensor, nn

from touchstone.draws import Draws
from touchstone.terms.condition import Condition
from touchstone.terms.term import Creation

LAYOUT = [("category", 2), ("number", 2), ("category", 3)]  # 2 + (1 + 2) + 3 = 8 numbers a row


def created(fake: Tensor, labels: Tensor) -> Creation:
    def unasked() -> dict[str, Tensor]:
        raise AssertionError

    return Creation(
        real=fake,
        fake=fake,
        judge_real=unasked,
        judge_fake=unasked,
        draws=Draws(0),
        labels=labels,
        latents=fake,
        networks=(nn.Identity(), nn.Identity()),
    )


def test_it_is_the_cross_entropy_of_the_value_asked_for() -> None:
    rows = torch.tensor(
        [
            [0.25, 0.75, 0.9, 1.0, 0.0, 0.5, 0.3, 0.2],
            [0.60, 0.40, 0.1, 0.0, 1.0, 0.1, 0.1, 0.8],
        ]
    )
    # Conditions count on over the categories: 1 is the first one's second value, 0.75 in row 0;
    # 4 the last one's third, 0.8 in row 1.
    loss = Condition(1, LAYOUT).generator(created(rows, torch.tensor([1, 4])))
    assert loss.item() == pytest.approx(-(math.log(0.75) + math.log(0.8)) / 2, abs=1e-6)


def test_its_gradient_raises_that_value_even_where_it_is_far_behind() -> None:
    logits = torch.tensor([[0.0, 60.0]], requires_grad=True)
    rows = torch.cat([logits.softmax(dim=1), torch.zeros(1, 6)], dim=1)
    Condition(1, LAYOUT).generator(created(rows, torch.tensor([0]))).backward()
    assert logits.grad is not None
    # d(-log p)/d(logit) = p - 1.
    torch.testing.assert_close(logits.grad, torch.tensor([[-1.0, 1.0]]))
