"""Measures the local dashboard with many runs: the seconds to log them, and to see them.

    python scripts/benchmark_dashboard.py --runs 100 --points 50 --pictures 5 --to shots/

log      what the logger costs a training process, from the configuration to the last figure written
metrics  from the browser's request to the curves of all runs
media    from the browser's request to a window full of pictures, all loaded

It needs playwright, and a Chromium on the path. --to keeps a picture of both pages.
"""

import argparse
import math
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from touchstone.tracking.loggers import trackio
from touchstone.tracking.run import Run

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SIDE = 280  # pixels of a grid of 10 x 10 samples of Fashion-MNIST


def main() -> None:
    """Measures as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--points", type=int, default=50, help="of each of three curves")
    parser.add_argument("--pictures", type=int, default=5, help="of each run")
    parser.add_argument("--to", type=Path, help="a folder for pictures of the pages")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        seconds = [
            log(runs, number, options.points, options.pictures) for number in range(options.runs)
        ]
        size = sum(path.stat().st_size for path in (runs / "trackio").rglob("*") if path.is_file())
        print(
            f"log       {sum(seconds):6.1f} s for {options.runs} runs, "
            f"{max(seconds):.2f} s the slowest, {size / 2**20:.0f} MiB"
        )
        show(runs, options.to)


def log(runs: Path, number: int, points: int, pictures: int) -> float:
    """Logs a run with curves and pictures as training would; gives the seconds it took."""
    run = Run.create(runs, f"run{number:03d}", "", {})
    draws = numpy.random.default_rng(number)
    grids = [
        Image.fromarray(draws.integers(0, 256, (SIDE, SIDE), dtype=numpy.uint8))
        for _ in range(pictures)
    ]
    start = time.perf_counter()
    logger = trackio(run, project="touchstone", group=f"group{number % 5}")
    assert logger is not None
    logger.log_hyperparams({"seed": number})
    for point in range(1, points + 1):
        images, noise = 6_400 * point, float(draws.normal())
        logger.log_metrics({"loss/generator": 1 + 0.1 * noise, "loss/discriminator": 1.0}, images)
        logger.log_metrics({"fid10k_fashion": 100 / math.sqrt(point) + number}, images)
        if point * pictures % points < pictures:
            logger.log_image("samples", [grids[point * pictures // points - 1]], images)
    logger.finalize("success")
    return time.perf_counter() - start


def show(runs: Path, to: Path | None) -> None:
    """Opens the dashboard in a browser and prints when its pages are complete."""
    from playwright.sync_api import sync_playwright

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["dashboard", "open=false", f"port={port}", f"runs_dir={runs}"]
    start = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "touchstone", *words], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    print(f"start     {time.perf_counter() - start:6.1f} s until the dashboard is there")
    pages = {
        "metrics": ("/", "document.querySelectorAll('canvas').length >= 3"),
        "media": ("/media", IN_WINDOW),
    }
    try:
        with sync_playwright() as playwright:
            found = next(filter(None, map(shutil.which, CHROMIUM)))
            chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
            for name, (path, complete) in pages.items():
                page = chromium.new_page(viewport={"width": 1500, "height": 1000})
                seconds = opened(
                    page, f"http://127.0.0.1:{port}{path}?{address.split('?')[1]}", complete
                )
                print(f"{name:10}{seconds:6.1f} s")
                if to is not None:
                    to.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=to / f"{name}.png")
                page.close()
            chromium.close()
    finally:
        server.terminate()
        server.wait()


# The page fetches a picture when it comes near the window: those in it have to be there.
IN_WINDOW = """(() => {
    const images = [...document.querySelectorAll('.gallery img')].filter(
        image => image.getBoundingClientRect().top < window.innerHeight);
    return images.length > 0 && images.every(image => image.complete && image.naturalWidth > 0);
})()"""


def opened(page: Any, address: str, complete: str) -> float:
    """Opens a page; gives the seconds until it is complete."""
    start = time.perf_counter()
    page.goto(address)
    page.wait_for_function(complete, timeout=120_000)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
