"""Saves a view of a project at Weights & Biases: figures, losses and samples, runs by their group.

    pip install 'wandb[workspaces]'
    python scripts/wandb_view.py --entity ENTITY --project touchstone --figure fid10k_fashion

Prints the view's address. Every axis goes by images. --dry-run prints what would be saved, and
needs no account. Untested beyond that: nobody has saved a view with it yet.
"""

import argparse
import json

import wandb_workspaces.reports.v2 as panels
import wandb_workspaces.workspaces as workspaces


def main() -> None:
    """Saves, or prints, as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entity", required=True, help="a user or a team")
    parser.add_argument("--project", default="touchstone")
    parser.add_argument("--figure", nargs="+", default=["fid10k_fashion"], help="figures' names")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    made = view(options.entity, options.project, options.figure)
    if options.dry_run:
        print(json.dumps(made._to_model().model_dump(mode="json"), indent=2, default=str))
    else:
        print(made.save().url)


def view(entity: str, project: str, figures: list[str]) -> workspaces.Workspace:
    """The view: the figures' curves of all runs, the samples of each beside the others', the rest.

    Args:
        entity: a user or a team.
        project: where the runs are.
        figures: the figures' names, such as `fid10k_fashion`.
    """
    curves = [panels.LinePlot(title=figure, x="images", y=[figure]) for figure in figures]
    latest = [panels.BarPlot(title=figure, metrics=[figure]) for figure in figures]
    samples = panels.MediaBrowser(
        media_keys=["samples"], mode="grid", grid_x_axis="step", grid_y_axis="run"
    )
    losses = [
        panels.LinePlot(x="images", y=[f"loss/{network}"])
        for network in ("generator", "discriminator")
    ]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name="touchstone",
        sections=[
            workspaces.Section(name="Figures", panels=[*curves, *latest], is_open=True),
            workspaces.Section(name="Samples", panels=[samples], is_open=True),
            workspaces.Section(name="Losses", panels=losses, is_open=True),
        ],
        settings=workspaces.WorkspaceSettings(x_axis="images", smoothing_type="none"),
        runset_settings=workspaces.RunsetSettings(groupby=[workspaces.Metric("Group")]),
    )


if __name__ == "__main__":
    main()
