"""The Fréchet Inception Distance of each class by itself."""

from torch import Tensor

from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.gaussian import Gaussian, frechet_distance
from touchstone.metrics.labels import matched_labels
from touchstone.metrics.sets import ImageSet, Sets


class ClassFID:
    """The FID between the generated and the real images of each class, and its mean over classes.

    For a conditional generator, or labelled pictures. Unlike the FID, it sees whether an image is
    of the class that was asked for (intra-class FID, Miyato & Koyama 2018, section 4).

    Args:
        extractor: what the features are taken by.
    """

    higher_is_better = False

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor

    def check(self, sets: Sets) -> None:
        """Refuses images without labels, other classes, and a class of too few images."""
        needed = max(2, self.extractor.num_features)
        classes = sets.reference.classes
        for images, labels in self._labelled(sets):
            counts = labels.bincount(minlength=len(classes))
            if counts.min() < needed:
                raise UsageError(
                    f"{images.name}: {int(counts.min())} images of the class "
                    f"{classes[int(counts.argmin())]} are too few: metrics=class_fid needs "
                    f"at least as many of each as protocol.extractor={self.extractor.name} has "
                    f"features, {needed}"
                )

    def __call__(self, sets: Sets) -> dict[str, float]:
        """The mean over the classes, as `class_fid`, and `class_fid/CLASS` of each."""
        distances = {
            f"class_fid/{name}": frechet_distance(
                *(
                    Gaussian.of(images.features(self.extractor)[labels == label].to(images.device))
                    for images, labels in self._labelled(sets)
                )
            )
            for label, name in enumerate(sets.reference.classes)
        }
        return {"class_fid": sum(distances.values()) / len(distances), **distances}

    def _labelled(self, sets: Sets) -> list[tuple[ImageSet, Tensor]]:
        """Both sets, each with its labels by the numbers of the real classes."""
        matched = matched_labels(sets, "class_fid")
        assert sets.reference.labels is not None
        return [(sets.generated, matched), (sets.reference, sets.reference.labels.cpu())]
