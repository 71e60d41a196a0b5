"""What happens around training: figures, samples, evaluation, checkpoints, progress."""

from touchstone.callbacks.checkpointing import Checkpointing
from touchstone.callbacks.curves import Curves
from touchstone.callbacks.divergence import Divergence
from touchstone.callbacks.evaluation import Evaluation
from touchstone.callbacks.field import Field
from touchstone.callbacks.progress import Progress
from touchstone.callbacks.pruning import Pruning
from touchstone.callbacks.samples import Samples
from touchstone.callbacks.spending import Spending

__all__ = [
    "Checkpointing",
    "Curves",
    "Divergence",
    "Evaluation",
    "Field",
    "Progress",
    "Pruning",
    "Samples",
    "Spending",
]
