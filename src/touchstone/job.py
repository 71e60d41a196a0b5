"""Which of a job's processes this one is, by the variables of whoever started them.

Lightning starts the further processes of a machine itself and numbers them (`LOCAL_RANK`). torchrun
and Slurm's srun start all of them, and the job has a name that all of them know; it stays when the
job is started again.
"""

import os


def leads() -> bool:
    """Whether this process speaks and writes for the job: the first of them, or the only one."""
    return all(os.environ.get(each, "0") == "0" for each in _numbers())


def name() -> str | None:
    """The job's name where torchrun or srun started its processes; None for Lightning's own."""
    variables = os.environ
    if variables.get("TORCHELASTIC_RUN_ID", "none") != "none":
        return f"torchrun-{variables['TORCHELASTIC_RUN_ID']}"
    if int(variables.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and "LOCAL_RANK" not in variables:
        return f"slurm-{variables['SLURM_JOB_ID']}.{variables['SLURM_STEP_ID']}"
    return None


def nameless() -> bool:
    """Whether torchrun has started several processes under no name of their own."""
    several = "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
    return several and name() is None


def _numbers() -> tuple[str, ...]:
    if "RANK" in os.environ:
        return ("RANK",)
    if "LOCAL_RANK" in os.environ:
        return ("LOCAL_RANK", "NODE_RANK")
    return ("NODE_RANK", "SLURM_PROCID")
