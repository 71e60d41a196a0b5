"""Real images: one file a source, each with a function `load` that gives a split as `Images`."""

from touchstone.data.batches import Batches
from touchstone.data.images import Images, normalize, quantize

__all__ = ["Batches", "Images", "normalize", "quantize"]
