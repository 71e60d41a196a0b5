"""Private records: use and leakage over epsilon, and canaries in a private run.

    python scripts/check_privacy.py sweep [--seeds 0 1 2] [--epsilons 1 3 10 inf] [--to FOLDER]
    python scripts/check_privacy.py canaries [--seeds 0] [--epsilons 1 inf] [--to FOLDER]

`sweep` trains experiments=adult_private with each epsilon and seed, unless the run is there, and
evaluates it; `touchstone compare runs_dir=FOLDER/sweep` shows them together. `canaries` plants made
records among Adult's by the toss of a coin, and tells what attacks find of them: a lower bound on
epsilon, which a private run's promise has to lie above.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import polars as pl
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from touchstone.cli.front import register_resolvers
from touchstone.data.tables.rows import Rows
from touchstone.privacy.attacks.attack import Attack, Evidence
from touchstone.privacy.attacks.density_ratio import DensityRatio
from touchstone.privacy.attacks.kernel_density import KernelDensity
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.bound import one_run_bound
from touchstone.privacy.canaries import canaries
from touchstone.privacy.intervals import auroc
from touchstone.tracking.run import Run
from touchstone.trained import load

ROOT = Path(__file__).parents[1]
CANARIES = 1_000
DELTA = 1e-5
ATTACKS: dict[str, Attack] = {
    "nearest": Nearest(),
    "density ratio": DensityRatio(),
    "kernel density": KernelDensity(),
}


def main() -> None:
    """Sweeps, or plants canaries."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("sweep", "canaries"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1, 3, 10, float("inf")])
    parser.add_argument("--to", type=Path, default=Path("runs/privacy"))
    said = parser.parse_args()
    register_resolvers()
    for seed in said.seeds:
        for epsilon in said.epsilons:
            if said.step == "sweep":
                sweep(said.to / "sweep", epsilon, seed)
            else:
                plant(said.to / "canaries", epsilon, seed)


def sweep(folder: Path, epsilon: float, seed: int) -> None:
    """Trains and evaluates a run of a budget, and prints its figures."""
    run = trained(folder / f"{epsilon:g}_s{seed}", epsilon, seed)
    if not list(run.figures()):
        words = ["evaluate", f"run={run.path}", "metrics=[utility,leakage]"]
        subprocess.run(
            [sys.executable, "-m", "touchstone", *words], check=True, stdout=subprocess.DEVNULL
        )
    figures = {figure.name: figure.value for figure in run.figures()}
    names = ("tstr10k", "tstr10k/logistic_regression", "tstr10k/real", "pairs10k", "membership10k")
    shown = "   ".join(f"{name} {figures[name]:.3f}" for name in names)
    print(f"epsilon {epsilon:g}, seed {seed}: {shown}", flush=True)


def plant(folder: Path, epsilon: float, seed: int) -> None:
    """Trains a run on records and canaries, and prints what attacks find of these."""
    place = folder / f"{epsilon:g}_s{seed}"
    rows, test = (_adult(split) for split in ("train", "test"))
    encoder = rows.encoder
    columns = [slot.stop - slot.start for slot in encoder.places.values()]
    made = canaries(rows.values, CANARIES, columns, seed)
    place.mkdir(parents=True, exist_ok=True)
    file = place / "planted.csv"
    planted = encoder.decode(made.planted).select(rows.frame.columns)
    pl.concat([rows.frame, planted]).write_csv(file)
    run = trained(place / "run", epsilon, seed, file)
    synthetic = load(run.path).sample(len(rows), seed=1)
    evidence = Evidence(synthetic, test.values)
    for name, attack in ATTACKS.items():
        scores = attack(made.records, evidence)
        area = auroc(scores[made.included], scores[~made.included])
        bound = one_run_bound(scores, made.included, DELTA)
        print(
            f"epsilon {epsilon:g}, seed {seed}, {CANARIES} canaries, {name}: "
            f"AUC {area.value:.3f} [{area.low:.3f}, {area.high:.3f}], epsilon at least {bound:.2f}",
            flush=True,
        )


def trained(folder: Path, epsilon: float, seed: int, file: Path | None = None) -> Run:
    """The run of a budget, trained unless it is there; infinity is training without privacy."""
    private = epsilon < float("inf")
    words = [
        "experiments=adult_private",
        *([f"privacy.epsilon={epsilon:g}"] if private else ["privacy=none", "data.public=true"]),
        f"seed={seed}",
        f"runs_dir={folder}",
        "logger=none",
    ]
    if file is not None:
        words += [
            "data.load._target_=touchstone.data.tables.table.load",
            "~data.load.folder",
            f"+data.load.path={file}",
            "+data.load.test=1e-6",  # one row, of which nothing is asked
        ]
    if not list(folder.glob("*/summary.json")):
        subprocess.run([sys.executable, ROOT / "train.py", *words], check=True)
    return Run(next(path.parent for path in folder.glob("*/summary.json")))


def _adult(split: str) -> Rows:
    """A split of Adult, encoded by what is stated of its columns alone."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        settings = compose("train", ["data=adult", "data.public=true", "model=mlp_table"])
    OmegaConf.resolve(settings.data)
    rows: Rows = instantiate(settings.data.load)(split=split)
    return rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
