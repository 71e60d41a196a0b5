"""The labels of generated images, where they have to be the classes of the real ones."""

import torch
from torch import Tensor

from touchstone.errors import UsageError
from touchstone.metrics.sets import Sets


def matched_labels(sets: Sets, metric: str) -> Tensor:
    """The generated images' labels as numbers of the real images' classes, int64 `(N,)`.

    A folder's classes are in another order than the data's, and may have numbers for names: what is
    no name of a class is taken for its number.

    Args:
        sets: the images.
        metric: the one that needs the labels, for the message.

    Raises:
        UsageError: images without labels, or not of the same classes.
    """
    generated, real = sets.generated, sets.reference
    for images in (generated, real):
        if images.labels is None:
            raise UsageError(
                f"{images.name}: the images have no labels, which metrics={metric} needs: choose a "
                "conditional model, or images in a folder whose sub-folders are the classes"
            )
    known = {str(number): number for number in range(len(real.classes))}
    known |= {name: number for number, name in enumerate(real.classes)}
    numbers = [known.get(name, -1) for name in generated.classes]
    if sorted(numbers) != list(range(len(real.classes))):
        raise UsageError(
            f"{generated.name}: the classes are {', '.join(generated.classes)}; metrics={metric} "
            f"needs those of {real.name}, by their names or numbers: {', '.join(real.classes)}"
        )
    assert generated.labels is not None
    return torch.tensor(numbers)[generated.labels.cpu()]
