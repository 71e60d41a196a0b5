"""One class of a data set against the rest: the anomaly-detection protocol (Ruff et al. 2018).

Deep One-Class Classification, ICML 2018, section 4.2: one class is genuine and all that is seen in
training; the whole test split is judged, and the other classes are what has to be told from it.
"""

from collections.abc import Callable

from touchstone.data.images import Images
from touchstone.errors import UsageError


def load(split: str, source: Callable[..., Images], genuine: int | str) -> Images:
    """Loads the images of one class (`train`), or all (`test`), with the source's labels and names.

    Args:
        split: `train` or `test`.
        source: loads a split of the data set, `source(split=...)`.
        genuine: the class, by its label or its name.

    Raises:
        UsageError: no such class, or what the source refuses.
    """
    images = source(split=split)
    if images.labels is None:
        raise UsageError(f"data.genuine={genuine}: the source has no labels, and so no classes")
    label = images.classes.index(genuine) if genuine in images.classes else genuine
    if not (isinstance(label, int) and 0 <= label < len(images.classes)):
        known = ", ".join(f"{label} ({name})" for label, name in enumerate(images.classes))
        raise UsageError(f"data.genuine={genuine}: it has to be one of the classes {known}")
    if split == "test":
        return images
    return images.take((images.labels == label).nonzero().squeeze(1))
