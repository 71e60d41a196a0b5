"""The modes of a labelled data set that a generator hits."""

import torch

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.sets import Sets


class Modes:
    """The classes that are generated at all, and how far their shares are from the data's.

    The extractor's classifier says which class a generated image is of. A class with one image or
    more is a mode that was hit, and with q the shares of the classes among the generated images
    and p among the real ones, the reverse divergence is KL(q || p) (Metz et al. 2017, section
    3.3.1; Lin et al. 2018, section 4).

    The figures are as good as the classifier is: `modes/accuracy`, the share of real images that
    it gives their own label, says whether it knows these classes.

    Args:
        extractor: one that classifies the reference's classes, in the order of their labels.
    """

    higher_is_better = True
    contrary = frozenset({"reverse_kl"})

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor

    def check(self, sets: Sets) -> None:
        """Refuses a reference without labels, a class without images, and other classes."""
        real = sets.reference
        if real.labels is None:
            raise UsageError(
                f"{real.name}: the images have no labels, which metrics=modes compares the "
                "generated images' classes with: choose labelled data, or leave this metric out"
            )
        none = torch.zeros(1, self.extractor.num_features, device=real.device)
        known = self.extractor.to(real.device).logits(none).shape[1]
        if known != len(real.classes):
            raise UsageError(
                f"{real.name}: metrics=modes needs a classifier of its {len(real.classes)} "
                f"classes; protocol.extractor={self.extractor.name} knows {known}"
            )
        counts = real.labels.bincount(minlength=known)
        if not counts.all():
            raise UsageError(
                f"{real.name}: no image is of the class {real.classes[int(counts.argmin())]}; "
                "metrics=modes needs one of each"
            )

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The number of classes hit, the divergence in nats, and the classifier's accuracy."""
        real = sets.reference
        assert real.labels is not None
        given = sets.generated.logits(self.extractor).argmax(1)
        generated, data = (
            labels.bincount(minlength=len(real.classes)).double() / len(labels)
            for labels in (given, real.labels)
        )
        right = real.logits(self.extractor).argmax(1) == real.labels
        return {
            "modes": float((generated > 0).sum()),
            "modes/reverse_kl": float(torch.xlogy(generated, generated / data).sum()),
            "modes/accuracy": float(right.double().mean()),
        }
