"""Reading a checkpoint without executing anything, and without the trainer."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from touchstone.errors import UsageError


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
