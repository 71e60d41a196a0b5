import json
import math
from pathlib import Path
from typing import Any

import pytest

from touchstone.comparison.study import plots

optuna = pytest.importorskip("optuna", reason="Optuna is not installed")


def studied(folder: Path, trials: int) -> None:
    """A study in which the learning rate is nearly all that matters."""

    def figure(trial: Any) -> float:
        rate = math.log10(trial.suggest_float("optimizer.lr", 1e-5, 1e-1, log=True))
        other: bool = trial.suggest_categorical("loss", ["a", "b"]) == "b"
        return (rate + 3) ** 2 + 0.1 * other

    folder.mkdir()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=folder.name,
        storage=f"sqlite:///{folder / 'study.db'}",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    study.optimize(figure, n_trials=trials)


def test_the_parameter_that_matters_is_the_important_one(tmp_path: Path) -> None:
    studied(tmp_path / "mine", 20)
    importance, coordinates = (json.loads(plot) for plot in plots(tmp_path / "mine").values())
    [bars] = importance["data"]
    shares = dict(zip(bars["y"], bars["x"], strict=True))
    assert shares["optimizer.lr"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    labels = [axis["label"] for axis in coordinates["data"][0]["dimensions"]]
    assert labels == ["Objective Value", "loss", "optimizer.lr"]


def test_a_sweep_that_is_no_study_has_none(tmp_path: Path) -> None:
    assert plots(tmp_path) == {}
    studied(tmp_path / "short", 1)
    assert plots(tmp_path / "short") == {}
