"""Who speaks for a job, under each way of starting its processes."""

import pytest

from touchstone import job

VARIABLES = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID"),
    *("SLURM_PROCID", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"),
)
TORCHRUN = {"WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "a1"}
SRUN = {"SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8"}


@pytest.mark.parametrize(
    ("variables", "leads", "name"),
    [
        ({}, True, None),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0", "WORLD_SIZE": "2"}, True, None),  # by Lightning
        ({"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2"}, False, None),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False, None),
        (TORCHRUN | {"RANK": "0", "LOCAL_RANK": "0"}, True, "torchrun-a1"),
        (TORCHRUN | {"RANK": "2", "LOCAL_RANK": "0"}, False, "torchrun-a1"),  # of another machine
        (SRUN | {"SLURM_PROCID": "0"}, True, "slurm-77.0"),
        (SRUN | {"SLURM_PROCID": "5"}, False, "slurm-77.0"),
        # A process alone in an allocation, and one that Lightning starts there.
        ({"SLURM_JOB_ID": "77", "SLURM_PROCID": "0"}, True, None),
        ({"SLURM_JOB_ID": "77", "SLURM_PROCID": "0", "LOCAL_RANK": "1"}, False, None),
    ],
)
def test_leading(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], leads: bool, name: str | None
) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert (job.leads(), job.name()) == (leads, name)
    assert not job.nameless()


def test_torchrun_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in {"RANK": "0", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(variable, value)
    assert job.nameless()
