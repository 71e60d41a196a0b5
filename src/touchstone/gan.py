"""The adversarial game as a LightningModule: manual optimization, and nothing else."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from touchstone.augmentations import Augmentation, Identity
from touchstone.average import WeightAverage
from touchstone.draws import Draws, Share, derive, seed_layers
from touchstone.losses import Loss
from touchstone.penalties import Critique, Penalty
from touchstone.reproducible import settle_vector_math
from touchstone.schedules import Constant, Schedule

Batch: TypeAlias = tuple[Tensor, Tensor | None]
OptimizerFactory: TypeAlias = Callable[[Any], Optimizer]


class GAN(LightningModule):
    """A generator and a discriminator, trained against each other.

    Knows of samples `(N, ...)`, latents `(N, latent_size)` and labels `(N,)`, not of images. All
    randomness of an iteration is a function of `(seed, images)`, so a resumed run goes on exactly.

    Args:
        generator: maps latents and labels to samples; says its `latent_size`.
        discriminator: maps samples and labels to one raw logit each.
        loss: the adversarial pair.
        optimizers: `generator` and `discriminator`, each a function of its parameters.
        penalties: terms added to the discriminator's loss, by name.
        critic_steps: discriminator updates an iteration.
        constraint: what is done to the discriminator after each of its steps (weight clipping).
        augmentation: what is done to every sample that the discriminator sees.
        schedule: maps the share of the budget that is spent to a factor of the learning rates.
        gradient_clip: the largest norm of a network's gradient; none by default.
        average_half_life: of the generator's averaged weights, in images.
        budget: how many images the run is to show.
        seed: of the run.

    Raises:
        ValueError: where a penalty looks at single samples' gradients and the discriminator mixes
            the samples of a batch by batch normalization.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: Loss,
        *,
        optimizers: Mapping[str, OptimizerFactory],
        penalties: Mapping[str, Penalty] | None = None,
        critic_steps: int = 1,
        constraint: Callable[[nn.Module], None] | None = None,
        augmentation: Augmentation | None = None,
        schedule: Schedule | None = None,
        gradient_clip: float | None = None,
        average_half_life: float = 10_000,
        budget: int = 1_000_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        settle_vector_math()
        self.automatic_optimization = False
        self.generator = generator
        self.discriminator = discriminator
        self.latent_size = int(generator.latent_size)  # type: ignore[arg-type]
        self.average = WeightAverage(generator, half_life=average_half_life)
        self.loss = loss
        self.penalties = nn.ModuleDict(penalties)
        self.critic_steps = critic_steps
        self.constraint = constraint or (lambda network: None)
        self.augmentation = augmentation or Identity()
        self.schedule = schedule or Constant()
        self.gradient_clip = gradient_clip
        self.budget = budget
        self.seed = seed
        self.images = 0
        self._before = 0
        self._optimizer_factories = optimizers

        # Batch statistics must be those of one kind of sample, real or fake.
        self._batch_statistics = any(isinstance(m, _BatchNorm) for m in discriminator.modules())
        for name, penalty in self._penalties():
            if self._batch_statistics and penalty.per_sample:
                raise ValueError(
                    f"the penalty {name} looks at each sample's own gradient, which batch "
                    "normalization in the discriminator mixes with the others': use another "
                    "normalization (spectral, layer, instance or none)"
                )

    @property
    def progress(self) -> float:
        """The share of the budget that is spent, in [0, 1]."""
        return min(self.images / self.budget, 1.0)

    def passed(self, every: int) -> bool:
        """Whether the last iteration passed a multiple of `every` images, or ended the run."""
        return self.images // every > self._before // every or self.images >= self.budget

    @property
    def share(self) -> Share:
        """This process's share of a global batch."""
        return Share(self.global_rank, self.trainer.world_size)

    def training_step(self, batch: Batch, batch_idx: int = 0) -> dict[str, Tensor]:
        """Runs one iteration: `critic_steps` discriminator updates, one generator update.

        Args:
            batch: the real samples of all the updates in a row, and their labels or `None`.
            batch_idx: Lightning's count, which a resumed run starts anew: not used.

        Returns:
            What can be looked at afterwards, detached and still on the device: both losses, both
            kinds of logits `(N,)` and the penalties, of the last update.
        """
        share, steps = self.share, self.critic_steps
        draws = Draws(derive(self.seed, "noise", self.images), self.device, share)
        seed_layers(derive(self.seed, "dropout", self.images, share.rank), self.device)
        self._set_learning_rates(self.schedule(self.progress))
        self._before = self.images
        samples, labels = batch
        label_batches = labels.chunk(steps) if labels is not None else (None,) * steps

        seen: dict[str, Tensor] = {}
        for step, (real, label) in enumerate(zip(samples.chunk(steps), label_batches, strict=True)):
            latents = draws.normal(len(real), self.latent_size)
            # The last update's fake samples serve the generator's update as well.
            with torch.set_grad_enabled(step == steps - 1):
                fake = self.generator(latents, label)
            seen = self.update_discriminator(real, fake.detach(), label, draws)
            self.images += len(real) * share.processes
        seen |= self.update_generator(real, fake, label, draws)

        self.average.update(self.generator, self._before, self.images - self._before)
        return seen

    def update_discriminator(
        self, real: Tensor, fake: Tensor, labels: Tensor | None, draws: Draws
    ) -> dict[str, Tensor]:
        """Takes one step of the discriminator on its loss and the penalties that are due."""
        real = self.augmentation(real, draws, self.progress)
        fake = self.augmentation(fake, draws, self.progress)
        real_logits, fake_logits = self._discriminate(real, fake, labels)
        critique = Critique(
            discriminator=lambda samples: self.discriminator(samples, labels),
            real=real,
            fake=fake,
            real_logits=real_logits,
            fake_logits=fake_logits,
            draws=draws,
        )
        update = self.images // (len(real) * self.share.processes)
        loss = self.loss.discriminator(real_logits, fake_logits)
        penalties = {
            name: penalty(critique) for name, penalty in self._penalties() if penalty.due(update)
        }
        self._step(self._optimizers()[1], sum(penalties.values(), start=loss))
        self.constraint(self.discriminator)
        return {
            "loss/discriminator": loss.detach(),
            "logits/real": real_logits.detach(),
            "logits/fake": fake_logits.detach(),
            **{f"penalty/{name}": value.detach() for name, value in penalties.items()},
        }

    def update_generator(
        self, real: Tensor, fake: Tensor, labels: Tensor | None, draws: Draws
    ) -> dict[str, Tensor]:
        """Takes one step of the generator on its loss."""
        self.discriminator.requires_grad_(False)  # its gradients are neither needed nor stored
        fake_logits = self._judge(self.augmentation(fake, draws, self.progress), labels)
        real_logits = None
        if self.loss.relativistic:
            real_logits = self._judge(self.augmentation(real, draws, self.progress), labels)
        loss = self.loss.generator(fake_logits, real_logits)
        self._step(self._optimizers()[0], loss)
        self.discriminator.requires_grad_(True)
        return {"loss/generator": loss.detach()}

    def configure_optimizers(self) -> list[Optimizer]:
        """Makes the generator's optimizer, then the discriminator's."""
        optimizers = [
            self._optimizer_factories["generator"](self.generator.parameters()),
            self._optimizer_factories["discriminator"](self.discriminator.parameters()),
        ]
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        return optimizers

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clips the gradient, here since under fp16 it is unscaled only now."""
        if self.gradient_clip is not None:
            for group in optimizer.param_groups:
                nn.utils.clip_grad_norm_(group["params"], self.gradient_clip)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps `images`, the only clock; Lightning's counters count optimizers' steps."""
        checkpoint["images"] = self.images
        del checkpoint["loops"]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Sets the clock to where the checkpoint was written."""
        self.images = checkpoint["images"]

    def _discriminate(
        self, real: Tensor, fake: Tensor, labels: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Judges real and fake samples together where no batch statistics forbid it."""
        if self._batch_statistics:
            return self._judge(real, labels), self._judge(fake, labels)
        both_labels = None if labels is None else torch.cat([labels, labels])
        real_logits, fake_logits = self._judge(torch.cat([real, fake]), both_labels).chunk(2)
        return real_logits, fake_logits

    def _judge(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """The discriminator's logits, in full precision whatever the networks run in."""
        logits: Tensor = self.discriminator(samples, labels).float()
        return logits

    def _optimizers(self) -> list[LightningOptimizer]:
        return cast(list[LightningOptimizer], self.optimizers())

    def _step(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def _set_learning_rates(self, factor: float) -> None:
        for optimizer in self._optimizers():
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def _penalties(self) -> Iterator[tuple[str, Penalty]]:
        return cast(Iterator[tuple[str, Penalty]], iter(self.penalties.items()))
