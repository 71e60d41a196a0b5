"""Starts a sweep of Weights & Biases, and an agent that trains what it asks for.

    python scripts/wandb_sweep.py FILE.yaml        a new sweep
    python scripts/wandb_sweep.py ENTITY/PROJECT/ID  another agent, on this machine or another

Needs an account. Each run is a process of `python train.py` with the words that W&B has chosen.
"""

import os
import sys
from pathlib import Path

import wandb
import yaml

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Starts the agent."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sweep = sys.argv[1]
    if Path(sweep).suffix in (".yaml", ".yml"):
        settings = yaml.safe_load(Path(sweep).read_text())
        sweep = f"{settings['project']}/{wandb.sweep(settings, project=settings['project'])}"
    os.chdir(ROOT)
    wandb.agent(sweep)


if __name__ == "__main__":
    main()
