"""A small run, and genuine items that it knows."""

import pytest
import torch
from torch import Tensor, nn

from touchstone.data import digits
from touchstone.data.images import Images, normalize
from touchstone.networks import dcgan
from touchstone.trained import Trained

SHAPE = (1, 16, 16)


def zeros(split: str) -> Images:
    """The zeros among the digits: 144 to learn from, 34 or 35 to be told genuine."""
    images = digits.load(split=split, resolution=16)
    assert images.labels is not None
    return images.take((images.labels == 0).nonzero()[:, 0])


class Principal(nn.Module):
    """A generator that makes genuine items without a game: `mean + z · principal axes`."""

    latent_size = 12

    def __init__(self, images: Images) -> None:
        super().__init__()
        points = normalize(images.pixels.float()).flatten(1)
        self.mean = nn.Parameter(points.mean(0))
        _, values, axes = torch.linalg.svd(points - self.mean.detach(), full_matrices=False)
        scale = values[: self.latent_size, None] / len(points) ** 0.5
        self.axes = nn.Parameter(scale * axes[: self.latent_size])

    def forward(self, latents: Tensor) -> Tensor:
        return (self.mean + latents @ self.axes).view(-1, *SHAPE)


class Pixels(nn.Module):
    """A discriminator whose features are the samples' numbers, and whose logit is their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(()))

    def examine(self, samples: Tensor) -> dict[str, Tensor]:
        features = samples.flatten(1)
        return {"features": features, "logits": features.sum(1)}


@pytest.fixture(scope="session")
def genuine() -> Images:
    """What is learned from."""
    return zeros("train")


@pytest.fixture(scope="session")
def new() -> Images:
    """Genuine items that nothing was shown."""
    return zeros("test")


@pytest.fixture(scope="session")
def trained(genuine: Images) -> Trained:
    """A run's networks; of the discriminator, the first weights."""
    torch.manual_seed(0)
    discriminator = dcgan.Discriminator(16, 1, width=8, normalization="none")
    return Trained(Principal(genuine).eval(), discriminator.eval())


@pytest.fixture
def pixels() -> Trained:
    """A run whose discriminator gives a sample's numbers as its features."""
    return Trained(Pixels(), Pixels())
