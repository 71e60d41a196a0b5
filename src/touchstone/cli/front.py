"""The front door of every verb: settings composed by Hydra, one message for what cannot be done."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from touchstone.errors import DivergedError, InterruptionError, UsageError

PACKAGE = Path(__file__).resolve().parents[1]


def enter(name: str, task: Callable[[DictConfig], None], conf: Path | None = None) -> None:
    """Composes the settings of a verb from the command line and runs its task with them.

    Args:
        name: the verb, which has a file `NAME.yaml` in the configuration's folder.
        task: what the verb does.
        conf: the configuration's folder; by default the checkout's, or the one in the package.
    """
    if conf is None:
        beside = PACKAGE.parents[1] / "conf"
        conf = beside if (beside / f"{name}.yaml").is_file() else PACKAGE / "conf"
    register_resolvers()

    def run(settings: DictConfig) -> None:
        status = explained(task, settings)
        if status:
            # Not by an exception: Hydra would print its traceback.
            sys.exit(status)

    hydra.main(version_base="1.3", config_path=str(conf), config_name=name)(run)()


def register_resolvers() -> None:
    """Makes known the functions that the configuration's files call."""
    OmegaConf.register_new_resolver("first_allowed", first_allowed, replace=True)
    OmegaConf.register_new_resolver("cache_folder", cache_folder, replace=True)


def explained(task: Callable[[DictConfig], None], settings: DictConfig) -> int:
    """Runs a task; says in one message what could not be done.

    Returns:
        The exit status: 0, 1 for what cannot be done, 128 and the signal's number for a signal.
    """
    try:
        task(settings)
    except InterruptionError as error:
        return 128 + error.signal
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if settings.get("debug") or (message := explanation(error)) is None:
            raise
        print(f"touchstone: {message}", file=sys.stderr)
        return 1
    return 0


def explanation(error: Exception) -> str | None:
    """The message for a user where the error is theirs or the machine's; none where it is ours."""
    if isinstance(error, UsageError | DivergedError):
        return str(error)
    if isinstance(error, InstantiationException):
        cause = error.__cause__
        if isinstance(cause, UsageError | ValueError | TypeError | OSError):
            return explanation(cause) or str(cause)
        return str(error)
    if isinstance(error, OmegaConfBaseException):
        return str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    return None


def first_allowed(preferred: Sequence[str], allowed: Sequence[str]) -> str:
    """The first preference that is allowed; the first of all where none is, to be refused later."""
    return next((name for name in preferred if name in allowed), preferred[0])


def plain(settings: Any) -> Any:
    """Settings as plain containers, every interpolation resolved."""
    return OmegaConf.to_container(settings, resolve=True)


def cache_folder() -> str:
    """Where data, statistics and pictures made smaller lie by default, for all runs."""
    return str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "touchstone")
