"""Measures what a second process brings: images a second of two, one thread each, against one.

    python scripts/benchmark_processes.py [ROUNDS] [WORDS of train.py …]

Both train with the same global batch, on the CPU, in runs that take turns; of each the speed is
that of its second half, evaluations and the start left out. The machine has to be idle otherwise.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = 2_560
WORDS = [
    *("model=dcgan", "loss=hinge", "data.resolution=32", "batch_size=64"),
    *("metrics=none", "logger=none", "~callbacks.samples", "trainer.accelerator=cpu"),
    *(f"images={IMAGES}", f"every.log={IMAGES // 2}", f"every.checkpoint={IMAGES}"),
]
PROCESSES = {1: ["trainer=default"], 2: ["trainer=ddp", "trainer.devices=2"]}


def images_per_second(processes: int, words: list[str]) -> float:
    """Trains once, and gives the speed of the second half."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, ROOT / "train.py", *PROCESSES[processes], *WORDS, *words],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
        )
        (record,) = Path(folder).glob("runs/*/metrics.jsonl")
        return float(json.loads(record.read_text().splitlines()[-1])["speed/images_per_second"])


def main() -> None:
    """Prints the speeds, and their ratio round by round."""
    words = sys.argv[1:]
    rounds = int(words.pop(0)) if words and words[0].isdigit() else 7
    speeds: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for processes in (1, 2) if number % 2 else (2, 1):
            speeds[processes].append(images_per_second(processes, words))
            print(f"{processes} processes: {speeds[processes][-1]:8.1f} images/s", flush=True)
    ratios = [two / one for one, two in zip(speeds[1], speeds[2], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"two against one: {middle:.3f} (quartiles {low:.3f} and {high:.3f}), {rounds} rounds")


if __name__ == "__main__":
    main()
