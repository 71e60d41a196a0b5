"""Measures whether the batches come as fast as a step takes them, beside decoding each picture.

    OMP_NUM_THREADS=1 python scripts/benchmark_loader.py

The pictures are 64x64 PNGs, squares of any size and place out of scikit-learn's two photographs.
Batches of 64 float samples in [-1, 1], shuffled, on the CPU, come of them in four ways:

each PNG decoded    torchvision's ImageFolder, ToTensor and Normalize, under a DataLoader whose
                    workers stay from epoch to epoch
on the device       `Batches` of pixels that fit into the device's memory
streamed            `Batches` of pixels that do not, mapped from the cache: each batch read when it
                    is asked for, and read ahead by threads

First each is asked for batches that nothing is done with, then for those of a training step. All
take turns in one process, so that whatever else the machine does weighs on all; a turn begins with
a second that does not count, in which workers start and what lay ready is used up.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from touchstone.data import image_folder
from touchstone.data.batches import Batches
from touchstone.data.files import scratch
from touchstone.data.images import Images, normalize
from touchstone.losses import Vanilla
from touchstone.networks import dcgan

BATCH, SIDE, WIDTH = 64, 64, 16
WARM_UP, STRETCH = 1.0, 2.0  # seconds of a turn before it counts, and while it does
ENDLESS = 10**12  # images


@dataclass(frozen=True)
class Stretch:
    """What a turn came to: batches, and seconds in all and in wait for them."""

    batches: int
    seconds: float
    waited: float


Feed = Iterator[Tensor]
Feeds = dict[str, Feed]
Turns = dict[str, list[Stretch]]


@cache
def photographs() -> dict[str, Image.Image]:
    """Scikit-learn's two, 640x427, by name."""
    from sklearn.datasets import load_sample_images

    sample = load_sample_images()
    names = (Path(name).stem for name in sample.filenames)
    return dict(zip(names, map(Image.fromarray, sample.images), strict=True))


def save(folder: Path, number: int) -> None:
    """Saves a picture into the folder of its photograph."""
    draw = np.random.default_rng(number)
    name, photograph = list(photographs().items())[number % 2]
    side = int(draw.integers(SIDE, min(photograph.size), endpoint=True))
    left, top = (int(draw.integers(0, length - side + 1)) for length in photograph.size)
    square = photograph.crop((left, top, left + side, top + side))
    picture = square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    picture.save(folder / name / f"{number:06d}.png")


def made(folder: Path, number: int) -> Path:
    """The folder of pictures, all in `train`; made if it is not there."""
    root = folder / f"{number}-pictures"
    if not root.exists():
        with scratch(folder) as place:
            (place / "test").mkdir()
            for name in photographs():
                (place / "train" / name).mkdir(parents=True)
            with ProcessPoolExecutor() as pool:
                list(pool.map(partial(save, place / "train"), range(number), chunksize=500))
            place.rename(root)
    return root


def cached(root: Path, folder: Path) -> Images:
    """Makes the cached form, and opens it again; prints what that takes."""
    paths = list(root.rglob("*.png"))
    load = partial(image_folder.load, root, folder, resolution=SIDE, channels=3)
    images, making = timed(load)
    opening = statistics.median(timed(load)[1] for _ in range(3))
    size = sum(path.stat().st_size for path in paths)
    print(f"{len(paths):,} PNGs of {SIDE}x{SIDE}, {size / 1e6:.0f} MB\n")
    print("| | s | images/s | MB |\n| --- | ---: | ---: | ---: |")
    rate, stored = len(images) / making, images.pixels.nbytes / 1e6
    print(f"| making the cached form, once | {making:.1f} | {rate:,.0f} | {stored:.0f} |")
    print(f"| opening it, and checking its hash | {opening:.2f} | | |")
    return images


def timed(load: Callable[[], Images]) -> tuple[Images, float]:
    """What is loaded, and the seconds it took."""
    started = time.perf_counter()
    images = load()
    return images, time.perf_counter() - started


def feeds(root: Path, images: Images, workers: int) -> Feeds:
    """The ways to the batches, by name."""
    batches = partial(
        Batches, images, batch_size=BATCH, critic_steps=1, seed=0, start=0, stop=ENDLESS
    )
    return {
        f"each PNG decoded, {workers} processes": decoded(pictures(root), workers),
        "touchstone, on the device": (samples for samples, _ in batches()),
        "touchstone, streamed, none ahead": (samples for samples, _ in batches(memory=0)),
        f"touchstone, streamed, {workers} threads": (
            samples for samples, _ in batches(memory=0, workers=workers)
        ),
    }


def pictures(root: Path) -> Dataset[tuple[Tensor, int]]:
    """The samples in [-1, 1] and the labels, as torchvision has them."""
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    scale = transforms.Normalize((0.5,) * 3, (0.5,) * 3)
    folder: Dataset[tuple[Tensor, int]] = ImageFolder(
        root / "train", transforms.Compose([transforms.ToTensor(), scale])
    )
    return folder


def decoded(dataset: Dataset[tuple[Tensor, int]], workers: int) -> Feed:
    """Epoch after epoch of a DataLoader."""
    loader = DataLoader(
        dataset, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=True
    )
    return (samples for samples, _ in chain.from_iterable(repeat(loader)))


class Step:
    """An iteration of `dcgan` of width 16 at 64x64, `vanilla`: one update of either network."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.generator = dcgan.Generator(100, SIDE, 3, WIDTH)
        self.discriminator = dcgan.Discriminator(SIDE, 3, WIDTH)
        self.loss = Vanilla()
        self.optimizers: dict[nn.Module, torch.optim.Optimizer] = {
            network: torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999), fused=True)
            for network in (self.generator, self.discriminator)
        }
        for network in self.optimizers:
            network.to(memory_format=torch.channels_last)

    def __call__(self, real: Tensor) -> None:
        """Takes the step."""
        fake = self.generator(torch.randn(len(real), 100))
        logits = self.discriminator(real), self.discriminator(fake.detach())
        self.update(self.discriminator, self.loss.discriminator(*logits))
        self.discriminator.requires_grad_(False)
        self.update(self.generator, self.loss.generator(self.discriminator(fake)))
        self.discriminator.requires_grad_(True)

    def update(self, network: nn.Module, loss: Tensor) -> None:
        """Updates a network."""
        self.optimizers[network].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[network].step()


def taken(ways: Feeds, work: Callable[[Tensor], object], rounds: int) -> Turns:
    """Lets the feeds take turns; who goes first changes from round to round."""
    turns: Turns = {name: [] for name in ways}
    for number in range(rounds):
        for name in reversed(ways) if number % 2 else ways:
            stretch(ways[name], work, WARM_UP)
            turns[name].append(stretch(ways[name], work, STRETCH))
    return turns


def stretch(feed: Feed, work: Callable[[Tensor], object], seconds: float) -> Stretch:
    """Does its work on batch after batch, for so many seconds."""
    batches, waited = 0, 0.0
    started = now = time.perf_counter()
    while now - started < seconds:
        batch = next(feed)
        came = time.perf_counter()
        work(batch)
        batches, waited, now = batches + 1, waited + came - now, time.perf_counter()
    return Stretch(batches, now - started, waited)


def delivered(turns: Turns) -> list[str]:
    """The table of images a second."""
    rates = {name: [BATCH * of.batches / of.seconds for of in turns[name]] for name in turns}
    first = next(iter(rates.values()))
    lines = ["| batches | images/s | times the first | quartiles |", "| --- | ---: | ---: | --- |"]
    for name, of in rates.items():
        ratios = [rate / base for rate, base in zip(of, first, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        quartiles = f"{low:.1f} to {high:.1f}"
        lines.append(f"| {name} | {statistics.median(of):,.0f} | {middle:.1f} | {quartiles} |")
    return lines


def waited(turns: Turns) -> list[str]:
    """The table of the share of a step's time that it waits; the last feed is the step alone."""
    alone = list(turns.values())[-1]
    lines = ["| batches | iterations/s | of the step alone | waited, ms | share of the time |"]
    lines += ["| --- | ---: | --- | ---: | --- |"]
    for name, of in turns.items():
        rate = statistics.median(turn.batches / turn.seconds for turn in of)
        ratios = [
            turn.batches / turn.seconds * base.seconds / base.batches
            for turn, base in zip(of, alone, strict=True)
        ]
        wait = statistics.median(1000 * turn.waited / turn.batches for turn in of)
        shares = [turn.waited / turn.seconds for turn in of]
        columns = [name, f"{rate:.1f}", spread(ratios, ".2f"), f"{wait:.2f}", spread(shares, ".2%")]
        lines.append(f"| {' | '.join(columns)} |")
    return lines


def spread(values: list[float], style: str) -> str:
    """The median and, in brackets, the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:{style}} ({low:{style}} to {high:{style}})"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=50_000, help="how many PNGs")
    parser.add_argument("--folder", type=Path, help="where the PNGs are made, and stay")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each, 2 or more")
    parser.add_argument("--workers", type=int, default=2, help="processes, or threads, of a loader")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        root = made(arguments.folder or Path(place), arguments.pictures)
        threads = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
        print(f"{platform.processor() or platform.machine()}, {threads}, torch {torch.__version__}")
        images = cached(root, Path(place) / "cache")
        # Both read the same: the pictures' order is that of their names in either.
        torch.testing.assert_close(pictures(root)[7][0], normalize(images.pixels[7]))

        ways = feeds(root, images, arguments.workers)
        print("", *delivered(taken(ways, lambda batch: None, arguments.rounds)), "", sep="\n")
        ways["none, the same batch again"] = repeat(next(ways["touchstone, on the device"]))
        print(*waited(taken(ways, Step(), arguments.rounds)), sep="\n")


if __name__ == "__main__":
    main()
