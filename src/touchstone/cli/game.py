"""The game of a training run, made of its settings."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from touchstone.cli.front import plain
from touchstone.errors import UsageError

if TYPE_CHECKING:
    import torch
    from pytorch_lightning import Trainer

    from touchstone.data.split import Split
    from touchstone.gan import GAN, Updates


def networks(settings: DictConfig) -> dict[str, dict[str, Any]]:
    """What rebuilds the generator and the discriminator, as plain containers."""
    made = {part: plain(settings.model[part]) for part in ("generator", "discriminator")}
    for conversion in settings.model.conversions.values():
        made["generator"] = {**plain(conversion), "network": made["generator"]}
    return made


def build(settings: DictConfig, executor: "Callable[[GAN], Updates] | None" = None) -> "GAN":
    """Makes the networks, their initial weights a function of the seed, and the game they play.

    Args:
        settings: of the run.
        executor: what carries out the game's updates, in place of what the settings say.

    Raises:
        UsageError: parts that do not go together.
    """
    import torch
    from hydra.utils import instantiate

    from touchstone.batch_norm import synchronized
    from touchstone.draws import derive
    from touchstone.gan import GAN

    own = settings.trainer
    # Products of float32 numbers on a GPU's tensor cores, of 10 bits of mantissa; sums of 23.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = own.tf32
    torch.manual_seed(derive(settings.seed, "weights"))
    if own.precision == "16-mixed" and "fused" in settings.optimizer:
        # A fused step unscales inside itself, too late for the gradients to be clipped and logged.
        settings.optimizer.fused = None
    generator, discriminator = (
        instantiate(network).to(memory_format=memory_format(settings))
        for network in networks(settings).values()
    )
    if own.sync_batchnorm:
        for network in (generator, discriminator):
            synchronized(network)
    try:
        terms = plain(settings.loss.penalties) | plain(settings.model.auxiliaries)
        loss = instantiate(settings.loss.adversarial)
        if "selection" in settings.loss:
            loss = instantiate(settings.loss.selection)(loss)
        gan = GAN(
            generator,
            discriminator,
            loss,
            terms=instantiate({name: of for name, of in terms.items() if of is not None}),
            critic_steps=settings.loss.critic_steps,
            constraint=instantiate(settings.loss.constraint),
            optimizers={
                network: instantiate(settings.optimizer[network])
                for network in ("generator", "discriminator")
            },
            schedule=instantiate(settings.schedule),
            augmentation=instantiate(settings.augmentation),
            gradient_clip=settings.gradient_clip,
            micro_batch=settings.micro_batch,
            executor=executor or (captured if own.cuda_graphs else None),
            average_half_life=settings.average_half_life,
            budget=settings.images,
            seed=settings.seed,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    if own.compile:
        for network in (gan.generator, gan.judge):
            network.compile(dynamic=False)
    try:
        gan.configure_optimizers()
    except (TypeError, ValueError) as error:
        raise UsageError(f"optimizer: {error}") from error
    return gan


def flush_denormals() -> None:
    """Makes zeros of numbers below 1e-38, which a CPU is slow with.

    A sharp softmax and Adam's averages come to such: CTGAN trains 2.3 times as fast so after
    2,000,000 rows of Census-Income. torch's threads take it over from the one that starts them, so
    it comes before all work.
    """
    import torch

    torch.set_flush_denormal(True)


def check_labels(images: "Split", settings: DictConfig) -> None:
    """Refuses data whose labels are not those that the networks were made for.

    Raises:
        UsageError: names the settings.
    """
    if "classes" not in settings.model.head:
        return
    if images.labels is None:
        raise UsageError(
            f"data={settings.data.name}: it has no labels, which model={settings.model.name} with "
            "its head needs; head=logit goes without"
        )
    if settings.labelled is not None and settings.model.conditional:
        raise UsageError(
            f"labelled={settings.labelled}: model={settings.model.name} with its head is told the "
            "class of every sample; head=semi_supervised learns from few"
        )
    known = len(images.classes)
    if settings.data.classes != known:
        raise UsageError(f"data.classes={settings.data.classes}: the data has {known}")


def memory_format(settings: DictConfig) -> "torch.memory_format":
    """How the networks' weights and the samples lie in memory."""
    import torch

    return torch.channels_last if settings.channels_last else torch.contiguous_format


def captured(game: "GAN") -> "Updates":
    """Has CUDA graphs carry out a game's updates."""
    from touchstone.graphs import Captured

    return Captured(game)


def fitting_micro_batch(settings: DictConfig, images: "Split", trainer: "Trainer") -> int | None:
    """What `micro_batch=auto` comes to on this device; None for the whole of its batch.

    On a CPU nothing says how much memory there is before there is none.
    """
    device = trainer.strategy.root_device
    share = settings.batch_size // trainer.world_size
    settings.micro_batch = 1  # refuses what cannot be split
    gan = build(settings)
    settings.micro_batch = None
    if device.type != "cuda":
        return None
    import torch

    from touchstone.data.batches import HELD
    from touchstone.fitting import largest_micro_batch

    # What the training will hold besides the networks: the samples of the data.
    beside = [images.to(device)] if images.nbytes <= HELD else []
    real, labels = images.gather(torch.arange(share) % len(images))
    samples = images.normalize(real.to(device))
    if samples.ndim == 4:  # points have no channels that could lie last
        samples = samples.to(memory_format=memory_format(settings))
    size = largest_micro_batch(
        gan,
        samples,
        None if labels is None else labels.to(device),
        trainer.precision_plugin.forward_context,
    )
    del beside
    return None if size == share else size
