"""Virtual batch normalization (Salimans et al. 2016, arXiv 1606.03498, section 3.5).

Batch normalization makes a sample depend on the others of its batch. Here each sample is normalized
by the statistics of a reference batch, fixed at the start, and of the sample itself; the reference
batch by its own.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class VirtualBatchNormalized(nn.Module):
    """A generator that carries a reference batch in every pass, in which its layers find it.

    As the paper, use it for the generator alone: a pass computes the reference batch, too.

    Args:
        network: the generator, changed in place: each batch normalization becomes a virtual one.
        size: latents in the reference batch, at least 2.
        seed: of the reference batch.

    Attributes:
        latent_size: the generator's.
        classes: the generator's.

    Raises:
        ValueError: the reference is too small, or the generator has no batch normalization.
    """

    reference_latents: Tensor
    reference_labels: Tensor | None

    def __init__(self, network: nn.Module, size: int = 64, seed: int = 0) -> None:
        super().__init__()
        if size < 2:
            raise ValueError(f"size={size} of a reference batch has to be at least 2.")
        if not _virtual(network, size):
            raise ValueError(
                f"{type(network).__module__} has no batch normalization to make virtual: "
                "model=dcgan, article, resnet and infogan have."
            )
        self.network = network
        self.latent_size: int = network.latent_size  # type: ignore[assignment]
        self.classes: int = getattr(network, "classes", 0)
        draws = torch.Generator().manual_seed(seed)
        latents = torch.randn(size, self.latent_size, generator=draws, device="cpu")
        labels = torch.randint(max(self.classes, 1), (size,), generator=draws, device="cpu")
        self.register_buffer("reference_latents", latents)
        self.register_buffer("reference_labels", labels if self.classes else None)

    def codes(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Reads the codes of latents, where the generator makes any of them."""
        codes: tuple[Tensor, Tensor] = self.network.codes(latents)  # type: ignore[operator]
        return codes

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps latents `(N, latent_size)` to samples, each of which depends on its own alone."""
        if labels is not None and self.reference_labels is not None:
            labels = torch.cat([self.reference_labels, labels])
        both = torch.cat([self.reference_latents.to(latents), latents])
        samples: Tensor = self.network(both, labels)
        return samples[len(self.reference_latents) :]


class VirtualBatchNorm(nn.Module):
    """Normalizes the first rows of a batch by their statistics, and with them each of the others.

    The n-th sample's statistics are those of the reference's rows and of the sample, each row with
    a weight of 1 / (size + 1). Statistics are in float32; no running ones are kept.

    Args:
        layer: the batch normalization whose scale, shift and epsilon it takes over.
        size: rows of the reference.
    """

    def __init__(self, layer: _BatchNorm, size: int) -> None:
        super().__init__()
        self.size = size
        self.eps = layer.eps
        self.weight = layer.weight
        self.bias = layer.bias

    def forward(self, activations: Tensor) -> Tensor:
        """Maps activations `(size + N, C, ...)`, the reference first, to normalized ones."""
        full = activations.to(torch.promote_types(activations.dtype, torch.float32))
        if full.ndim == 2:
            full = full[:, :, None]
        reference, samples = full[: self.size], full[self.size :]

        places = list(range(2, full.ndim))
        variance, mean = torch.var_mean(reference, [0, *places], correction=0, keepdim=True)
        own_variance, own_mean = torch.var_mean(samples, places, correction=0, keepdim=True)
        # Of two groups together: the mean variance, and the variance of the means.
        share = 1 / (self.size + 1)
        between = share * (1 - share) * (own_mean - mean).square()
        joint_mean = torch.lerp(mean, own_mean, share)
        joint_variance = torch.lerp(variance, own_variance, share) + between

        normalized = torch.cat(
            [
                (reference - mean) * (variance + self.eps).rsqrt(),
                (samples - joint_mean) * (joint_variance + self.eps).rsqrt(),
            ]
        )
        if self.weight is not None:
            shape = (-1, *(1 for _ in places))
            normalized = normalized * self.weight.view(shape) + self.bias.view(shape)
        return normalized.reshape(activations.shape).to(activations.dtype)


def _virtual(network: nn.Module, size: int) -> int:
    """Replaces every batch normalization inside a network; returns how many there were."""
    replaced = 0
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(module, name, VirtualBatchNorm(child, size))
                replaced += 1
    return replaced
