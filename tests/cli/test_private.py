"""Private runs from the command line."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from touchstone.cli import private
from touchstone.errors import UsageError
from touchstone.privacy.accountant import Account

WORDS = ("data=digits", "model=mlp", "model.width=8", "privacy=dp", "privacy.noise=4")
SMALL = ("model.discriminator.width=8", "model.discriminator.pieces=2", "every.evaluation=128")


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def generator(run: Path) -> torch.Tensor:
    return torch.cat([each.flatten() for each in load_file(run / "generator.safetensors").values()])


def test_a_private_run(train: Callable[..., Path], tmp_path: Path) -> None:
    run = train(*WORDS, *SMALL, "images=256", "privacy.epsilon=2")
    assert (run / "secret").stat().st_mode & 0o777 == 0o600
    # What it has spent is logged, and stands in its summary; nothing of the records does.
    account = Account(4.0, 64 / 1442, 1e-5)
    spent = {
        line["images"]: line["privacy/epsilon"] for line in lines(run) if "privacy/epsilon" in line
    }
    assert spent == {128: account.epsilon(2), 256: account.epsilon(4)}
    names = set[str]().union(*lines(run))
    assert not {name for name in names if name.startswith("logits/")} | names & {
        "loss/discriminator"
    }
    summary = json.loads((run / "summary.json").read_text())["privacy"]
    assert summary == {
        "epsilon": account.epsilon(4),
        "delta": 1e-5,
        "noise": 4.0,
        "clip": 1.0,
        "rate": 64 / 1442,
        "updates": 4,
    }
    for file in run.rglob("*"):
        if file.is_file() and file.name != "secret":
            assert (run / "secret").read_bytes() not in file.read_bytes(), file

    # It goes on exactly; another of the same seed is another.
    twice = Path(shutil.copytree(run, tmp_path / "runs" / "twice"))
    train(f"resume={run}", "images=512")
    train(f"resume={twice}", "images=384")
    train(f"resume={twice}", "images=512")
    assert torch.equal(generator(run), generator(twice))
    other = train(*WORDS, *SMALL, "images=512", "privacy.epsilon=2")
    assert not torch.equal(generator(run), generator(other))
    (run / "secret").unlink()
    train(f"resume={run}", "images=640", status=1)


def test_the_noise_is_calibrated_and_kept(train: Callable[..., Path]) -> None:
    run = train(*WORDS[:-1], *SMALL, "images=128", "privacy.epsilon=3", "privacy.clip=0.5")
    noise = OmegaConf.load(run / "config.yaml").privacy.noise
    assert 2.99 <= Account(noise, 64 / 1442, 1e-5).epsilon(2) <= 3
    # The budget is spent: there is nothing left to go on with.
    train(f"resume={run}", "images=6400", status=1)


def test_no_metric_looks_at_the_records_unless_it_is_asked_for(
    composed: Callable[..., Any],
) -> None:
    assert not composed("data=digits", "model=mlp", "privacy=dp").metrics.figures
    assert composed("data=digits", "model=mlp").metrics.figures


def test_training_ends_where_the_budget_is_spent(composed: Callable[..., Any]) -> None:
    settings = composed("privacy=dp", "privacy.noise=1", "privacy.epsilon=2", "loss.critic_steps=5")
    account = private.opened(settings, records=2000, start=0)
    updates = settings.images // 64
    assert updates % 5 == 0
    assert settings.images % 64 == 0
    assert account.epsilon(updates) <= 2 < account.epsilon(updates + 5)
    with pytest.raises(UsageError, match=r"privacy\.epsilon=2: .* is spent at"):
        private.opened(settings, records=2000, start=settings.images)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("privacy.delta=1e-3",), r"privacy\.delta=0\.001: .* below one over the 1,000 records"),
        (("privacy.delta=0",), r"privacy\.delta=0"),
        (("privacy.epsilon=0",), r"privacy\.epsilon=0"),
        (("privacy.clip=-1",), r"privacy\.clip=-1"),
        (("privacy.noise=0",), r"privacy\.noise=0"),
        (("batch_size=1000",), r"batch_size=1000 with privacy=dp: .*1,000 records"),
    ],
)
def test_promises_that_are_none(
    composed: Callable[..., Any], words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        private.opened(composed("privacy=dp", "images=64", *words), records=1000, start=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("metrics=[fid]",), "metrics=fid: .*best checkpoint.*metrics=none"),
        (("head=projection",), "told the records' labels.*head=logit"),
        (("labelled=100",), "labelled=100"),
        (("micro_batch=auto",), "micro_batch=auto"),
        (("trainer.precision=16-mixed",), r"trainer\.precision=16-mixed"),
        (("trainer.compile=true",), r"trainer\.compile=true"),
        (("data=gaussians", "metrics=none", "callbacks=points"), "callbacks=points.*shows records"),
        (("loss=relativistic",), "Relativistic"),
        (("model.normalization=batch", "model=dcgan"), r"batch normalization"),
    ],
)
def test_refused(
    train: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: tuple[str, ...],
    message: str,
) -> None:
    train(
        "data=digits", "model=mlp", "images=64", "privacy=dp", "privacy.noise=9", *words, status=1
    )
    said = capsys.readouterr().err
    assert re.search(f"^touchstone: privacy=dp.*{message}", said), said
    assert not list((tmp_path / "runs").glob("*"))  # before anything was written
