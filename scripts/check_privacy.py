"""Private records: use and leakage over epsilon.

    python scripts/check_privacy.py [--seeds 0 1 2] [--epsilons 1 3 10 inf] [--to FOLDER]

Trains experiments=adult_private with each epsilon and seed, unless the run is there, and evaluates
it; `touchstone compare runs=[FOLDER/*/*] by=[privacy.epsilon]` shows them together, and
`touchstone audit run=RUN canaries=1000` looks for canaries.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from touchstone.tracking.run import Run

ROOT = Path(__file__).parents[1]
SHOWN = ("tstr10k", "tstr10k/logistic_regression", "tstr10k/real", "pairs10k", "membership10k")


def main() -> None:
    """Trains and evaluates a run of each budget and seed, and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1, 3, 10, float("inf")])
    parser.add_argument("--to", type=Path, default=Path("runs/privacy/sweep"))
    said = parser.parse_args()
    for seed in said.seeds:
        for epsilon in said.epsilons:
            run = trained(said.to / f"{epsilon:g}_s{seed}", epsilon, seed)
            if not list(run.figures()):
                words = ["evaluate", f"run={run.path}", "metrics=[utility,leakage]"]
                subprocess.run(
                    [sys.executable, "-m", "touchstone", *words],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
            figures = {figure.name: figure.value for figure in run.figures()}
            shown = "   ".join(f"{name} {figures[name]:.3f}" for name in SHOWN)
            print(f"epsilon {epsilon:g}, seed {seed}: {shown}", flush=True)


def trained(folder: Path, epsilon: float, seed: int) -> Run:
    """The run of a budget, trained unless it is there; infinity is training without privacy."""
    private = [f"privacy.epsilon={epsilon:g}"]
    words = [
        "experiments=adult_private",
        *(private if epsilon < float("inf") else ["privacy=none", "data.public=true"]),
        f"seed={seed}",
        f"runs_dir={folder}",
        "logger=none",
    ]
    if not list(folder.glob("*/summary.json")):
        subprocess.run([sys.executable, ROOT / "train.py", *words], check=True)
    return Run(next(path.parent for path in folder.glob("*/summary.json")))


if __name__ == "__main__":
    main()
