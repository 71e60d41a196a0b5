"""The adversarial game as a LightningModule: manual optimization, and nothing else."""

import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from touchstone import processes
from touchstone.augmentations import Augmentation, Identity
from touchstone.average import WeightAverage
from touchstone.draws import Draws, Share, derive, seed_layers
from touchstone.losses import Loss
from touchstone.penalties import Critique, Penalty
from touchstone.reproducible import settle_vector_math
from touchstone.schedules import Constant, Schedule

# With this, which Lightning sets, torch looks for NVIDIA's library at every step of an optimizer:
# 0.15 ms each on a machine that has none.
os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

Batch: TypeAlias = tuple[Tensor, Tensor | None]
OptimizerFactory: TypeAlias = Callable[[Any], Optimizer]
# What can be looked at after an update: detached, and still on the device.
Seen: TypeAlias = dict[str, Tensor]
# The penalties that are due at each discriminator update of an iteration, by name.
Due: TypeAlias = tuple[tuple[str, ...], ...]
Updates: TypeAlias = Callable[[Due, Tensor, Tensor | None], Seen]


class Player:
    """A network that is being trained, its tensors listed once.

    Attributes:
        name: `generator` or `discriminator`.
        weights: its parameters.
        statistics: its floating buffers.
        optimizer: of its parameters.
    """

    def __init__(self, name: str, network: nn.Module, optimizer: Optimizer) -> None:
        self.name = name
        self.weights = list(network.parameters())
        self.statistics = [each for each in network.buffers() if each.is_floating_point()]
        self.optimizer = optimizer

    def learn(self, on: bool) -> None:
        """Has gradients of the parameters be computed, or not."""
        for weight in self.weights:
            weight.requires_grad_(on)


@dataclass
class Part:
    """The samples of an update that pass the networks at once.

    Attributes:
        real: real samples, `(N, ...)`.
        labels: theirs, which the fake samples get too, `(N,)`.
        latents: of the fake samples, `(N, latent_size)`.
        draws: where this part's noise comes from.
        fake: the fake samples with the graph to the generator, where they are kept.
    """

    real: Tensor
    labels: Tensor | None
    latents: Tensor
    draws: Draws
    fake: Tensor | None = None


class GAN(LightningModule):
    """A generator and a discriminator, trained against each other.

    Knows of samples `(N, ...)`, latents `(N, latent_size)` and labels `(N,)`, not of images. All
    randomness of an iteration is a function of `(seed, images)`, so a resumed run goes on exactly,
    and several processes play the game of one.

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
        micro_batch: samples that pass the networks at once; by default a process's whole part of
            the batch. An update's gradient is the mean of its micro-batches'.
        executor: makes of the game what carries out an iteration's updates; by default they run as
            they are written (`touchstone.graphs.Captured` records and replays them).
        average_half_life: of the generator's averaged weights, in images.
        budget: how many images the run is to show.
        seed: of the run.

    Attributes:
        images: real images shown so far, the only clock.
        streams: of the noise, one for each micro-batch.

    Raises:
        ValueError: where a penalty looks at single samples' gradients and the discriminator mixes
            the samples of a batch by batch normalization; where the loss or a penalty looks at the
            whole batch and `micro_batch` splits it.
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
        micro_batch: int | None = None,
        executor: Callable[["GAN"], Updates] | None = None,
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
        self.micro_batch = micro_batch
        self.budget = budget
        self.seed = seed
        self.images = 0
        self._before = 0
        self._optimizer_factories = optimizers
        self._executor = executor or (lambda game: game.updates)
        self.streams: list[Draws] = []
        # The progress, where an augmentation can see it without a number's way to the device.
        self._spent: Tensor
        self.register_buffer("_spent", torch.zeros(()), persistent=False)

        # Batch statistics must be those of one kind of sample, real or fake.
        self._batch_statistics = any(isinstance(m, _BatchNorm) for m in discriminator.modules())
        for name, penalty in self._penalties():
            if self._batch_statistics and penalty.per_sample:
                raise ValueError(
                    f"the penalty {name} looks at each sample's own gradient, which batch "
                    "normalization in the discriminator mixes with the others': use another "
                    "normalization (spectral, layer, instance or none)"
                )
        if micro_batch is not None:
            whole = [name for name, penalty in self._penalties() if penalty.whole_batch]
            whole += [type(loss).__name__] if loss.whole_batch else []
            if whole:
                raise ValueError(
                    f"micro_batch: {whole[0]} compares with means over the batch, which has to "
                    "pass the networks as a whole; leave micro_batch out"
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

    def on_train_start(self) -> None:
        """Sees who has a turn between iterations, and who watches each of them."""
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
        self._intervals = {each.every for each in callbacks if hasattr(each, "every")}
        self._watching = [each for each in callbacks if hasattr(each, "on_iteration_end")]
        # Disabled, it hands everything through as it is.
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        self._scaler = scaler or torch.amp.GradScaler(self.device.type, enabled=False)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = float(group["lr"])  # a tensor in a checkpoint by CUDA graphs
                if "capturable" in group:
                    group["capturable"] = False
        generator, discriminator = self.trainer.optimizers
        self._generator = Player("generator", self.generator, generator)
        self._discriminator = Player("discriminator", self.discriminator, discriminator)
        self._follow = self.average.following(self.generator)
        self._factor = math.nan
        self.streams = []
        self._updates = self._executor(self)

    def training_step(self, batches: Iterable[Batch], batch_idx: int = 0) -> Seen:
        """Runs a stretch of iterations, up to the first after which a callback has its turn.

        What Lightning does around a step is so done once a stretch: its hooks cost more than an
        iteration of small networks.

        Args:
            batches: of each iteration the real samples of all its updates in a row, and their
                labels or `None`; those after the end of the stretch are left.
            batch_idx: Lightning's count, which a resumed run starts anew: not used.

        Returns:
            What the last iteration shows: both losses, both kinds of logits `(N,)` and the
            penalties, of the last update; the norms of the gradients if they are clipped.
        """
        seen: Seen = {}
        for samples, labels in batches:
            seen = self.iterate(samples, labels)
            if any(self.passed(every) for every in self._intervals):
                break
        return seen

    def iterate(self, samples: Tensor, labels: Tensor | None) -> Seen:
        """Runs one iteration: `critic_steps` discriminator updates, one generator update."""
        share, size = self.share, len(samples) // self.critic_steps
        self._move_streams(size, share)
        self._set_learning_rates(self.schedule(self.progress))
        if not isinstance(self.augmentation, Identity):
            self._spent.fill_(self.progress)

        seen = self._updates(self._due(size * share.processes), samples, labels)
        self._before = self.images
        self.images += len(samples) * share.processes
        self._follow(self._before, self.images - self._before)
        return seen

    def updates(self, due: Due, samples: Tensor, labels: Tensor | None) -> Seen:
        """Updates the discriminator `critic_steps` times, then the generator.

        All that an iteration does on the device but for the average, with nothing read back: what
        depends on the place in the run is in tensors, or in `due`. It ends with the callbacks'
        `on_iteration_end`, of which the same holds.
        """
        seen: Seen = {}
        for step, (names, parts) in enumerate(zip(due, self._split(samples, labels), strict=True)):
            # The last fake samples serve the generator's update too, where memory holds them all.
            kept = step == self.critic_steps - 1 and len(parts) == 1
            seen = self._update_discriminator(parts, names, kept)
        seen |= self._update_generator(parts)
        for callback in self._watching:
            callback.on_iteration_end(self, seen)
        return seen

    def discriminator_loss(
        self,
        real: Tensor,
        fake: Tensor,
        labels: Tensor | None,
        draws: Draws,
        penalties: Collection[str],
    ) -> tuple[Tensor, Seen]:
        """What the discriminator minimizes: its loss, and these of the penalties."""
        real = self.augmentation(real, draws, self._spent)
        fake = self.augmentation(fake, draws, self._spent)
        critique = Critique(
            # A compiled network has no second derivative: `forward` is as it was written.
            discriminator=lambda samples: self.discriminator.forward(samples, labels),
            real=real,
            fake=fake,
            judge=lambda: self._discriminate(real, fake, labels),
            draws=draws,
        )
        # Each pass moves the vectors of spectral normalization, of which a compiled pass keeps no
        # copy for its way back: so the penalties' own passes come first.
        terms = {
            name: penalty(critique)
            for name, penalty in sorted(self._penalties(), key=lambda each: not each[1].per_sample)
            if name in penalties
        }
        real_logits, fake_logits = critique.logits
        loss = self.loss.discriminator(real_logits, fake_logits)
        return sum(terms.values(), start=loss), {
            "loss/discriminator": loss.detach(),
            "logits/real": real_logits.detach(),
            "logits/fake": fake_logits.detach(),
            **{f"penalty/{name}": term.detach() for name, term in terms.items()},
        }

    def generator_loss(
        self, real: Tensor, fake: Tensor, labels: Tensor | None, draws: Draws
    ) -> tuple[Tensor, Seen]:
        """What the generator minimizes."""
        real_logits = None
        if self.loss.relativistic:  # first, for the same reason as in the discriminator's
            real_logits = self._judge(self.augmentation(real, draws, self._spent), labels)
        fake_logits = self._judge(self.augmentation(fake, draws, self._spent), labels)
        loss = self.loss.generator(fake_logits, real_logits)
        return loss, {"loss/generator": loss.detach()}

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps `images`, the only clock; Lightning's counters count optimizers' steps."""
        checkpoint["images"] = self.images
        del checkpoint["loops"]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Sets the clock to where the checkpoint was written."""
        self.images = checkpoint["images"]

    def __getstate__(self) -> dict[str, Any]:
        """Leaves behind what belongs to one training: its trainer, and what is recorded of it."""
        own = ("_updates", "_watching", "_scaler", "_follow", "_generator", "_discriminator")
        state = {key: value for key, value in super().__getstate__().items() if key not in own}
        return state | {"streams": []}

    def _update_discriminator(
        self, parts: Sequence[Part], penalties: Collection[str], keep: bool
    ) -> Seen:
        def losses() -> Iterator[tuple[Tensor, Seen]]:
            for part in parts:
                with torch.set_grad_enabled(keep):
                    fake = self.generator(part.latents, part.labels)
                part.fake = fake if keep else None
                yield self.discriminator_loss(
                    part.real, fake.detach(), part.labels, part.draws, penalties
                )

        seen = self._update(self._discriminator, losses(), len(parts))
        self.constraint(self.discriminator)
        return seen

    def _update_generator(self, parts: Sequence[Part]) -> Seen:
        def losses() -> Iterator[tuple[Tensor, Seen]]:
            for part in parts:
                fake = part.fake
                if fake is None:
                    fake = self.generator(part.latents, part.labels)
                yield self.generator_loss(part.real, fake, part.labels, part.draws)

        self._discriminator.learn(False)  # its gradients are neither needed nor stored
        seen = self._update(self._generator, losses(), len(parts))
        self._discriminator.learn(True)
        return seen

    def _update(self, player: Player, losses: Iterable[tuple[Tensor, Seen]], parts: int) -> Seen:
        """Takes one step of a network on the mean of its parts' losses, over all processes."""
        player.optimizer.zero_grad()
        seen = []
        for loss, shown in losses:  # made one after the other: the last one's graph is gone by then
            self._scaler.scale(loss if parts == 1 else loss / parts).backward()
            seen.append(shown)
        result = _joined(seen)
        if processes.number() > 1:
            gradients = [weight.grad for weight in player.weights if weight.grad is not None]
            processes.average(gradients + player.statistics)
        if self.gradient_clip is not None:
            self._scaler.unscale_(player.optimizer)
            norm = nn.utils.clip_grad_norm_(player.weights, self.gradient_clip)
            result[f"gradient_norm/{player.name}"] = norm
        self._scaler.step(player.optimizer)
        self._scaler.update()
        return result

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

    def _move_streams(self, size: int, share: Share) -> None:
        """Has the noise begin at this place in the run, for micro-batches of `size` samples."""
        parts = max(1, size // (self.micro_batch or size))
        if len(self.streams) != parts:
            first, whole = share.rank * parts, share.processes * parts
            self.streams = [Draws(0, self.device, Share(first + n, whole)) for n in range(parts)]
        for draws in self.streams:
            draws.move(derive(self.seed, "noise", self.images))
        seed_layers(derive(self.seed, "dropout", self.images, share.rank), self.device)

    def _split(self, samples: Tensor, labels: Tensor | None) -> Iterator[list[Part]]:
        """The parts of each discriminator update, their latents drawn."""
        number = len(self.streams)
        pieces = self.critic_steps * number
        label_pieces = labels.chunk(pieces) if labels is not None else (None,) * pieces
        both = list(zip(samples.chunk(pieces), label_pieces, strict=True))
        for step in range(self.critic_steps):
            yield [
                Part(real, label, draws.normal(len(real), self.latent_size), draws)
                for (real, label), draws in zip(
                    both[step * number : (step + 1) * number], self.streams, strict=True
                )
            ]

    def _due(self, batch: int) -> Due:
        """The penalties due at each of the next updates, of `batch` images over all processes."""
        first = self.images // batch
        return tuple(
            tuple(name for name, penalty in self._penalties() if penalty.due(first + step))
            for step in range(self.critic_steps)
        )

    def _set_learning_rates(self, factor: float) -> None:
        if factor == self._factor:
            return
        self._factor = factor
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                rate = group["initial_lr"] * factor
                if isinstance(group["lr"], Tensor):  # where a recording reads it
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate

    def _penalties(self) -> Iterator[tuple[str, Penalty]]:
        return cast(Iterator[tuple[str, Penalty]], iter(self.penalties.items()))


def _joined(seen: Sequence[Seen]) -> Seen:
    """What the parts of an update show together."""
    if len(seen) == 1:
        return seen[0]
    return {
        name: torch.cat([each[name] for each in seen])
        if seen[0][name].ndim
        else torch.stack([each[name] for each in seen]).mean()
        for name in seen[0]
    }
