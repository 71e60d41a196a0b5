"""The adversarial game as a LightningModule: manual optimization, and nothing else."""

import math
import os
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
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
from touchstone.reproducible import settle_vector_math
from touchstone.schedules import Constant, Schedule
from touchstone.terms import Creation, Critique, Term, Verdict

# With this, which Lightning sets, torch looks for NVIDIA's library at every step of an optimizer:
# 0.15 ms each on a machine that has none.
os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

Batch: TypeAlias = tuple[Tensor, Tensor | None]
OptimizerFactory: TypeAlias = Callable[[Any], Optimizer]
# What can be looked at after an update: detached, and still on the device.
Seen: TypeAlias = dict[str, Tensor]
# The terms that are due at each update of an iteration, by name; the generator's is the last.
Due: TypeAlias = tuple[tuple[str, ...], ...]
Updates: TypeAlias = Callable[[Due, Tensor, Tensor | None], Seen]
# An update of the discriminator by its parts and the terms that are due, which says whether the
# last fake samples are kept for the generator's.
Discrimination: TypeAlias = Callable[[Sequence["Part"], Collection[str], bool], Seen]


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


class Examiner(nn.Module):
    """A discriminator that says all it knows: a module of its own, so that it can be compiled."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, samples: Tensor, labels: Tensor | None) -> Verdict:
        """Gives the verdict on samples `(N, ...)`."""
        verdict: Verdict = self.discriminator.examine(samples, labels)  # type: ignore[operator]
        return verdict


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
        terms: what is added to the players' losses, by name.
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
        phase: names the structure of parts that change with the images.
        streams: of the noise, one for each micro-batch.

    Raises:
        ValueError: where a term looks at single samples' gradients and the discriminator mixes the
            samples of a batch by batch normalization; where the loss or a term looks at the whole
            batch and `micro_batch` splits it; where a term asks for more than the discriminator
            says.
    """

    _examiner: Examiner | None

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: Loss,
        *,
        optimizers: Mapping[str, OptimizerFactory],
        terms: Mapping[str, Term] | None = None,
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
        self.terms = nn.ModuleDict(terms)
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

        for _, term in self._terms():
            term.prepare((generator, discriminator))
        # Not among the modules, or the discriminator's weights would be in a checkpoint twice.
        self.__dict__["_examiner"] = self._make_examiner()
        parts = (generator, discriminator, self.average.network, loss, self.augmentation)
        self._advancing: list[Any] = [part for part in parts if hasattr(part, "advance")]
        self.phase: tuple[Hashable, ...] = ()

        # What samples are judged together with must be of one kind, real or fake.
        batch_norm = any(isinstance(module, _BatchNorm) for module in discriminator.modules())
        self._apart = batch_norm or any(
            getattr(module, "mixes_samples", False) for module in discriminator.modules()
        )
        self._refuse(batch_norm)

    @property
    def judge(self) -> nn.Module:
        """What is asked for a verdict: the discriminator, or its examiner."""
        return self._examiner or self.discriminator

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
        self.phase = tuple(part.advance(self.images) for part in self._advancing)

        seen = self._updates(self._due(size * share.processes), samples, labels)
        self._before = self.images
        self.images += len(samples) * share.processes
        self._follow(self._before, self.images - self._before)
        return seen

    def updates(
        self,
        due: Due,
        samples: Tensor,
        labels: Tensor | None,
        discriminate: Discrimination | None = None,
    ) -> Seen:
        """Updates the discriminator `critic_steps` times, then the generator.

        All that an iteration does on the device but for the average, with nothing read back: what
        depends on the place in the run is in tensors, or in `due`. It ends with the callbacks'
        `on_iteration_end`, of which the same holds.

        Args:
            due: the terms of each update.
            samples: real ones, of all updates in a row.
            labels: theirs.
            discriminate: carries out an update of the discriminator; by default on its loss, as it
                is written (`touchstone.privacy.updates.Private` sees no more than noise lets it).
        """
        discriminate = discriminate or self._update_discriminator
        seen: Seen = {}
        *critic, last = due
        splits = self._split(samples, labels)
        for step, (names, parts) in enumerate(zip(critic, splits, strict=True)):
            # The last fake samples serve the generator's update too, where memory holds them all.
            kept = step == self.critic_steps - 1 and len(parts) == 1
            seen = discriminate(parts, names, kept)
        seen |= self._update_generator(parts, last)
        for callback in self._watching:
            callback.on_iteration_end(self, seen)
        return seen

    def fakes(self, part: Part, keep: bool) -> Tensor:
        """Generates a part's fake samples, detached; the part keeps them with the graph, or not."""
        with torch.set_grad_enabled(keep):
            fake: Tensor = self.generator(part.latents, part.labels)
        part.fake = fake if keep else None
        return fake.detach()

    def discriminator_loss(
        self,
        part: Part,
        fake: Tensor,
        names: Collection[str],
        copies: nn.Module | None = None,
    ) -> tuple[Tensor, Seen]:
        """What the discriminator minimizes: its loss, and the terms of these names.

        Args:
            part: the real samples, and where the noise comes from.
            fake: samples `(N, ...)`, detached.
            names: of the terms that are due.
            copies: what judges in the discriminator's place, by default itself.
        """
        discriminator = self.discriminator if copies is None else copies
        judge = self.judge if copies is None else self._asked(copies)
        real = self.augmentation(part.real, part.draws, self._spent)
        fake = self.augmentation(fake, part.draws, self._spent)
        critique = Critique(
            # A compiled network has no second derivative: `forward` is as it was written.
            discriminator=lambda samples: discriminator.forward(samples, part.labels),
            real=real,
            fake=fake,
            judge=lambda: self._judge_both(judge, real, fake, part.labels),
            draws=part.draws,
            labels=part.labels,
            latents=part.latents,
            networks=(self.generator, discriminator),
        )
        # Each pass moves the vectors of spectral normalization, of which a compiled pass keeps no
        # copy for its way back: so the terms' own passes come first.
        terms = _weighed(
            (name, term, term.discriminator(critique))
            for name, term in sorted(self._terms(), key=lambda each: not each[1].probes)
            if name in names
        )
        real_logits, fake_logits = critique.logits
        if hasattr(self.augmentation, "observe"):
            self.augmentation.observe(real_logits.detach())
        loss = self.loss.discriminator(real_logits, fake_logits)
        shown: Seen = getattr(self.augmentation, "shown", dict)()
        if hasattr(self.loss, "estimates"):
            shown |= self.loss.estimates(real_logits.detach(), fake_logits.detach())
        return sum(terms.values(), start=loss), {
            "loss/discriminator": loss.detach(),
            **shown,
            "logits/real": real_logits.detach(),
            "logits/fake": fake_logits.detach(),
            **{f"term/discriminator/{name}": term.detach() for name, term in terms.items()},
        }

    def generator_loss(
        self, part: Part, fake: Tensor, names: Collection[str]
    ) -> tuple[Tensor, Seen]:
        """What the generator minimizes: its loss, and the terms of these names."""

        def judged(samples: Tensor) -> Verdict:
            changed = self.augmentation(samples, part.draws, self._spent)
            return self._judge(self.judge, changed, part.labels)

        creation = Creation(
            real=part.real,
            fake=fake,
            judge_real=lambda: judged(part.real),
            judge_fake=lambda: judged(fake),
            draws=part.draws,
            labels=part.labels,
            latents=part.latents,
            networks=(self.generator, self.discriminator),
        )
        due = [(name, term) for name, term in self._terms() if name in names]
        real_logits = None
        if self.loss.relativistic or any(term.compares for _, term in due):
            # First, for the same reason as the terms' passes in the discriminator's.
            real_logits = creation.real_verdict["logits"]
        loss = self.loss.generator(creation.fake_verdict["logits"], real_logits)
        terms = _weighed((name, term, term.generator(creation)) for name, term in due)
        return sum(terms.values(), start=loss), {
            "loss/generator": loss.detach(),
            **{f"term/generator/{name}": term.detach() for name, term in terms.items()},
        }

    def step_discriminator(self) -> Seen:
        """Takes a step by the gradients that the discriminator's parameters hold."""
        seen = self._step(self._discriminator)
        self.constraint(self.discriminator)
        return seen

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
        self, parts: Sequence[Part], names: Collection[str], keep: bool
    ) -> Seen:
        def losses() -> Iterator[tuple[Tensor, Seen]]:
            for part in parts:
                yield self.discriminator_loss(part, self.fakes(part, keep), names)

        return self._descend(self._discriminator, losses(), len(parts)) | self.step_discriminator()

    def _update_generator(self, parts: Sequence[Part], names: Collection[str]) -> Seen:
        def losses() -> Iterator[tuple[Tensor, Seen]]:
            for part in parts:
                fake = part.fake
                if fake is None:
                    fake = self.generator(part.latents, part.labels)
                yield self.generator_loss(part, fake, names)

        self._discriminator.learn(False)  # its gradients are neither needed nor stored
        seen = self._descend(self._generator, losses(), len(parts)) | self._step(self._generator)
        self._discriminator.learn(True)
        return seen

    def _descend(self, player: Player, losses: Iterable[tuple[Tensor, Seen]], parts: int) -> Seen:
        """Computes the gradient of the mean of a network's parts' losses."""
        player.optimizer.zero_grad()
        seen = []
        for loss, shown in losses:  # made one after the other: the last one's graph is gone by then
            self._scaler.scale(loss if parts == 1 else loss / parts).backward()
            seen.append(shown)
        return _joined(seen)

    def _step(self, player: Player) -> Seen:
        """Takes a step by a network's gradients, over all processes; shows a norm that it clips."""
        result: Seen = {}
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

    def _refuse(self, batch_norm: bool) -> None:
        """Refuses terms and losses that the samples of a batch do not let be what they are."""
        for name, term in self._terms():
            if batch_norm and term.per_sample:
                raise ValueError(
                    f"the penalty {name} looks at each sample's own gradient, which batch "
                    "normalization in the discriminator mixes with the others': use another "
                    "normalization (spectral, layer, instance or none)"
                )
        if self.micro_batch is not None:
            whole = [name for name, term in self._terms() if term.whole_batch]
            whole += [type(self.loss).__name__] if self.loss.whole_batch else []
            if whole:
                raise ValueError(
                    f"micro_batch: {whole[0]} has to see a batch as a whole; leave micro_batch out"
                )

    def _make_examiner(self) -> Examiner | None:
        asking = [name for name, term in self._terms() if term.examines]
        if not asking:
            return None
        if not hasattr(self.discriminator, "examine"):
            raise ValueError(
                f"{asking[0]} asks for more than a logit: the discriminator needs an `examine`"
            )
        return Examiner(self.discriminator)

    def _asked(self, network: nn.Module) -> nn.Module:
        """A network in the discriminator's place, as it is asked for a verdict."""
        return network if self._examiner is None else Examiner(network)

    def _judge_both(
        self, judge: nn.Module, real: Tensor, fake: Tensor, labels: Tensor | None
    ) -> tuple[Verdict, Verdict]:
        """Judges real and fake samples together where nothing mixes those of a batch."""
        if self._apart:
            return self._judge(judge, real, labels), self._judge(judge, fake, labels)
        both_labels = None if labels is None else torch.cat([labels, labels])
        both = self._judge(judge, torch.cat([real, fake]), both_labels)
        halves = {name: value.chunk(2) for name, value in both.items()}
        return tuple({name: each[n] for name, each in halves.items()} for n in (0, 1))  # type: ignore[return-value]

    def _judge(self, judge: nn.Module, samples: Tensor, labels: Tensor | None) -> Verdict:
        """The discriminator's verdict, in full precision whatever the networks run in."""
        verdict = judge(samples, labels)
        if isinstance(verdict, Tensor):
            return {"logits": verdict.float()}
        return {name: value.float() for name, value in verdict.items()}

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
        """The terms due at each of the next updates, of `batch` images over all processes."""
        first = self.images // batch
        updates = [*range(first, first + self.critic_steps), first // self.critic_steps]
        return tuple(
            tuple(name for name, term in self._terms() if term.due(update)) for update in updates
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

    def _terms(self) -> Iterator[tuple[str, Term]]:
        return cast(Iterator[tuple[str, Term]], iter(self.terms.items()))


def _weighed(terms: Iterable[tuple[str, Term, Tensor | None]]) -> dict[str, Tensor]:
    """The terms that a player has, by name, their weights applied."""
    return {name: term.weighed(value) for name, term, value in terms if value is not None}


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
