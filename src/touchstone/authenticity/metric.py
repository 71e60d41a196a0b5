"""The protocol of the report: how detectors tell genuine items from each attack."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from touchstone.authenticity.calibration import Calibration
from touchstone.authenticity.detectors.detector import Detector, scores
from touchstone.authenticity.figures import auroc, bootstrap, figures
from touchstone.data.split import Split
from touchstone.data.subset import rest, subset
from touchstone.errors import UsageError
from touchstone.metrics.sets import Sets, Stored
from touchstone.sampling import evaluating
from touchstone.trained import Trained

if TYPE_CHECKING:
    from PIL.Image import Image


class Detection:
    """Figures of detectors on the test split, by attack; a `touchstone.metrics.metric.Metric`.

    Genuine are the classes that occur in the training split; every other class of the test split is
    an attack. Detectors learn from the training items that the run is shown, and their thresholds
    come from the others. No counterfeit takes part in either, but where a detector asks for them.

    Args:
        detectors: by name; the first one's AUROC, the mean over attacks, is the headline.
        subset: how many training items the run is shown.
        false_alarms: the share of genuine items that may be refused, for `apcer` and `bpcer`.

    Attributes:
        detectors: their names and settings, for the figures' protocol.

    Raises:
        UsageError: no detectors.
    """

    higher_is_better = True
    contrary = frozenset({"fpr95", "equal_error_rate", "apcer", "bpcer"})
    chooses = False  # which checkpoint is kept as the best is not for counterfeits to say
    extractor = None
    counts_generated = False

    def __init__(
        self, detectors: Mapping[str, Detector], subset: int | None, false_alarms: float = 0.01
    ) -> None:
        if not detectors:
            raise UsageError("metrics=detection: name the detectors: detector=[mahalanobis]")
        self._detectors = dict(detectors)
        self.detectors = ", ".join(described(name, one) for name, one in detectors.items())
        self._subset = subset
        self.false_alarms = false_alarms

    def check(self, sets: Sets) -> None:
        """Refuses data without held-out items or without attacks."""
        train, test = (_items(sets, name) for name in ("train", "test"))
        held_out = len(train) - (self._subset or len(train))
        if not held_out:
            raise UsageError(
                "metrics=detection: it needs training items that the run is not shown: name how "
                f"many it is, such as subset={len(train) * 4 // 5}"
            )
        Calibration(torch.zeros(held_out)).threshold(self.false_alarms)
        if not attacks(train, test):
            raise UsageError(
                "metrics=detection: every class of the test split is in the training split, too; "
                "counterfeits are the test split's other classes"
            )

    def __call__(self, sets: Sets) -> "dict[str, float | Image]":
        """By detector and attack: each figure of `touchstone.authenticity.figures`.

        And the AUROC's 95 % interval over items, the mean AUROC over attacks, and pictures of the
        first detector's scores and ROC curves.
        """
        from touchstone.authenticity.charts import histograms, roc_curves

        assert sets.generated.generator is not None
        device = next(sets.generated.generator.parameters()).device
        train, test = (_items(sets, name).to(device) for name in ("train", "test"))
        shown, held_out = subset(train, self._subset), rest(train, self._subset)
        trained = Trained(sets.generated.generator, sets.discriminator)
        found: dict[str, float | Image] = {}
        pictures: dict[str, Image] = {}
        with evaluating(trained.generator), evaluating(sets.discriminator or trained.generator):
            for name, settings in self._detectors.items():
                detector = copy.deepcopy(settings)
                detector.prepare(trained, test.shape)
                detector.to(device)
                detector.fit(shown)
                threshold = Calibration(scores(detector, held_out)).threshold(self.false_alarms)
                genuine, counterfeits = by_attack(scores(detector, test, name), train, test)
                areas = []
                for attack, forged in counterfeits.items():
                    these = figures(genuine, forged, threshold)
                    low, high = bootstrap(genuine, forged, auroc)
                    these |= {"auroc/low": low, "auroc/high": high}
                    found |= {f"detection/{name}/{attack}/{key}": v for key, v in these.items()}
                    areas.append(these["auroc"])
                found[f"detection/{name}"] = sum(areas) / len(areas)
                if not pictures:
                    pictures["detection/scores"] = histograms(genuine, counterfeits, threshold)
                    pictures["detection/roc"] = roc_curves(genuine, counterfeits)
        headline = f"detection/{next(iter(self._detectors))}"
        return {"detection": found[headline], **found, **pictures}


def described(name: str, detector: Detector) -> str:
    """A detector's name and settings: `neighbours(neighbours=5)`."""
    said = [
        f"{key}={value}"
        for key, value in vars(detector).items()
        if isinstance(value, int | float | str) and key != "training"
    ]
    return f"{name}({', '.join(said)})" if said else name


def attacks(train: Split, test: Split) -> list[int]:
    """The labels of the test split that the training split does not have."""
    if train.labels is None or test.labels is None:
        return []
    return sorted(set(test.labels.tolist()) - set(train.labels.tolist()))


def by_attack(found: Tensor, train: Split, test: Split) -> tuple[Tensor, dict[str, Tensor]]:
    """Splits the test items' scores `(N,)` into genuine ones and, by name, those of each attack."""
    assert test.labels is not None
    labels, kinds = test.labels.cpu(), attacks(train, test)
    genuine = ~torch.isin(labels, torch.tensor(kinds))
    return found[genuine], {test.classes[kind]: found[labels == kind] for kind in kinds}


def _items(sets: Sets, name: str) -> Split:
    """A split as it is kept.

    Raises:
        UsageError: there is none.
    """
    split = sets.split(name)
    if split is None or not isinstance(split.source, Stored):
        raise UsageError("metrics=detection: it needs a run, or data=NAME, with splits")
    return split.source.images
