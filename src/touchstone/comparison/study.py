"""Optuna's own plots of a study: which parameter matters, and which values went with what."""

from pathlib import Path

from touchstone.errors import UsageError


def plots(folder: Path) -> dict[str, str]:
    """Draws the study of a sweep.

    The importance is the mean decrease in impurity of a random forest, since the fANOVA of the
    Optuna that Hydra's sweeper asks for does not work with NumPy 2.

    Args:
        folder: of the sweep.

    Returns:
        Plotly's figures as JSON, by their titles; none for a sweep that is no study, or one of
        fewer than two finished trials.

    Raises:
        UsageError: there is a study, and Optuna is not installed.
    """
    database = folder / "study.db"
    if not database.exists():
        return {}
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{database} needs Optuna to be read: pip install 'touchstone[sweep]'"
        ) from error

    study = optuna.load_study(study_name=folder.name, storage=f"sqlite:///{database}")
    finished = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in finished}) < 2:
        return {}
    evaluator = optuna.importance.MeanDecreaseImpurityImportanceEvaluator(seed=0)
    importance = optuna.visualization.plot_param_importances(study, evaluator=evaluator)
    coordinates = optuna.visualization.plot_parallel_coordinate(study)
    return {
        "Importance of each parameter": importance.to_json(),
        "Every trial's parameters and figure": coordinates.to_json(),
    }
