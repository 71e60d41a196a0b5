"""Batches in stretches, by a clock that is told what to say."""

import time
from collections.abc import Iterator

import pytest
import torch

from touchstone.data.batches import Batches
from touchstone.data.images import Images
from touchstone.data.stretches import Stretches


def batches(number: int) -> Batches:
    pixels = torch.arange(200, dtype=torch.uint8).view(200, 1, 1, 1)
    images = Images(pixels, None, ())
    return Batches(images, batch_size=2, critic_steps=1, seed=3, start=0, stop=2 * number)


class Clock:
    """Says that each iteration took so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def run(self, stretches: Stretches, seconds: Iterator[float], most: int = 10**9) -> list[int]:
        lengths = []
        for stretch in stretches:
            length = 0
            for _ in stretch:
                self.now += next(seconds)
                length += 1
                if length == most:
                    break
            lengths.append(length)
        return lengths


def same(value: int) -> int:
    return value


def test_stretches_grow_to_half_a_second_and_shrink_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    seconds = iter([0.1] * 15 + [0.2] * 100)
    assert clock.run(Stretches(batches(45), same), seconds) == [1, 2, 4, 8, 8, 4, 4, 4, 4, 4, 2]


def test_slow_iterations_come_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert clock.run(Stretches(batches(4), same), iter([9.0] * 4)) == [1] * 4


def test_all_batches_come_in_order_however_early_a_stretch_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = torch.cat([samples for samples, _ in batches(20)])
    found = []
    for stretch in Stretches(batches(20), same):
        for number, (samples, _) in enumerate(stretch):
            found.append(samples)
            if number == 2:
                break
    assert torch.equal(torch.cat(found), expected)
    assert len(Stretches(batches(20), same)) == 20


def test_the_length_is_what_the_first_process_says() -> None:
    lengths = [sum(1 for _ in stretch) for stretch in Stretches(batches(10), lambda length: 3)]
    assert lengths == [1, 3, 3, 3]
