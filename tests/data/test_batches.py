import threading
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from touchstone.data import Batches, Images, quantize
from touchstone.draws import Share
from touchstone.errors import UsageError


def numbered(count: int, labelled: bool = True) -> Images:
    """Images whose pixels and labels say which one they are."""
    pixels = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1).repeat(1, 1, 2, 2)
    labels = torch.arange(count) if labelled else None
    return Images(pixels, labels, tuple(str(number) for number in range(count)))


def drawn(images: Images, **settings: Any) -> list[list[int]]:
    """Which images each iteration shows; the samples and the labels have to say the same."""
    defaults = {"batch_size": 4, "critic_steps": 1, "seed": 0, "start": 0, "stop": 40}
    iterations = []
    for samples, labels in Batches(images, **{**defaults, **settings}):
        assert samples.dtype == torch.float32
        numbers = quantize(samples)[:, 0, 0, 0].tolist()
        assert labels is not None
        assert labels.tolist() == numbers
        iterations.append(numbers)
    return iterations


def test_an_epoch_shows_each_image_once_and_nothing_is_dropped() -> None:
    order = list(chain(*drawn(numbered(10))))
    assert len(order) == 40
    epochs = [order[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_an_iteration_may_span_several_epochs() -> None:
    [iteration] = drawn(numbered(5), critic_steps=5, stop=20)
    assert iteration == list(chain(*drawn(numbered(5), stop=20)))
    assert len(iteration) == 20


def test_the_order_is_the_seeds() -> None:
    images = numbered(100)
    assert drawn(images, seed=1) == drawn(images, seed=1)
    assert drawn(images, seed=1) != drawn(images, seed=2)


@pytest.mark.parametrize("start", [0, 12, 24, 36])
def test_going_on_from_a_place_is_the_tail_of_the_whole(start: int) -> None:
    images = numbered(10)
    whole = drawn(images, critic_steps=3)
    assert drawn(images, critic_steps=3, start=start) == whole[start // 12 :]


def test_critic_steps_only_group_the_same_order() -> None:
    images = numbered(30)
    assert list(chain(*drawn(images, critic_steps=5))) == list(chain(*drawn(images)))


@pytest.mark.parametrize("stop", [0, 1, 39, 40, 41])
def test_its_length_is_the_remaining_iterations(stop: int) -> None:
    batches = Batches(numbered(10), batch_size=4, critic_steps=2, seed=0, start=16, stop=stop)
    assert len(batches) == len(list(batches)) == max(0, -(-(stop - 16) // 8))


def test_the_processes_share_each_global_batch() -> None:
    images = numbered(30)
    whole = drawn(images, batch_size=6, critic_steps=2)
    parts = [drawn(images, batch_size=6, critic_steps=2, share=Share(rank, 3)) for rank in range(3)]
    for iteration, first, second, third in zip(whole, *parts, strict=True):
        steps = (first[:2] + second[:2] + third[:2], first[2:] + second[2:] + third[2:])
        assert iteration == list(chain(*steps))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_gives_what_memory_gives(tmp_path: Path, workers: int) -> None:
    resident = numbered(50)
    np.save(tmp_path / "pixels.npy", resident.pixels.numpy())
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="c")
    streamed = Images(torch.from_numpy(mapped), resident.labels, resident.classes)
    settings = {"critic_steps": 3, "start": 12, "stop": 400, "share": Share(1, 2)}
    state = torch.get_rng_state()
    assert drawn(streamed, memory=0, workers=workers, **settings) == drawn(resident, **settings)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_stream_that_is_left_leaves_no_thread() -> None:
    before = threading.active_count()
    settings = {"critic_steps": 1, "seed": 0, "start": 0, "stop": 10**9, "memory": 0, "workers": 2}
    stream = iter(Batches(numbered(50), batch_size=4, **settings))  # type: ignore[arg-type]
    next(stream)
    assert threading.active_count() == before + 2
    del stream
    assert threading.active_count() == before


def test_images_without_labels_give_none() -> None:
    for memory in (0, 10**6):
        batches = Batches(
            numbered(8, labelled=False),
            batch_size=4,
            critic_steps=1,
            seed=0,
            start=0,
            stop=4,
            memory=memory,
        )
        [(samples, labels)] = list(batches)
        assert samples.shape == (4, 1, 2, 2)
        assert labels is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 11}, "batch_size=11: the data has 10 images; batch_size can be 10 at most"),
        ({"batch_size": 0}, "batch_size=0: it has to be 1 or more"),
        (
            {"share": Share(0, 3)},
            "batch_size=4: it is shared by 3 processes; it has to be a multiple of 3",
        ),
    ],
)
def test_batches_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        drawn(numbered(10), **settings)
    assert str(caught.value) == message
