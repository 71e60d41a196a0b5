"""Printed codes compared with their templates as wholes."""

from torch import Tensor

from touchstone.authenticity.detectors.detector import Detector
from touchstone.errors import UsageError
from touchstone.trained import Trained


class TemplateCorrelation(Detector):
    """Minus Pearson's correlation of a picture's pixels with its template's (Picard 2004).

    It learns nothing.
    """

    def prepare(self, trained: Trained, shape: tuple[int, ...]) -> None:
        """Sees what samples are.

        Raises:
            UsageError: they are no pictures beside templates.
        """
        super().prepare(trained, shape)
        check_pair(shape, "template_correlation")

    def score(self, samples: Tensor) -> Tensor:
        """Scores samples `(N, 2, H, W)`: `(N,)` in [-1, 1]."""
        pictures, templates = standardized(samples.float()).unbind(1)
        return -(pictures * templates).mean((1, 2))

    def map(self, samples: Tensor) -> Tensor:
        """Squared differences of picture and template, each brought to mean 0 and deviation 1."""
        pictures, templates = standardized(samples.float()).unbind(1)
        return (pictures - templates).square()


def standardized(channels: Tensor) -> Tensor:
    """Each channel `(N, C, H, W)` with mean 0 and deviation 1, a flat one 0 throughout."""
    centred = channels - channels.mean((2, 3), keepdim=True)
    return centred / centred.square().mean((2, 3), keepdim=True).sqrt().clamp(min=1e-6)


def check_pair(shape: tuple[int, ...], name: str) -> None:
    """Refuses samples that are no pictures beside templates.

    Raises:
        UsageError: names the detector.
    """
    if shape[0] != 2:
        raise UsageError(
            f"detector={name}: it compares a picture with its template, as data=printed_codes has "
            f"them; a sample here has {shape[0]} channel{'s' * (shape[0] != 1)}"
        )
