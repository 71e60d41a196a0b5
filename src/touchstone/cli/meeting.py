"""How the processes of a job, started by torchrun or srun, come to the same run.

The first one makes the run and writes its path under the job's name; the others wait for that. A
job that is started again under its name, for a process of it died or its time was up, finds its
run there and goes on with it.
"""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from touchstone import job
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from touchstone.tracking.run import Run

PATIENCE = 300  # seconds: on a cluster the first process can be long in coming


def appointed(runs_dir: Path) -> "Run | None":
    """The run that this job has, or will have; None where it is for this process to make it.

    Raises:
        UsageError: the first process has named none in time.
    """
    from touchstone.tracking.run import Run

    place = _place(runs_dir)
    if place is None:
        return None
    waited = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            path = Path(place.read_text())
            if (path / "config.yaml").is_file():
                return Run(path)
        if job.leads():
            return None
        if time.monotonic() > waited:
            raise UsageError(
                f"runs_dir={runs_dir}: the job's first process has begun no run in it for "
                f"{PATIENCE} s; all machines have to see the same folder"
            )
        time.sleep(0.1)


def appoint(run: "Run") -> None:
    """Tells the other processes of this job which run it is."""
    place = _place(run.path.parent)
    if place is not None and job.leads():
        place.parent.mkdir(exist_ok=True)
        partial = place.with_suffix(".partial")
        partial.write_text(str(run.path.resolve()))
        partial.replace(place)


def _place(runs_dir: Path) -> Path | None:
    name = job.name()
    return None if name is None else runs_dir / ".jobs" / name
