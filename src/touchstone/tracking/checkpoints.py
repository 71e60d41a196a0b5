"""Checkpoints: written whole or not at all, read without executing anything."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from touchstone.errors import UsageError


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


def read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of a run, tensors and plain containers alone, to the CPU.

    Raises:
        UsageError: where the file is missing, damaged, holds code, or is none of ours.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such checkpoint (none was written yet)") from None
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path):
            raise UsageError(
                f"{path}: refused, since it holds more than tensors and plain containers, "
                "which could run code when it is read"
            ) from error
        raise UsageError(f"{path}: damaged, or no checkpoint") from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: damaged, or no checkpoint ({error})") from error
    if not isinstance(checkpoint, dict) or "images" not in checkpoint:
        raise UsageError(f"{path}: not a checkpoint of touchstone")
    return checkpoint
