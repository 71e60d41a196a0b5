"""Times `touchstone compare` on 1,000 made run folders: 40 configurations of 25 seeds.

    python scripts/benchmark_compare.py [runs]

The folders are as training leaves them, each with a configuration as it is composed, a record of
100 lines, four evaluations and four grids of samples. The command is timed as a process of its own,
with what it writes; then its parts, one after the other.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from touchstone.cli.front import register_resolvers
from touchstone.tracking.run import environment

ROOT = Path(__file__).resolve().parents[1]
LOSSES = ("vanilla", "hinge", "wgan_gp", "least_squares", "relativistic")
RATES = (0.00005, 0.0001, 0.0002, 0.0004)
WIDTHS = (32, 64)
BUDGET, POINTS, EVALUATIONS = 400_000, 100, 4
PROTOCOL = {"extractor": "fashion", "generated": 10_000, "reference": "train", "seed": 0}


def make(folder: Path, number: int) -> None:
    """Makes run folders: every loss, rate and width, with as many seeds as it takes."""
    settings = list(itertools.product(LOSSES, RATES, WIDTHS))
    machine = environment()
    pictures = [folder.parent / f"{index}.png" for index in range(EVALUATIONS)]
    generator = np.random.default_rng(0)
    for picture in pictures:
        pixels = generator.integers(0, 256, (60, 60), dtype=np.uint8)
        Image.fromarray(pixels).resize((560, 560), Image.Resampling.BICUBIC).save(picture)
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        configs = [
            OmegaConf.to_yaml(
                compose(
                    "train",
                    [f"loss={loss}", f"optimizer.lr={rate}", f"model.width={width}"],
                )
            )
            for loss, rate, width in settings
        ]
    for index in range(number):
        cell, seed = index % len(settings), index // len(settings)
        effect = 5 + LOSSES.index(settings[cell][0]) + settings[cell][1] * 1e4
        run = folder / f"2026-11-01_00-00-00_{index:04d}"
        (run / "samples").mkdir(parents=True)
        (run / "config.yaml").write_text(configs[cell].replace("seed: 0", f"seed: {seed}", 1))
        (run / "environment.json").write_text(json.dumps(machine))
        record, figures = [], []
        for step in range(1, POINTS + 1):
            images = BUDGET * step // POINTS
            record.append({"images": images, "loss/generator": 1.0, "speed/seconds": step * 3.0})
            if step % (POINTS // EVALUATIONS) == 0:
                value = effect * (1 + 3 / step) + generator.normal(0, 0.5)
                record.append({"images": images, "fid10k_fashion": value})
                figures.append(
                    {"name": "fid10k_fashion", "value": value, "protocol": PROTOCOL}
                    | {"generator": "", "images": images, "time": ""}
                )
                os.link(pictures[len(figures) - 1], run / "samples" / f"{images:09d}.png")
        write_lines(run / "metrics.jsonl", record)
        write_lines(run / "figures.jsonl", figures)
        summary = {
            **{"status": "finished", "images": BUDGET, "seconds": 300.0, "peak_memory_gib": 1.0},
            "parameters": {"generator": 369_601, "discriminator": 166_817},
            "multiply_adds": {"generator": 4_530_176, "iteration": 1_527_775_232.0},
            "images_per_second": 1333.3,
        }
        (run / "summary.json").write_text(json.dumps(summary))


def write_lines(path: Path, content: list[dict[str, Any]]) -> None:
    """Writes lines of JSON."""
    path.write_text("".join(json.dumps(line) + "\n" for line in content))


def timed(what: str, task: Callable[[], Any]) -> Any:
    """Does something, and prints how long it took."""
    started = time.perf_counter()
    result = task()
    print(f"| {what} | {time.perf_counter() - started:.2f} |")
    return result


def opened(page: Path) -> dict[str, float]:
    """The seconds that a page takes in Chromium until its table, and its chart, can be used."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        started = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="commit")
        tab.wait_for_selector(".board td")
        table = time.perf_counter() - started
        tab.wait_for_selector(".chart .main-svg")
        chart = time.perf_counter() - started
        browser.close()
    return {"the page opened: its table": table, "its chart": chart}


def main() -> None:
    """Prints the table."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make(place / "runs", number)
        print("| part | seconds |\n| --- | --- |")
        command = [sys.executable, "-m", "touchstone", "compare"]
        for words in ([], ["by=loss"]):
            timed(
                " ".join(["touchstone compare", *words]),
                partial(
                    subprocess.run, [*command, *words], cwd=place, check=True, capture_output=True
                ),
            )
        from touchstone.comparison import groups, page, runs, tables

        found = timed("finding", lambda: list(runs.find([str(place / "runs")], place)))
        members, left_out = timed("reading", lambda: runs.read(found))
        members, _ = timed("telling copies", lambda: runs.latest(members))
        comparisons = timed("grouping and testing", lambda: groups.compare(members))
        timed("tables", lambda: list(map(tables.markdown, comparisons)))
        report = place / "report.html"
        timed("the page", lambda: page.write(comparisons, left_out, report))
        for what, seconds in opened(report).items():
            print(f"| {what} | {seconds:.2f} |")
        [comparison] = comparisons
        print(
            f"\n{len(members)} runs, {len(comparison.groups)} groups, "
            f"{len(comparison.differences):,} differences; the page has "
            f"{report.stat().st_size / 1e6:.1f} MB"
        )


if __name__ == "__main__":
    main()
