"""Truncation, which trades variety for quality once a generator is trained.

Brock et al. 2019, BigGAN, arXiv 1809.11096, section 3.1: a generator sees latents of a narrower
distribution than the one that it was trained with. The statistics that its batch normalization has
averaged belong to the wider one; standing statistics are taken anew for the narrower.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from touchstone.draws import Draws, derive
from touchstone.errors import UsageError
from touchstone.reproducible import settle_vector_math

BATCH = 64  # samples in each of the batches that standing statistics are taken of


def sampled_as(
    generator: nn.Module, *, seed: int, truncation: float | None = None, standing: int = 0
) -> nn.Module:
    """The generator as it is sampled from latents N(0, I); what is given stays as it is.

    Args:
        generator: one with an attribute `truncation` is truncated by it, in its own way (StyleGAN2:
            in W); of any other, the latents are.
        seed: of the samples that standing statistics are taken of.
        truncation: more than 0; None leaves the samples as the generator was trained to make them.
        standing: batches of 64 samples that standing statistics are taken of; 0 leaves the running
            averages.

    Returns:
        The generator itself where nothing is asked for.

    Raises:
        UsageError: as `check` does.
    """
    check(generator, truncation, standing)
    if truncation is None and not standing:
        return generator
    sampled = deepcopy(generator)
    if truncation is not None and hasattr(sampled, "truncation"):
        sampled.truncation = truncation  # type: ignore[assignment]
    elif truncation is not None:
        sampled = Truncated(sampled, truncation)
    if standing:
        take_statistics(sampled, standing, seed)
    return sampled


def check(generator: nn.Module, truncation: float | None, standing: int, group: str = "") -> None:
    """Refuses what a generator cannot be sampled by.

    Args:
        generator: as in `sampled_as`.
        truncation: as in `sampled_as`.
        standing: as in `sampled_as`.
        group: what the names of both settings begin with: `protocol.`, or nothing.

    Raises:
        UsageError: a number that makes no sense, or no statistics that could be taken anew.
    """
    if truncation is not None and (type(truncation) not in (int, float) or not truncation > 0):
        raise UsageError(
            f"{group}truncation={truncation}: it has to be a number, more than 0, or null"
        )
    if type(standing) is not int or standing < 0:
        raise UsageError(f"{group}standing={standing}: it has to be a whole number, 0 or more")
    if standing and not _batch_norms(generator):
        raise UsageError(
            f"{group}standing={standing}: the generator has no batch normalization whose "
            f"statistics could be taken anew: leave {group}standing=0"
        )


class Truncated(nn.Module):
    """A generator whose latents are truncated on their way in.

    Args:
        generator: what makes the samples.
        threshold: the largest size of a latent's numbers.
    """

    def __init__(self, generator: nn.Module, threshold: float) -> None:
        super().__init__()
        self.generator = generator
        self.latent_size = generator.latent_size
        self.classes = getattr(generator, "classes", 0)
        self.threshold = threshold
        self.train(generator.training)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` of N(0, I), and labels, to samples."""
        given = (truncated(latents, self.threshold),)
        samples: Tensor = self.generator(*given if labels is None else (*given, labels))
        return samples


def truncated(latents: Tensor, threshold: float) -> Tensor:
    """Maps numbers of N(0, 1) to those of N(0, 1) between -threshold and threshold.

    The paper draws a number again where it lies outside. What is left has the distribution function
    `(ndtr(z) - ndtr(-t)) / (ndtr(t) - ndtr(-t))`, whose inverse at `ndtr(z)` has that distribution
    and keeps each number's place in it: the samples of a seed correspond, whatever the threshold.

    Args:
        latents: of any shape.
        threshold: t, more than 0.
    """
    outside = torch.special.ndtr(latents.new_tensor(-threshold, dtype=torch.float64))
    # The half below 0, where the distribution function loses no digits, and its mirror image.
    below = torch.special.ndtr(-latents.double().abs())
    size: Tensor = -torch.special.ndtri(outside + below * (1 - 2 * outside))
    return (size * latents.sign()).to(latents.dtype)


@torch.no_grad()
def take_statistics(generator: nn.Module, batches: int, seed: int) -> None:
    """Sets batch normalization to standing statistics (the paper's appendix).

    They are the means, over many forward passes, of each batch's mean and unbiased variance, every
    layer normalizing by the batch's own, as in training. All else is in eval mode, as it is when
    samples are made, and processes exchange nothing.

    Args:
        generator: changed in place; a conditional one is shown each class in turn.
        batches: how many, of 64 samples each.
        seed: of their latents.
    """
    settle_vector_math()
    layers = _batch_norms(generator)
    seen: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}

    def normalize_by_batch(layer: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        activations = inputs[0].to(layer.running_mean)
        places = [place for place in range(activations.ndim) if place != 1]
        variance, mean = torch.var_mean(activations, places, correction=0)
        count = activations.numel() // len(mean)
        seen[layer].append((mean, variance * (count / (count - 1))))
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)

    hooks = [layer.register_forward_pre_hook(normalize_by_batch) for layer in layers]
    was_training = generator.training
    generator.eval()
    for batch in range(batches):
        generator(*_inputs(generator, seed, batch))
    generator.train(was_training)
    for hook in hooks:
        hook.remove()
    for layer in layers:
        if seen[layer]:  # not where the generator has yet to grow
            means, variances = map(torch.stack, zip(*seen[layer], strict=True))
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.copy_(means.mean(0))
            layer.running_var.copy_(variances.mean(0))


def _inputs(generator: nn.Module, seed: int, batch: int) -> list[Tensor]:
    """A batch's latents, and its labels if the generator knows classes."""
    size, classes = int(generator.latent_size), int(getattr(generator, "classes", 0) or 0)  # type: ignore[arg-type]
    inputs = [Draws(derive(seed, "standing", batch)).normal(BATCH, size)]
    if classes:
        inputs.append(torch.arange(batch * BATCH, (batch + 1) * BATCH) % classes)
    device = next(generator.parameters()).device
    return [one.to(device) for one in inputs]


def _batch_norms(generator: nn.Module) -> list[_BatchNorm]:
    """The layers that normalize by what they have averaged."""
    layers = (layer for layer in generator.modules() if isinstance(layer, _BatchNorm))
    return [layer for layer in layers if layer.running_mean is not None]
