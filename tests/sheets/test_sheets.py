"""Sheets, of generators whose samples show in grey what they were made of."""

from math import sqrt

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from touchstone.errors import UsageError
from touchstone.networks.infogan import Generator as InfoGAN
from touchstone.sampling import Sampler
from touchstone.sheets.arithmetic import NOISE, arithmetic, nine
from touchstone.sheets.groups import classes, experts, numbered
from touchstone.sheets.interpolation import between, rows, walk
from touchstone.sheets.layout import in_line, stacked, table
from touchstone.sheets.traversal import END, traversal

SIDE = 96


class Grey(nn.Module):
    """A sample is one grey: the first number of its latent over 4, and a tenth for each class."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.latent_size, self.classes = 8, classes
        self.seen: list[tuple[Tensor, Tensor | None]] = []

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        self.seen.append((latents, labels))
        grey = latents[:, 0] / 4 + (0 if labels is None else labels / 10)
        return grey.clamp(-1, 1).view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE)


def greys(
    sheet: Image.Image, left: int, top: int, rows: int, columns: int, line: int = 0
) -> Tensor:
    """The middles of tiles, back in [-1, 1], `(rows, columns)`, from a place on the sheet."""
    pixels = torch.from_numpy(numpy.asarray(sheet.convert("L")).astype(numpy.float32))
    down = [top + 4 + SIDE // 2 + row * (SIDE + 4 + line) for row in range(rows)]
    right = [left + 4 + SIDE // 2 + column * (SIDE + 4) for column in range(columns)]
    return pixels[down][:, right] / 127.5 - 1


def is_grey(found: Tensor, expected: Tensor) -> bool:
    """Whether greys are those of numbers, to a level of 256."""
    return torch.allclose(found, expected.clamp(-1, 1), rtol=0, atol=1.01 / 127.5)


def test_rows_lead_from_one_sample_to_the_next() -> None:
    sampler = Sampler(Grey(classes=3), 0, asked=(2, 0))
    sheet = rows(sampler, 2, 3)
    points = sampler.latents(range(3))
    middles = [between(points[row], points[row + 1], torch.tensor([0.5]))[0, 0] for row in (0, 1)]
    shown = torch.tensor(
        [[points[0, 0], middles[0], points[1, 0]], [points[1, 0], middles[1], points[2, 0]]]
    )
    labels = torch.tensor([[2.0], [0.0]])
    assert sheet.size == (304, 204)
    assert is_grey(greys(sheet, 0, 0, 2, 3), shown / 4 + labels / 10)


def test_a_walk_is_of_one_class() -> None:
    generator = Grey(classes=3)
    assert len(walk(Sampler(generator, 0, asked=(2, 0)), 3, 4)) == 12
    [(latents, labels)] = generator.seen
    assert torch.equal(latents[[0, 4, 8]], Sampler(generator, 0).latents(range(3)))
    assert labels is not None
    assert labels.tolist() == [2] * 12


def test_numbers_stand_below_their_samples() -> None:
    sampler = Sampler(Grey(), 5)
    sheet = numbered(sampler, 5)
    shown = sampler.latents(range(6))[:, 0].view(2, 3) / 4
    found = greys(sheet, 0, 0, 2, 3, line=24)
    assert is_grey(found.flatten()[:5], shown.flatten()[:5])
    assert found[1, 2] == 1  # white: there is no sixth
    words = numpy.asarray(sheet.convert("L"))[4 + SIDE + 2 : 4 + SIDE + 24]
    tiles = [words[:, 4 + column * 100 : 100 + column * 100] for column in range(3)]
    assert all(tile.min() < 60 for tile in tiles)
    assert not numpy.array_equal(tiles[0], tiles[1])


def test_classes_have_a_row_each_and_the_same_latents() -> None:
    generator = Grey(classes=4)
    classes(Sampler(generator, 0, asked=(3, 1)), 5)
    [(latents, labels)] = generator.seen
    assert labels is not None
    assert labels.tolist() == [3] * 5 + [1] * 5
    assert torch.equal(latents[:5], latents[5:])
    assert torch.equal(latents[:5], Sampler(generator, 0).latents(range(5)))


def test_the_sum_of_means_by_hand() -> None:
    sampler = Sampler(Grey(), 0)
    z = sampler.latents(range(400))
    total = (z[3] + z[17] + z[325]) / 3 + (z[4] + z[8]) / 2 - z[1]
    made = nine(sampler, [[3, 17, 325], [4, 8]], [[1]])
    assert torch.allclose(made[4], total, rtol=0, atol=1e-6)
    # 0.25 of U[-1, 1], in its deviations of 1 / sqrt(3)
    assert pytest.approx(0.4330127) == NOISE
    noise = (made - total)[[0, 1, 2, 3, 5, 6, 7, 8]]
    assert 0.9 * NOISE < noise.abs().max() <= NOISE + 1e-6
    # Of 64 numbers of U[-a, a], whose deviation is a / sqrt(3).
    assert noise.std().item() == pytest.approx(NOISE / sqrt(3), rel=0.2)
    assert torch.equal(nine(sampler, [[3, 17, 325], [4, 8]], [[1]]), made)


def test_arithmetic_shows_samples_means_and_the_sum() -> None:
    sampler = Sampler(Grey(classes=3), 0, asked=(1,))
    sheet = arithmetic(sampler, [[1, 2]], [[4, 6]])
    z = sampler.latents(range(7))[:, 0]
    # A column of samples with captions, 104 wide; the mean's own table begins 4 lower.
    for left, first, second in ((0, 1, 2), (152, 4, 6)):
        assert is_grey(greys(sheet, left, 0, 2, 1, line=24)[:, 0], z[[first, second]] / 4 + 0.1)
        mean = (z[first] + z[second]) / 2
        assert is_grey(greys(sheet, left, 4 + 2 * 124, 1, 1)[0], mean[None] / 4 + 0.1)
    # The nine, 304 high, in the middle of 380.
    result = nine(sampler, [[1, 2]], [[4, 6]])[:, 0].view(3, 3)
    assert sheet.size == (104 + 48 + 104 + 48 + 304, 3 * 124 + 8)
    assert is_grey(greys(sheet, 304, 38, 3, 3), result / 4 + 0.1)


def test_a_sum_of_several_classes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"samples of several classes; ask for one"):
        arithmetic(Sampler(Grey(classes=3), 0), [[1, 2]], [])
    arithmetic(Sampler(Grey(classes=3), 0), [[1, 4]], [[7]])


def test_a_traversal_moves_one_code_at_a_time() -> None:
    torch.manual_seed(0)
    generator = InfoGAN(12, 8, 1, width=2, categories=3, continuous=2).eval()
    seen: list[Tensor] = []
    generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    sheet = traversal(Sampler(generator, 0), 5)

    assert [len(latents) for latents in seen] == [15] * 3
    noise = Sampler(generator, 0).latents(range(5))[:, 5:]
    values = torch.tensor([-END, -END / 2, 0, END / 2, END])
    for block, latents in enumerate(seen):
        category, continuous = generator.codes(latents)
        assert category.tolist() == [0] * 5 + [1] * 5 + [2] * 5
        moved = torch.zeros(15, 2)
        if block:
            moved[:, block - 1] = values.repeat(3)
        assert torch.allclose(continuous, moved, rtol=0, atol=1e-6)
        fixed = noise if block == 0 else noise[:1].expand(5, -1)
        assert torch.equal(latents[:, 5:], fixed.repeat(3, 1))
    # Three headings of 48, three tables of three rows of 100, and a line above two of them.
    assert sheet.height == 3 * 48 + 3 * (3 * 100 + 4) + 2 * 24


def test_experts_stand_in_rows_with_their_shares() -> None:
    class Mixture(Grey):
        def expert_samples(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
            return torch.stack([self(latents), self(-latents)])

        def shares(self) -> Tensor:
            return torch.tensor([0.25, 0.75])

    sampler = Sampler(Mixture(), 0)
    sheet = experts(sampler, 4)
    first = sampler.latents(range(4))[:, 0] / 4
    left = sheet.width - 4 * 100 - 4
    assert left > 30  # the shares' place
    assert is_grey(greys(sheet, left, 0, 2, 4), torch.stack([first, -first]))
    assert numpy.asarray(sheet.convert("L"))[:, :left].min() < 60


def test_small_samples_are_enlarged_by_a_whole_factor() -> None:
    for side, factor in ((8, 12), (28, 3), (32, 3), (64, 2), (128, 1)):
        sheet = table(torch.zeros(2, 3, side, side), 2)
        assert sheet.size == (2 * (side * factor + 4) + 4, side * factor + 8)


def test_parts_are_set_in_line_and_stacked() -> None:
    small, large = Image.new("RGB", (10, 20)), Image.new("RGB", (30, 60))
    assert in_line(small, "+", large).size == (10 + 48 + 30, 60)
    assert stacked(small, large).size == (30, 80)
    assert stacked("a heading", small).height == 68
