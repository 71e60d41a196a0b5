from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.recognition import Recognition, matching
from touchstone.metrics.sets import Sets, Splits


def split(labels: list[int]) -> Images:
    """Each picture is its label, in steps of 100."""
    values = torch.tensor(labels)
    return Images((100 * values).byte().reshape(-1, 1, 1, 1), values, ("a", "b", "c"))


class Guess(nn.Module):
    """Knows a picture's label, by a table of what it says for each."""

    def __init__(self, name: str, table: list[int]) -> None:
        super().__init__()
        self.name, self.table = name, torch.tensor(table)
        self.unused = nn.Parameter(torch.zeros(()))
        self.modes: list[bool] = []

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        self.modes.append(self.training)
        seen = ((samples.flatten() * 127.5 + 127.5) / 100).round().long()
        return {"logits": samples.flatten(), self.name: torch.eye(4)[self.table[seen]]}


def sets(discriminator: nn.Module | None) -> Sets:
    splits = Splits(
        None,  # type: ignore[arg-type]
        device="cpu",
        cache=None,
        train=split([0, 1, 2, 0, 1, 2]),
        test=split([0, 0, 1, 2]),
    )
    any_set: Any = SimpleNamespace()
    return Sets(any_set, any_set, splits, discriminator)


def test_classes_are_right_or_wrong() -> None:
    # It takes c for b: one of the four test samples.
    found = Recognition()(sets(Guess("classes", [0, 1, 1])))
    assert found == {"recognition": 0.75, "recognition/chance": 0.5}


def test_categories_are_matched_on_the_training_split() -> None:
    discriminator = Guess("categories", [3, 0, 1])
    given = sets(discriminator)
    Recognition().check(given)
    assert Recognition()(given)["recognition"] == 1
    assert discriminator.training  # as it was
    assert not any(discriminator.modes)


class Projecting(Guess):
    """Judges a sample by its label, too; it is given the right ones."""

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        assert labels is not None
        assert labels.equal(((samples.flatten() * 127.5 + 127.5) / 100).round().long())
        return super().examine(samples, labels)


def test_a_head_that_takes_labels_is_given_them() -> None:
    given = sets(Projecting("classes", [0, 1, 2]))
    Recognition().check(given)
    assert Recognition()(given)["recognition"] == 1


def test_matching_is_one_to_one_and_the_best() -> None:
    # Category 0 is mostly a (3 of 5), category 1 always a (2): together the best is 0 -> b (2 of
    # its 5) and 1 -> a (2): 4 agree; 0 -> a and 1 -> b has 3.
    categories = torch.tensor([0, 0, 0, 0, 0, 1, 1])
    labels = torch.tensor([0, 0, 0, 1, 1, 0, 0])
    assert matching(categories, labels).tolist() == [1, 0]
    # More categories than classes: the rest stand for none.
    assert matching(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 0, 0])).tolist() == [-1, 0, -1]


@pytest.mark.parametrize("discriminator", [None, nn.Identity(), Guess("features", [0, 1, 2])])
def test_refuses_what_guesses_nothing(discriminator: nn.Module | None) -> None:
    with pytest.raises(UsageError, match=r"metrics=recognition: .* model=infogan"):
        Recognition().check(sets(discriminator))
