"""What the tests share: the command line in a process of its own, and in this one."""

import logging
import os
import shutil
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from touchstone.cli import main
from touchstone.cli.front import explained, register_resolvers

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
KEYS = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE")

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user's environment with no key of a tracker, its statistics kept for the session."""
    variables = {key: value for key, value in os.environ.items() if key not in KEYS}
    return variables | {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "TOUCHSTONE_CACHE": str(tmp_path_factory.getbasetemp().parent / "cache"),
        "TOUCHSTONE_DATA": os.environ.get("TOUCHSTONE_DATA", str(default_data())),
        "OMP_NUM_THREADS": "1",
    }


def default_data() -> Path:
    """Where `make test` has put the data."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "touchstone" / "data"


@pytest.fixture
def cli(environment: dict[str, str], tmp_path: Path) -> Cli:
    """Runs `python -m touchstone WORDS…`, by default in the test's folder, and sees how it ends."""

    def run(
        *words: str, cwd: Path | None = None, status: int = 0, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "touchstone", *words],
            cwd=cwd or tmp_path,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"exit status {done.returncode}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def here(
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Cli:
    """As `cli`, but in this process, which need not import torch and Lightning once more."""

    import torch

    def told(*warning: Any, **_: Any) -> None:
        sys.stderr.write(warnings.formatwarning(*warning[:4]))  # and pytest would keep it

    def run(
        *words: str, cwd: Path | None = None, status: int = 0, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        code: Any = 0
        threads = torch.get_num_threads()
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))  # sums are alike to the bit
        capfd.readouterr()
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.resetwarnings()
            for kind in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", kind)  # as Python does
            patch.setattr(warnings, "showwarning", told)
            for name in KEYS:
                patch.delenv(name, raising=False)
            own = {"HYDRA_FULL_ERROR": "1"}  # which the front door sets, and here is taken back
            for name, value in (environment | variables | own).items():
                patch.setenv(name, value)
            patch.chdir(cwd or tmp_path)
            patch.setattr(sys, "argv", ["touchstone", *words])
            patch.setattr("touchstone.cli.called", [])
            patch.setattr(logging.getLogger(), "handlers", [])  # Hydra adds one of this stdout
            try:
                main()
            except SystemExit as end:
                code = end.code or 0
            except Exception:
                traceback.print_exc()
                code = 1
        said = capfd.readouterr()
        torch.set_num_threads(threads)
        assert code == status, f"exit status {code}\n{said.err}"
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def tiny_run(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of ten iterations on scikit-learn's digits."""
    folder = tmp_path_factory.mktemp("tiny")
    words = ["data=digits", "model.width=8", "images=640", "metrics=none", "logger=none"]
    subprocess.run(
        [sys.executable, "-m", "touchstone", "train", *words],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )
    (run,) = (folder / "runs").iterdir()
    return run


@pytest.fixture
def composed() -> Callable[..., DictConfig]:
    """Composes the settings of training as the command line would."""
    register_resolvers()

    def compose_settings(*words: str, conf: Path = CONF) -> DictConfig:
        with initialize_config_dir(str(conf), version_base="1.3"):
            settings = compose("train", overrides=list(words), return_hydra_config=True)
        HydraConfig.instance().set_config(settings)
        with open_dict(settings):
            settings.pop("hydra")
        return settings

    return compose_settings


@pytest.fixture
def train(
    composed: Callable[..., DictConfig],
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Path]:
    """Trains in this process, as the command line does once it has composed; gives the run."""
    from touchstone.cli.train import train as task

    def run(*words: str, status: int = 0, **options: Any) -> Path:
        monkeypatch.chdir(tmp_path)
        for name in ("TOUCHSTONE_CACHE", "TOUCHSTONE_DATA"):
            monkeypatch.setenv(name, environment[name])
        before = set((tmp_path / "runs").glob("*"))
        saved = any(word.startswith(("resume=", "rerun=")) for word in words)
        defaults = [] if saved else ["metrics=none", "logger=none"]
        assert explained(task, composed(*defaults, *words, **options)) == status
        after = set((tmp_path / "runs").glob("*")) - before
        return after.pop() if after else max((tmp_path / "runs").glob("*"), default=tmp_path)

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium of the machine, for a module: its driver holds the event loop."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip(f"no Chromium: none of {', '.join(CHROMIUM)} is on the path")
    arguments = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    arguments += ["--no-sandbox"] if os.getuid() == 0 else []  # root has none to run in
    with driver.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=arguments)
        yield chromium
        chromium.close()
