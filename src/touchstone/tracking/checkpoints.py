"""How the trainer writes checkpoints, whole or not at all, and reads them."""

import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from touchstone.tracking.reading import read


class Checkpoints(CheckpointIO):
    """How the trainer writes and reads its checkpoints."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes to a temporary name beside `path`, then renames: a kill leaves the former one.

        Raises:
            OSError: where the disk is full or read-only; the former checkpoint stays.
        """
        path = Path(path)
        partial = path.with_name(f".{path.name}.partial")
        try:
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            # The archive's writer covers what the file said with an error of its own.
            cause = error.__context__ if isinstance(error, RuntimeError) else error
            if isinstance(cause, OSError):
                raise OSError(cause.errno, cause.strerror, str(path)) from error
            raise

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Reads a checkpoint; see `read`."""
        return read(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Removes a checkpoint."""
        Path(path).unlink(missing_ok=True)
