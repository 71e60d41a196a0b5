"""The run's discriminator, as detectors look through it."""

import torch
from torch import Tensor, nn
from tqdm import tqdm

from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.sampling import CHUNK
from touchstone.trained import Trained


def check(trained: Trained, shape: tuple[int, ...], detector: str) -> None:
    """Refuses networks whose discriminator cannot be looked through.

    Args:
        trained: a run's networks.
        shape: of a sample.
        detector: who asks, for messages.

    Raises:
        UsageError: there is no discriminator, it has no features to show, or it judges a sample by
            its label, which a new item has not.
    """
    discriminator = trained.discriminator
    if discriminator is None:
        raise UsageError(
            f"detector={detector}: it looks through the discriminator, which an exported generator "
            "comes without: give the run"
        )
    if not hasattr(discriminator, "examine"):
        raise UsageError(
            f"detector={detector}: {type(discriminator).__name__} has no method examine, by which "
            "touchstone's discriminators give their features"
        )
    try:
        examined(trained, torch.zeros(1, *shape, device=device_of(discriminator)))
    except TypeError as error:
        raise UsageError(
            f"detector={detector}: the discriminator judges a sample by its label, which a new "
            f"item has not: train with another head ({error})"
        ) from error


def examined(trained: Trained, samples: Tensor) -> dict[str, Tensor]:
    """The discriminator's verdict on samples, each by itself.

    Where a layer looks at a whole batch, a sample is a batch of its own.

    Returns:
        `logits` `(N,)`, `features` `(N, F)` and what else the head gives.
    """
    discriminator = trained.discriminator
    assert discriminator is not None
    mixes = any(getattr(module, "mixes_samples", False) for module in discriminator.modules())
    verdicts = [
        discriminator.examine(part)  # type: ignore[operator]
        for part in torch.split(samples, 1 if mixes else max(1, len(samples)))
    ]
    return {name: torch.cat([verdict[name] for verdict in verdicts]) for name in verdicts[0]}


def features(trained: Trained, samples: Tensor) -> Tensor:
    """The discriminator's features of samples, float32 `(N, F)`."""
    return examined(trained, samples)["features"].float()


@torch.no_grad()
def features_of(trained: Trained, items: Split) -> Tensor:
    """The features of all items, float32 `(N, F)`, where the discriminator is."""
    assert trained.discriminator is not None
    device = device_of(trained.discriminator)
    parts = torch.split(torch.arange(len(items), device=items.device), CHUNK)
    return torch.cat(
        [
            features(trained, items.batch(part)[0].to(device))
            for part in tqdm(parts, desc="features", delay=2, leave=False)
        ]
    )


def device_of(network: nn.Module) -> torch.device:
    """Where a network is."""
    return next(network.parameters()).device
