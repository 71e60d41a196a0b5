"""touchstone's CTGAN beside the one of the paper's authors: same rows, same epochs, same test.

    python scripts/compare_ctgan.py [--seeds 0 1 2] [--rows 15000] [--epochs 100] [--to FOLDER]

Theirs, the package ctgan, has a licence of its own. It is no dependency: an environment is made for
it in the folder, and nothing of it is imported here. Both learn from rows of Adult, with one
thread, make as many, and are judged by what classifiers trained on these reach on the test rows.
"""

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

import polars as pl
from hydra.utils import instantiate
from omegaconf import OmegaConf

from touchstone.cli.front import register_resolvers
from touchstone.data.subset import subset
from touchstone.data.tables.finding import conform
from touchstone.data.tables.rows import Rows
from touchstone.data.tables.schema import Schema
from touchstone.privacy.use.prediction import prediction
from touchstone.tracking.run import Run
from touchstone.trained import load

ROOT = Path(__file__).parents[1]
VERSION = "0.12.1"
THEIRS = """
import sys, time
import numpy, pandas, torch
from ctgan import CTGAN
rows, made, epochs, seed = *sys.argv[1:3], *map(int, sys.argv[3:])
torch.set_num_threads(1)
torch.manual_seed(seed)
numpy.random.seed(seed)
table = pandas.read_csv(rows)
words = [name for name in table if table[name].dtype == object]
model = CTGAN(epochs=epochs, enable_gpu=False)
start = time.perf_counter()
model.fit(table.fillna({name: "?" for name in words}), words)
print(time.perf_counter() - start)
model.sample(len(table)).replace("?", None).to_csv(made, index=False)
"""


def main() -> None:
    """Trains both with each seed, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--to", type=Path, default=Path("runs/ctgan"))
    parser.add_argument("words", nargs="*", help="further words for touchstone's runs")
    said = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    said.to.mkdir(parents=True, exist_ok=True)
    register_resolvers()
    for seed in said.seeds:
        run, seconds = ours(said.to, said.rows, said.epochs, seed, said.words)
        rows, test = splits(run, said.rows)
        schema = rows.encoder.schema
        table = load(run.path).table
        assert table is not None
        if seed == said.seeds[0]:
            tell("real rows", 0, schema, rows.frame, test)
        made = table.decode(load(run.path).sample(len(rows), seed=1))
        tell(f"touchstone, seed {seed}", seconds, schema, made, test)
        made, seconds = theirs(said.to, rows.frame, said.epochs, seed)
        tell(f"ctgan {VERSION}, seed {seed}", seconds, schema, conform(schema, made, {}), test)


def ours(folder: Path, rows: int, epochs: int, seed: int, further: list[str]) -> tuple[Run, float]:
    """Trains touchstone's, unless it is there: the run, and the seconds that it took."""
    place = folder / f"touchstone_s{seed}"
    words = [
        "experiments=adult",
        f"subset={rows}",
        f"images={epochs * rows}",
        f"seed={seed}",
        f"runs_dir={place}",
        "metrics=none",
        "logger=none",
        *further,
    ]
    if not list(place.glob("*/summary.json")):
        subprocess.run([sys.executable, ROOT / "train.py", *words], check=True)
    run = Run(next(path.parent for path in place.glob("*/summary.json")))
    return run, float(run.summary["seconds"])


def splits(run: Run, number: int) -> tuple[Rows, pl.DataFrame]:
    """The rows that a run was shown, and the test rows."""
    settings = OmegaConf.create(run.config)
    train, test = (instantiate(settings.data.load)(split=split) for split in ("train", "test"))
    return subset(train, number), test.frame


def theirs(folder: Path, frame: pl.DataFrame, epochs: int, seed: int) -> tuple[pl.DataFrame, float]:
    """Trains theirs, unless it is there: the rows that it makes, and the seconds that it took."""
    rows, made = (folder / f"{name}_s{seed}.csv" for name in ("rows", "made"))
    took = folder / f"seconds_s{seed}"
    if not took.exists():
        frame.write_csv(rows)
        python = str(environment(folder))
        words = [python, "-c", THEIRS, str(rows), str(made), str(epochs), str(seed)]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        took.write_text(done.stdout.split()[-1])
    return pl.read_csv(made, infer_schema=False), float(took.read_text())


def environment(folder: Path) -> Path:
    """The Python of an environment that has their package."""
    place = folder / "environment"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"ctgan=={VERSION}"], check=True)
        (place / "ready").touch()
    return python


def tell(
    name: str, seconds: float, schema: Schema, table: pl.DataFrame, test: pl.DataFrame
) -> None:
    """Prints the AUC and the F1 of each classifier that is trained on a table."""
    figures = "   ".join(
        f"{classifier} {of.auc.value:.3f} / {of.f1.value:.3f}"
        for classifier, of in prediction(schema, table, test).items()
    )
    print(f"{name:24}{figures}   {seconds:,.0f} s", flush=True)


if __name__ == "__main__":
    main()
