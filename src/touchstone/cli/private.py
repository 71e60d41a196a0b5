"""A training run with differential privacy, made of its settings."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from touchstone.errors import UsageError

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from touchstone.callbacks import Spending
    from touchstone.data.split import Split
    from touchstone.gan import GAN, Updates
    from touchstone.privacy.accountant import Account
    from touchstone.privacy.records import Withheld
    from touchstone.privacy.secret import Secret
    from touchstone.tracking.run import Run


@dataclass(frozen=True)
class Promise:
    """What a private run promises of its records, and how it is kept.

    Attributes:
        records: what the run samples.
        account: of what the updates spend.
        secret: of the run.
        clip: the norm to which a record's gradient is shortened.
        batch_size: records in a sample, in expectation.
    """

    records: "Split"
    account: "Account"
    secret: "Secret"
    clip: float
    batch_size: int

    @property
    def withheld(self) -> "Withheld":
        """What stands in the ordinary pipeline in place of the records."""
        from touchstone.privacy.records import Withheld

        return Withheld(len(self.records), self.records.shape)

    def none_of(self, images: "Split") -> "Split":
        """What is at hand of the data beside the updates: what kind they are, and no record."""
        import torch

        return images.take(torch.empty(0, dtype=torch.int64))

    def executor(self, game: "GAN") -> "Updates":
        """What carries out a game's updates."""
        from touchstone.privacy.mechanism import Mechanism
        from touchstone.privacy.records import Records
        from touchstone.privacy.updates import Private

        records = Records(self.records, self.account.rate, self.secret, game.device)
        mechanism = Mechanism(self.clip, self.account.noise, self.batch_size, self.secret)
        return Private(game, records, mechanism)

    def check(self, game: "GAN") -> None:
        """Refuses a game with which the promise cannot be kept.

        Raises:
            UsageError: names the part.
        """
        from touchstone.privacy.refusals import refuse

        refuse(game, self.records.shape)

    def epsilon(self, images: int) -> float:
        """What is spent at so many images."""
        return self.account.epsilon(images // self.batch_size)

    def spending(self, every: int) -> "Spending":
        """What logs that."""
        from touchstone.callbacks import Spending

        return Spending(self.epsilon, every)

    def keep(self, run: "Run") -> None:
        """Writes the secret into a new run's folder."""
        if not secret_of(run).exists():
            self.secret.keep(secret_of(run))

    def summary(self, images: int) -> dict[str, Any]:
        """What a run has spent when it ends, and on what terms."""
        return {
            "epsilon": self.epsilon(images),
            "delta": self.account.delta,
            "noise": self.account.noise,
            "clip": self.clip,
            "rate": self.account.rate,
            "updates": images // self.batch_size,
        }


def promised(
    settings: DictConfig, records: "Split", run: "Run | None", start: int
) -> "Promise | None":
    """What the settings promise, if anything: `privacy.noise` is set, or `images` lowered, by it.

    Args:
        settings: of the run.
        records: what it samples.
        run: that goes on, if it does.
        start: images shown so far.

    Raises:
        UsageError: a promise that cannot be kept, or is none.
    """
    if not settings.get("privacy"):
        return None
    from touchstone.privacy.secret import Secret

    account = opened(settings, len(records), start)
    goes_on = run is not None and (start > 0 or secret_of(run).exists())
    secret = Secret.kept(secret_of(run)) if run is not None and goes_on else Secret.new()
    return Promise(records, account, secret, settings.privacy.clip, settings.batch_size)


def opened(settings: DictConfig, records: int, start: int) -> "Account":
    """The account of a run: it fills in the noise, or ends the run where the budget is spent."""
    from touchstone.privacy.accountant import Account, calibrated

    own, rate = settings.privacy, settings.batch_size / records
    for name, most in (("epsilon", math.inf), ("delta", 1 / records), ("clip", math.inf)):
        if not (isinstance(own[name], int | float) and 0 < own[name] < most):
            less = f" and below one over the {records:,} records" if name == "delta" else ""
            raise UsageError(f"privacy.{name}={own[name]}: it has to be a number above 0{less}")
    if own.noise is not None and not (isinstance(own.noise, int | float) and own.noise > 0):
        raise UsageError(f"privacy.noise={own.noise}: it has to be null or a number above 0")
    if rate >= 1:
        raise UsageError(
            f"batch_size={settings.batch_size} with privacy=dp: a sample has to be a part of the "
            f"{records:,} records; make it smaller"
        )
    steps = settings.loss.critic_steps
    span = settings.batch_size * steps
    updates = math.ceil(settings.images / span) * steps
    if own.noise is None:
        own.noise = calibrated(own.epsilon, own.delta, rate, updates)
        return Account(own.noise, rate, own.delta)
    account = Account(own.noise, rate, own.delta)
    most = account.affordable(own.epsilon, updates) // steps * span
    if most <= start:
        at = f"at {start:,} images" if start else "within the first iteration"
        raise UsageError(
            f"privacy.epsilon={own.epsilon}: with privacy.noise={own.noise:.4g} it is spent {at}, "
            "and these records can teach no more"
        )
    if most < settings.images:
        print(
            f"privacy.epsilon={own.epsilon}: the run ends at {most:,} images, where it is spent",
            file=sys.stderr,
        )
        settings.images = most
    return account


def check(settings: DictConfig, trainer: "Trainer") -> None:
    """Refuses settings by which a private run would tell more of its records than is accounted for.

    Raises:
        UsageError: names the setting.
    """
    if not settings.get("privacy"):
        return
    own = settings.trainer
    shows = settings.callbacks.get("samples", {}).get("_target_", "")
    refused = {
        f"metrics={','.join(settings.metrics.figures)}": (
            len(settings.metrics.figures) > 0,
            "figures that look at the records are not in the account, nor is the choice of the "
            "best checkpoint by them; use metrics=none",
        ),
        "callbacks=points": (shows.endswith("Field"), "it shows records; use ~callbacks.samples"),
        f"model={settings.model.name} and its head": (
            bool(settings.model.conditional) or "classes" in settings.model.head,
            "they are told the records' labels, which would reach the generator; use head=logit",
        ),
        f"labelled={settings.labelled}": (
            settings.labelled is not None,
            "the records' labels are not looked at; leave it out",
        ),
        "micro_batch=auto": (
            settings.micro_batch == "auto",
            "it would rehearse on the records; say how many records' gradients are held at once",
        ),
        "several devices": (trainer.world_size > 1, "it runs on one; use trainer.devices=1"),
        "trainer.cuda_graphs=true": (own.cuda_graphs, "the samples' size varies; leave it out"),
        "trainer.compile=true": (own.compile, "records' gradients run as written; leave it out"),
        "trainer.precision=16-mixed": (
            own.precision == "16-mixed",
            "it scales losses, not clipped gradients; use trainer.precision=bf16-mixed",
        ),
    }
    for setting, (is_there, reason) in refused.items():
        if is_there:
            raise UsageError(f"privacy=dp with {setting}: {reason}")


def secret_of(run: "Run") -> Path:
    """Where a run's secret lies."""
    return run.path / "secret"
