"""Says of pictures whether they are genuine, how sure that is, and where they look wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from touchstone.authenticity.calibration import Verdict, probability, verdict
from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.detectors.neighbours import Neighbours
from touchstone.authenticity.explanation import explain, mean
from touchstone.authenticity.fitted import Fitted
from touchstone.authenticity.likeness import unlike
from touchstone.authenticity.reading import Picture, Pictures, Reader
from touchstone.data.split import Split
from touchstone.sampling import CHUNK

_MAPPED = 32  # held-out items whose maps say what those of genuine items look like
_EXPLAINED = 16  # pictures at once


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is said of N items.

    Attributes:
        scores: of the first detector, float32 `(N,)`, the higher the less genuine.
        p_values: theirs, float64 `(N,)`: the share of genuine items that score so high.
        probabilities: of being genuine, at least: `touchstone.authenticity.calibration.probability`
            of the p-values, `(N,)` in (0, 0.5].
        verdicts: a word for each.
        further: of each other detector the scores and the p-values.
    """

    scores: Tensor
    p_values: Tensor
    probabilities: Tensor
    verdicts: list[Verdict]
    further: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.verdicts)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The items as lines of a table: score, p-value, probability, verdict, the others' two."""
        further = [column for columns in self.further.values() for column in columns]
        for index, said in enumerate(self.verdicts):
            first = (self.scores[index], self.p_values[index], self.probabilities[index])
            written = [f"{float(one):.6g}" for one in (*first, *(one[index] for one in further))]
            yield (*written[:3], said, *written[3:])


@dataclass(frozen=True, eq=False)
class Authenticator:
    """A run's detectors, fitted and calibrated; `touchstone.load_detector` makes one.

    Attributes:
        detectors: by name; the first gives the verdict.
        likeness: says which pictures are of no kind that was seen.
        genuine: the items that the detectors learned from.
        held_out: those that they are calibrated on.
        reader: brings pictures to the form of the run's samples.
        device: where the detectors are.
        false_alarms: the share of genuine items that may be called counterfeit.
        explanation: what makes the maps; by default as `explained_by` says.
    """

    detectors: Mapping[str, Fitted]
    likeness: Fitted
    genuine: Split = field(repr=False)
    held_out: Split = field(repr=False)
    reader: Reader
    device: torch.device
    false_alarms: float
    explanation: str | None = None

    @property
    def name(self) -> str:
        """The detector that gives the verdict."""
        return next(iter(self.detectors))

    @property
    def others(self) -> tuple[str, ...]:
        """The further detectors."""
        return tuple(self.detectors)[1:]

    @property
    def first(self) -> Fitted:
        """The detector that gives the verdict."""
        return self.detectors[self.name]

    @cached_property
    def threshold(self) -> float:
        """The lowest score that is called counterfeit.

        Raises:
            UsageError: too few held-out items for the rate.
        """
        return self.first.calibration.threshold(self.false_alarms)

    def score(self, pictures: Pictures, templates: Sequence[Picture] | None = None) -> Judgement:
        """Judges pictures, each by itself.

        Args:
            pictures: a tensor `(N, C, S, S)` of uint8 pixels or of floats in [-1, 1]; or Pillow's
                images or files, of any size and mode.
            templates: of images or files, one for each, where samples are pairs with a template.

        Raises:
            UsageError: pictures that cannot be brought to the run's samples.
        """
        samples = self.reader.samples(pictures, templates)
        scores = {name: self._scores(one, samples) for name, one in self.detectors.items()}
        strange = unlike(self._scores(self.likeness, samples), self.likeness.calibration)
        p_values = {
            name: one.calibration.p_values(scores[name]) for name, one in self.detectors.items()
        }
        return Judgement(
            scores[self.name],
            p_values[self.name],
            probability(p_values[self.name]),
            verdict(scores[self.name], self.threshold, strange),
            {name: (scores[name], p_values[name]) for name in self.others},
        )

    def map(self, pictures: Pictures, templates: Sequence[Picture] | None = None) -> Tensor:
        """Says where pictures look wrong, float32 `(N, S, S)` on the CPU, more where it is higher.

        Raises:
            UsageError: as of `score`, or an explanation that is not for this detector.
        """
        samples = self.reader.samples(pictures, templates)
        found = [torch.empty(0, *samples.shape[2:])]
        with tqdm(total=len(samples), desc="explaining", delay=2, leave=False) as progress:
            for part in torch.split(samples, _EXPLAINED):
                seen, name = part.to(self.device), self.explained_by
                found.append(explain(self.first.detector, seen, self._mean, name).detach().cpu())
                progress.update(len(part))
        return torch.cat(found)

    @property
    def explained_by(self) -> str:
        """What makes the maps, a name of `touchstone.authenticity.explanation.EXPLANATIONS`.

        The explanation asked for; otherwise the detector's own map, and where it has none
        occlusion, which any score allows, in a tenth of the time of integrated gradients.
        """
        if self.explanation is not None:
            return self.explanation
        has_own = type(self.first.detector).map is not Detector.map
        return "own" if has_own else "occlusion"

    @cached_property
    def _mean(self) -> Tensor:
        return mean(self.genuine)

    @torch.no_grad()
    def nearest(
        self, pictures: Pictures, templates: Sequence[Picture] | None = None
    ) -> Tensor | None:
        """The genuine item most like each picture, uint8 pixels `(N, C, S, S)` on the CPU.

        Returns:
            None where no detector is one by neighbours.

        Raises:
            UsageError: as of `score`.
        """
        samples = self.reader.samples(pictures, templates)
        for one in self.detectors.values():
            if isinstance(one.detector, Neighbours):
                indices = one.detector.nearest(samples.to(self.device), 1)[0][:, 0]
                return self.genuine.gather(indices.to(self.genuine.device))[0].cpu()
        return None

    @cached_property
    def usual(self) -> tuple[float, float]:
        """What 1 in 20, and 1 in 1,000, of the pixels of genuine items' maps lie beyond."""
        numbers = torch.arange(min(_MAPPED, len(self.held_out)), device=self.held_out.device)
        maps = self.map(self.held_out.batch(numbers)[0])
        low, high = np.quantile(maps.numpy(), [0.95, 0.999])
        return float(low), float(high)

    @torch.no_grad()
    def _scores(self, one: Fitted, samples: Tensor) -> Tensor:
        parts = [one.detector.score(part.to(self.device)) for part in torch.split(samples, CHUNK)]
        return torch.cat(parts).float().cpu()
