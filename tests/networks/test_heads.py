from collections.abc import Callable
from functools import partial
from math import exp, log

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from touchstone.networks.heads import (
    Auxiliary,
    Classes,
    Codes,
    Logit,
    MinibatchDiscrimination,
    Projection,
    Transformations,
)

HEADS: dict[str, Callable[[int], nn.Module]] = {
    "logit": Logit,
    "projection": partial(Projection, classes=3),
    "auxiliary": partial(Auxiliary, classes=3),
    "classes": partial(Classes, classes=3),
    "minibatch": partial(MinibatchDiscrimination, kernels=4, size=2),
    "codes": partial(Codes, categories=3, continuous=2),
    "transformations": partial(Transformations, number=4),
}


def filled(head: nn.Module, value: float) -> nn.Module:
    for parameter in head.parameters():
        nn.init.constant_(parameter, value)
    return head


@pytest.mark.parametrize("name", HEADS)
def test_a_logit_a_sample_and_a_gradient_for_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    head = HEADS[name](6)
    verdict = head(torch.randn(5, 6), torch.arange(5) % 3)
    assert verdict["logits"].shape == (5,)
    total = torch.stack([value.square().sum() for value in verdict.values()]).sum()
    torch.autograd.backward(total)
    assert all(p.grad is not None and p.grad.any() for p in head.parameters())


def test_projection_by_hand() -> None:
    """psi(phi) + <embedding(y), phi>, psi = phi_0 + phi_1 + 0.5."""
    head = Projection(2, classes=2)
    with torch.no_grad():
        head.logit.weight.fill_(1)
        head.logit.bias.fill_(0.5)
        head.embedding.weight.copy_(torch.tensor([[1.0, 0.0], [2.0, -3.0]]))
    features = torch.tensor([[4.0, 5.0], [4.0, 5.0]])
    # 9.5 + 4, and 9.5 + 8 - 15
    assert_close(head(features, torch.tensor([0, 1]))["logits"], torch.tensor([13.5, 2.5]))


def test_the_logit_of_classes_is_that_of_one_more_class_of_logit_zero() -> None:
    head = Classes(2, classes=2)
    with torch.no_grad():
        head.classes.weight.copy_(torch.eye(2))
        head.classes.bias.zero_()
    verdict = head(torch.tensor([[log(2.0), log(3.0)]]))
    # Z = 2 + 3: D = Z / (Z + 1) = 5 / 6
    assert_close(verdict["logits"].sigmoid(), torch.tensor([5 / 6]))
    three = torch.tensor([[log(2.0), log(3.0), 0.0]]).softmax(1)
    assert_close(1 - three[:, 2], verdict["logits"].sigmoid())


def test_minibatch_discrimination_by_hand() -> None:
    """One kernel, M_i = (f_i, f_i): o_i is the sum over the others of exp(-2 |f_i - f_j|)."""
    head = MinibatchDiscrimination(1, kernels=1, size=2)
    with torch.no_grad():
        head.tensor.weight.fill_(1)
        head.logit.weight.copy_(torch.tensor([[0.0, 1.0]]))
        head.logit.bias.zero_()
    logits = head(torch.tensor([[0.0], [0.5], [2.0]]))["logits"]
    expected = [exp(-1) + exp(-4), exp(-1) + exp(-3), exp(-4) + exp(-3)]
    assert_close(logits, torch.tensor(expected))
    assert head.mixes_samples


def test_minibatch_discrimination_keeps_its_kernels_apart() -> None:
    torch.manual_seed(0)
    head, features = MinibatchDiscrimination(6, kernels=4, size=3), torch.randn(5, 6)
    rows = head.tensor(features).reshape(5, 3, 4)
    expected = torch.zeros(5, 4)
    for i in range(5):
        for j in range(5):
            if i != j:
                expected[i] += torch.exp(-(rows[i] - rows[j]).abs().sum(0))
    both = torch.cat([features, expected], dim=1)
    assert_close(head(features)["logits"], head.logit(both).squeeze(1))


def test_codes_are_as_many_as_the_generator_has() -> None:
    verdict = Codes(6, categories=3, continuous=2)(torch.randn(5, 6))
    assert verdict["categories"].shape == (5, 3)
    assert verdict["continuous"].shape == (5, 2)


@pytest.mark.parametrize("name", ["projection", "auxiliary", "codes", "minibatch"])
def test_twice_differentiable(name: str) -> None:
    torch.manual_seed(0)
    head = HEADS[name](4).double()
    labels = torch.arange(3)

    def logits(features: Tensor) -> Tensor:
        value: Tensor = head(features, labels)["logits"]
        return value

    features = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(logits, features)
