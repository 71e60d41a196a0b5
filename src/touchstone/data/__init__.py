"""Real samples: one file a source, each with a function `load` that gives a split whole."""

from touchstone.data.batches import Batches
from touchstone.data.images import Images, normalize, quantize
from touchstone.data.points import Points
from touchstone.data.split import Split

__all__ = ["Batches", "Images", "Points", "Split", "normalize", "quantize"]
