import pytest
import torch
from torch.testing import assert_close

from touchstone.terms.transformations import NUMBER, transformed

# Numbers by place, the tens being the row.
PICTURE = (10 * torch.arange(4)[:, None] + torch.arange(4))[None, None]


def made(which: int) -> list[list[int]]:
    found: list[list[int]] = transformed(PICTURE, torch.tensor([which]))[0, 0].tolist()
    return found


def test_the_first_leaves_a_sample_as_it_is() -> None:
    assert made(0) == PICTURE[0, 0].tolist()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_next_three_are_quarter_turns(turns: int) -> None:
    assert made(turns) == PICTURE[0, 0].rot90(turns).tolist()


def test_translations_by_hand() -> None:
    """By a quarter of the side, which is 1; the edge comes in again, reflected."""
    assert made(4)[0] == [1, 2, 3, 3]
    assert made(8)[0] == [0, 0, 1, 2]
    assert [row[0] for row in made(12)] == [10, 20, 30, 30]
    assert [row[0] for row in made(24)] == [0, 0, 10, 20]


def test_a_flip_comes_first_then_a_translation_then_a_turn() -> None:
    flipped = PICTURE[0, 0].flip(1)
    assert made(36) == flipped.tolist()
    moved = torch.cat([flipped[:, 1:], flipped[:, -1:]], dim=1)
    assert made(36 + 4 + 1) == moved.rot90(1).tolist()


def test_all_differ_and_each_sample_has_its_own() -> None:
    samples = torch.randn(1, 2, 8, 8).expand(NUMBER, -1, -1, -1)
    every = torch.arange(NUMBER)
    found = transformed(samples, every)
    assert len({tuple(sample.flatten().tolist()) for sample in found}) == NUMBER
    for number in every:
        alone = transformed(samples[:1], number[None])
        assert_close(found[number], alone[0], rtol=0, atol=0)


def test_gradients_come_back_to_where_pixels_came_from() -> None:
    sample = torch.zeros(1, 1, 4, 4, requires_grad=True)
    total = transformed(sample, torch.tensor([4])).sum()
    (gradient,) = torch.autograd.grad(total, sample)
    assert gradient[0, 0, 0].tolist() == [0, 1, 1, 2]


def test_what_is_no_square_is_refused() -> None:
    with pytest.raises(ValueError, match="4x6"):
        transformed(torch.zeros(1, 1, 4, 6), torch.zeros(1, dtype=torch.int64))
