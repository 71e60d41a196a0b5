"""The front door of every verb: settings composed by Hydra, one message for what cannot be done."""

import difflib
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
    SearchPathException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from touchstone.cli import sweep
from touchstone.errors import DivergedError, InterruptionError, UsageError
from touchstone.job import leads

PACKAGE = Path(__file__).resolve().parents[1]


def enter(
    name: str,
    task: Callable[[DictConfig], None],
    conf: Path | None = None,
    job: Callable[[DictConfig], float | None] | None = None,
) -> None:
    """Composes the settings of a verb from the command line and runs its task with them.

    Args:
        name: the verb, which has a file `NAME.yaml` in the configuration's folder.
        task: what the verb does.
        conf: the configuration's folder; by default `configuration`'s.
        job: what is done in its place for each composition of a multirun.
    """
    conf = conf or configuration(name)
    register_resolvers()

    def run(settings: DictConfig) -> float | None:
        if job is not None:
            return job(settings)
        status = explained(task, settings)
        if status:
            # Not by an exception: Hydra would print its traceback.
            sys.exit(status)
        return None

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises; what is said of it is said here
    try:
        hydra.main(version_base="1.3", config_path=str(conf), config_name=name)(run)()
    except MissingConfigException as error:
        fail(no_such_part(error, conf))
    except ConfigCompositionException as error:
        fail(no_such_setting(error, conf, name))
    except OverrideParseException as error:
        reason = str(error).splitlines()[0]
        fail(f"{error.override}: cannot be read; a word is GROUP=NAME or KEY=VALUE ({reason})")
    except SearchPathException as error:
        fail(str(error))


def configuration(name: str) -> Path:
    """The folder of a verb's configuration: the checkout's, or the one in the package."""
    beside = PACKAGE.parents[1] / "conf"
    return beside if (beside / f"{name}.yaml").is_file() else PACKAGE / "conf"


def fail(message: str) -> NoReturn:
    """Says what cannot be done and exits; of a job's processes the first one says it."""
    if leads():
        print(f"touchstone: {message}", file=sys.stderr)
        sweep.record_reason(message)
    sys.exit(1)


def no_such_part(error: MissingConfigException, conf: Path) -> str:
    """Names the part that is not there, and those that are."""
    group, _, part = str(error.missing_cfg_file).rpartition("/")
    # Of a part in a list Hydra does not say what there is.
    names = sorted(map(str, error.options or [path.stem for path in conf.glob(f"{group}/*.yaml")]))
    if not group or not names:
        return str(error).splitlines()[0]
    if group.startswith("hydra/"):  # which a file of ours asks for
        extra = "ray" if part == "ray" else "sweep"
        return f"{group}={part} is not installed: pip install 'touchstone[{extra}]'"
    return (
        f"{group}={part}: there is no such part.{nearest(part, names)} There are {', '.join(names)}"
    )


def no_such_setting(error: ConfigCompositionException, conf: Path, name: str) -> str:
    """Names the setting that is not there, and the one that was perhaps meant."""
    lines = str(error).splitlines()
    found = re.match(r"Could not override '([^']+)'", lines[0])
    if found is None:
        return " ".join(line.strip() for line in lines)
    settings = [str(key) for key in OmegaConf.load(conf / f"{name}.yaml")]
    groups = [path.name for path in conf.iterdir() if path.is_dir() and path.name != found[1]]
    hint = "" if "." in found[1] else nearest(found[1], settings + groups)
    if found[1].removeprefix("data.").startswith("columns."):
        hint = f" Of a column write ++{found[1]}=…"
    return f"{found[1]}: there is no such setting or group.{hint} --help lists them"


def nearest(word: str, names: Sequence[str]) -> str:
    """A suggestion, where one of the names is close."""
    near = difflib.get_close_matches(word, names, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def register_resolvers() -> None:
    """Makes known the functions that the configuration's files call."""
    OmegaConf.register_new_resolver("first_allowed", first_allowed, replace=True)
    OmegaConf.register_new_resolver("cache_folder", cache_folder, replace=True)
    OmegaConf.register_new_resolver("known_classes", known_classes, replace=True)
    OmegaConf.register_new_resolver("sample_shape", sample_shape, replace=True)


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
        if leads():
            print(f"touchstone: {message}", file=sys.stderr)
            sweep.record_reason(message)
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


def known_classes(*, _root_: DictConfig) -> int:
    """How many classes the generator is told: the data's in a conditional model, otherwise none."""
    return int(_root_.data.classes or 0) if _root_.model.conditional else 0


def sample_shape(*, _root_: DictConfig) -> list[int]:
    """The shape of the data's samples: its own word, or an image's."""
    data = _root_.data
    return list(data.get("shape") or (data.channels, data.resolution, data.resolution))


def plain(settings: Any) -> Any:
    """Settings as plain containers, every interpolation resolved."""
    return OmegaConf.to_container(settings, resolve=True)


def cache_folder() -> str:
    """Where data, statistics and pictures made smaller lie by default, for all runs."""
    return str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "touchstone")
