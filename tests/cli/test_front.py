import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

import touchstone
from touchstone.cli import VERBS
from touchstone.cli.front import explained, first_allowed, plain
from touchstone.errors import DivergedError, InterruptionError, UsageError

CONF = Path(__file__).parents[2] / "conf"
Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_page_of_verbs(words: tuple[str, ...], cli: Cli) -> None:
    page = cli(*words).stdout

    for verb, purpose in VERBS.items():
        assert f"  {verb:10}{purpose}\n" in page
    assert "touchstone VERB --help" in page


def test_the_version(cli: Cli) -> None:
    assert cli("--version").stdout == f"touchstone {touchstone.__version__}\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("trian", " Did you mean 'train'?"), ("Sample", " Did you mean 'sample'?"), ("xyz", "")],
)
def test_an_unknown_verb(word: str, hint: str, cli: Cli) -> None:
    done = cli(word, "seed=1", status=2)

    verbs = ", ".join(VERBS)
    assert done.stderr == f"touchstone: there is no verb '{word}'.{hint} The verbs: {verbs}\n"
    assert done.stdout == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_page_with_all_its_settings(verb: str, cli: Cli) -> None:
    page = cli(verb, "--help").stdout

    settings = OmegaConf.load(CONF / f"{verb}.yaml")
    assert isinstance(settings, DictConfig)
    shown = {line.split(":")[0].strip("'") for line in page.splitlines() if ":" in line}
    assert {str(key) for key in settings} - {"defaults", "hydra"} <= shown
    assert "Powered by Hydra" not in page


def test_the_page_of_training_names_every_part(cli: Cli) -> None:
    page = cli("train", "--help").stdout

    for group in ("data", "model", "loss", "metrics", "logger"):
        names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
        assert f"{group}: {', '.join(names)}\n" in page


@pytest.mark.parametrize("words", [["--help"], ["inspect", "--help"]])
def test_who_reads_may_stop_early(words: list[str], environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)  # as `| head -0` does
    done = subprocess.run(
        [sys.executable, "-m", "touchstone", *words],
        env=environment,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_one_message_and_no_traceback(cli: Cli, tmp_path: Path) -> None:
    message = "run=null: name a run's folder, or an exported generator's file"
    assert cli("sample", status=1).stderr == f"touchstone: {message}\n"

    debugged = cli("sample", "debug=true", status=1).stderr
    assert debugged.count("Traceback") == 1
    assert f"touchstone.errors.UsageError: {message}\n" in debugged
    assert list(tmp_path.iterdir()) == []


def failing(error: BaseException) -> Callable[[DictConfig], None]:
    def task(settings: DictConfig) -> None:
        raise error

    return task


def instantiating(cause: Exception) -> InstantiationException:
    error = InstantiationException("Error in call to target")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UsageError("n=0: no"), 1, "touchstone: n=0: no\n"),
        (DivergedError("it diverged"), 1, "touchstone: it diverged\n"),
        (InterruptionError(15), 143, ""),
        (InterruptionError(2), 130, ""),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
        (PermissionError(13, "Permission denied", "a.png"), 1, "touchstone: a.png: Permission den"),
        (OSError(28, "No space left on device"), 1, "touchstone: No space left on device\n"),
        (instantiating(UsageError("data.path=x: no")), 1, "touchstone: data.path=x: no\n"),
        (instantiating(ValueError("width=0")), 1, "touchstone: width=0\n"),
        (instantiating(RuntimeError("ours")), 1, "touchstone: Error in call to target\n"),
    ],
)
def test_what_a_task_ends_with(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explained(failing(error), OmegaConf.create({})) == status
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert bool(said) is bool(message)


def test_an_error_of_our_own_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="ours"):
        explained(failing(RuntimeError("ours")), OmegaConf.create({}))
    with pytest.raises(UsageError):
        explained(failing(UsageError("theirs")), OmegaConf.create({"debug": True}))
    assert explained(lambda settings: None, OmegaConf.create({})) == 0


@pytest.mark.parametrize(
    ("preferred", "allowed", "choice"),
    [
        (["batch", "layer"], ["layer", "batch"], "batch"),
        (["batch", "layer"], ["spectral", "layer"], "layer"),
        (["batch", "layer"], ["none"], "batch"),
    ],
)
def test_the_first_that_is_allowed(preferred: list[str], allowed: list[str], choice: str) -> None:
    assert first_allowed(preferred, allowed) == choice


def test_plain_settings() -> None:
    made: Any = plain(OmegaConf.create({"a": 1, "b": {"c": "${a}", "d": ["${b.c}"]}}))

    assert made == {"a": 1, "b": {"c": 1, "d": [1]}}
    assert type(made["b"]) is dict
    assert type(made["b"]["d"]) is list
