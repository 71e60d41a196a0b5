"""The pictures of scores and of ROC curves: where things are drawn, seen in the pixels."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL.Image import Image

from touchstone.authenticity.charts import (
    BARS,
    COLOURS,
    GENUINE,
    PLOT,
    SPAN,
    THRESHOLD,
    Axis,
    binned,
    dashed,
    histograms,
    roc_curves,
    round_values,
    window,
)


def coloured(picture: Image, colour: tuple[int, int, int]) -> NDArray[np.int64]:
    """Where a picture has a colour, (row, column) each."""
    near = np.abs(np.asarray(picture).astype(int) - colour).max(axis=2) < 12
    return np.argwhere(near)


def test_bars_by_hand() -> None:
    heights = binned(torch.tensor([-5.0, 0, 0, 0.5, 1, 7]), 0, 1)
    assert heights[0] == heights[-1] * 1.5 == 1
    assert [bar for bar, height in enumerate(heights) if height] == [0, BARS // 2, BARS - 1]
    assert heights[BARS // 2] == pytest.approx(1 / 3)


def test_the_window_leaves_the_genuine_items_room() -> None:
    genuine = torch.linspace(0, 1, 1001)
    low, high = window(genuine, [torch.linspace(0.5, 2, 1001)], 0.99)
    assert (low, high) == pytest.approx((0.005, 1.9925), abs=1e-6)
    # From 0.005 to 0.995 and twice as much on either side, of attacks far away.
    low, high = window(genuine, [torch.full((9,), 1e6), torch.full((9,), -1e6)], 0.5)
    assert (low, high) == pytest.approx((-1.975, 2.975), abs=1e-6)
    assert window(genuine, [], 3.0) == pytest.approx((0.005, 3.0), abs=1e-6)
    low, high = window(torch.ones(5), [torch.ones(5)], 1.0)
    assert (low, high) == (0.5, 1.5)


def test_round_values_of_an_axis() -> None:
    assert round_values(-2.6, 10.9) == [-2, 0, 2, 4, 6, 8, 10]
    assert round_values(0.0, 1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert round_values(12_000, 16_000) == [12_000, 13_000, 14_000, 15_000, 16_000]


def test_an_axis_by_hand() -> None:
    axis = Axis(-1, 3, 100, 20)
    assert [axis(value) for value in (-1, 0, 3)] == [100, 80, 20]


def test_dashes_go_on_round_corners() -> None:
    corner = [(0.0, 0.0), (3.0, 0.0), (3.0, 7.0)]
    assert dashed(corner, 4, 2) == [
        [(0, 0), (3, 0), (3, 1)],
        [(3, 3), (3, 7)],
    ]


def test_histograms_have_the_threshold_where_it_lies() -> None:
    genuine, photocopy = torch.linspace(0, 1, 1001), torch.linspace(1, 2, 1001)
    picture = histograms(genuine, {"photocopy": photocopy, "voted": photocopy + 0.5}, 1.0)
    low, high = window(genuine, [photocopy, photocopy + 0.5], 1.0)
    blue = coloured(picture, GENUINE)
    left = blue[:, 1].min()
    # The bars of genuine items begin where the axis does and end at the threshold.
    share = (1.0 - low) / (high - low)
    assert blue[:, 1].max() - left == pytest.approx(SPAN * share, abs=SPAN / BARS + 1)
    columns, counts = np.unique(coloured(picture, THRESHOLD)[:, 1], return_counts=True)
    assert columns[counts.argmax()] - left == pytest.approx(SPAN * share, abs=2)
    assert counts.max() > 3 * 55  # through all three rows


def test_histograms_of_scores_that_are_all_one() -> None:
    picture = histograms(torch.ones(5), {"copy": torch.ones(5)}, 1.0)
    assert len(coloured(picture, GENUINE))


def test_curves_are_where_the_rates_are() -> None:
    # 99 % of the counterfeits lie above all genuine items, and 1 % below.
    genuine = torch.linspace(0, 1, 1000)
    easy = torch.cat([torch.full((50,), 2.0), torch.full((50,), -1.0)])
    hard = torch.linspace(0, 1, 1000) + 0.2
    picture = roc_curves(genuine, {"easy": easy, "hard": hard})
    # AUROC 0.5 and 0.68: the hard one is named first, and has the first colour.
    first, second = (coloured(picture, colour) for colour in COLOURS[:2])
    inside = second[second[:, 1] < 64 + PLOT - 3]
    rows, counts = np.unique(inside[:, 0], return_counts=True)
    assert rows[counts.argmax()] == pytest.approx(34 + PLOT / 2, abs=2)  # flat at one half
    assert counts.max() > 0.95 * (PLOT - 6)
    # The other has found a fifth where a thousandth of the genuine items is refused.
    start = first[first[:, 1] < 64 + 3][:, 0].min()
    assert start == pytest.approx(34 + PLOT * 0.8, abs=4)


def test_many_attacks_with_long_names_are_told_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    genuine = torch.randn(200, generator=generator)
    attacks = {
        f"an attack of a rather long name, number {number}": genuine + 0.1 * number
        for number in range(16)
    }
    narrow, wide = roc_curves(genuine, {"a": genuine}), roc_curves(genuine, attacks)
    assert wide.width > narrow.width + 200
    assert wide.height >= narrow.height
    assert histograms(genuine, attacks, 1.0).height > 17 * 60
