"""What is done to every sample, real or fake, before the discriminator sees it."""

from touchstone.augmentations.adaptive import AdaptiveAugmentation
from touchstone.augmentations.augmentation import Augmentation
from touchstone.augmentations.differentiable import DiffAugment
from touchstone.augmentations.noise import Identity, InstanceNoise
from touchstone.augmentations.turns import Turns

__all__ = [
    "AdaptiveAugmentation",
    "Augmentation",
    "DiffAugment",
    "Identity",
    "InstanceNoise",
    "Turns",
]
