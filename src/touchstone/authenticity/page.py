"""The page that shows what a detector says of pictures, the most suspicious first."""

import heapq
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from touchstone import pages
from touchstone.authenticity.authenticator import Authenticator, Judgement
from touchstone.authenticity.calibration import Verdict
from touchstone.authenticity.reading import Read
from touchstone.pictures import picture

if TYPE_CHECKING:
    from PIL.Image import Image

CONFIDENCE = 0.95
SHOWN = {Verdict.COUNTERFEIT: 60, Verdict.CANNOT_TELL: 24, Verdict.GENUINE: 24}
NAMED = 20  # files that could not be read
HEAT = torch.tensor([230.0, 30.0, 20.0]).view(3, 1, 1)


class Findings:
    """What the page is made of, gathered while the pictures pass by: counts, and a few of each.

    Attributes:
        counts: how many have each verdict.
        unread: of the files that could not be read, the first, and how many there are.
    """

    def __init__(self) -> None:
        self.counts: Counter[Verdict] = Counter()
        self.unread: list[str] = []
        self.unreadable = 0
        self._kept: dict[Verdict, list[tuple[float, int, Tensor, str]]] = {one: [] for one in SHOWN}
        self._number = count()  # so that no two are equal

    @property
    def scored(self) -> int:
        """How many have a verdict."""
        return self.counts.total()

    def add(self, items: list[Read], judged: Judgement) -> None:
        """Takes in files that were read, and what is said of them."""
        for index, (item, verdict) in enumerate(zip(items, judged.verdicts, strict=True)):
            self.counts[verdict] += 1
            score, p_value = float(judged.scores[index]), float(judged.p_values[index])
            note = f" ({item.note})" if item.note else ""
            caption = f"{item.name}: {score:.4g}, p = {p_value:.2g}{note}"
            assert item.pixels is not None
            urgency = float("inf") if score != score else score
            kept = self._kept[verdict]
            heapq.heappush(kept, (urgency, next(self._number), item.pixels, caption))
            if len(kept) > SHOWN[verdict]:
                heapq.heappop(kept)

    def miss(self, items: list[Read]) -> None:
        """Takes in files that could not be read."""
        self.unreadable += len(items)
        self.unread += [f"{item.name}: {item.note}" for item in items]
        del self.unread[NAMED:]

    def of(self, verdict: Verdict) -> tuple[list[Tensor], list[str]]:
        """The pixels and captions of the most suspicious with a verdict, in this order."""
        ordered = sorted(self._kept[verdict], key=lambda one: (-one[0], one[1]))
        return [one[2] for one in ordered], [one[3] for one in ordered]

    def summary(self) -> str:
        """The counts, in words; of a single picture what is said of it."""
        if self.scored == 1 and not self.unreadable:
            (verdict,) = self.counts
            return f"{verdict}: {self.of(verdict)[1][0]}"
        said = [f"{self.counts[verdict]:,} {verdict}" for verdict in SHOWN]
        return ", ".join(said + [f"{self.unreadable:,} not read"] * bool(self.unreadable))


def page(title: str, findings: Findings, authenticator: Authenticator) -> str:
    """The page as HTML."""
    return pages.page(title, _sections(findings, authenticator))


def _sections(findings: Findings, authenticator: Authenticator) -> Iterator[str]:
    yield pages.panel(_capital(findings.summary()), [])
    yield from map(pages.paragraph, _basis(authenticator))
    for verdict, limit in SHOWN.items():
        pixels, captions = findings.of(verdict)
        if not pixels:
            continue
        yield pages.heading(f"{_capital(verdict)}: {findings.counts[verdict]:,}")
        if findings.counts[verdict] > limit:
            yield pages.paragraph(
                f"The {limit} most suspicious; the others are in detections.csv.", soft=True
            )
        yield pages.figures(zip(_shown(pixels, authenticator), captions, strict=True))
    if findings.unread:
        yield pages.heading(f"Not read: {findings.unreadable:,}")
        yield pages.listing(findings.unread)
        if (more := findings.unreadable - len(findings.unread)) > 0:
            yield pages.paragraph(f"And {more:,} more, in detections.csv.")
    yield pages.heading("What the words mean")
    yield from map(pages.paragraph, _definitions(authenticator))


def _basis(authenticator: Authenticator) -> Iterator[str]:
    """What the verdicts rest on."""
    calibration, rate = authenticator.first.calibration, authenticator.false_alarms
    held_out, bound = len(calibration.scores), calibration.guarantee(rate, CONFIDENCE)
    yield (
        f"By the detector {authenticator.name}, which learned from {len(authenticator.genuine):,} "
        f"genuine items and is calibrated on {held_out:,} others, that neither it nor the networks "
        "were shown."
    )
    yield (
        f"Of new genuine items at most {100 * rate:g} % are expected to be called counterfeit; "
        f"with these {held_out:,} held out it is at most {100 * bound:.2g} %, at a confidence of "
        f"{100 * CONFIDENCE:g} %. Both hold for genuine items that are pictured as those were. How "
        "many counterfeits are found depends on the counterfeits."
    )


def _definitions(authenticator: Authenticator) -> Iterator[str]:
    yield (
        f"Score: {authenticator.name}'s, the higher the less genuine. Counterfeit: a score of "
        f"{authenticator.threshold:.4g} or more."
    )
    yield (
        "p: the share of genuine items that score so high, the picture itself counted among them. "
        "The table's probability_genuine is the least probability of being genuine that p leaves "
        "an item that was as likely genuine as not before; 0.5 is no evidence against it."
    )
    yield (
        "Cannot tell: the picture's brightness and sharpness are more unusual than those of every "
        "genuine item held out, and more than twice as unusual as those of 99 in 100. It may be "
        "blurred, cropped or of something else, and its score says nothing."
    )
    by = authenticator.explained_by
    how = "the detector's own map" if by == "own" else by.replace("_", " ")
    yield (
        f"Red: where the detector finds the picture wrong, by {how}; from what it finds in 1 of 20 "
        "pixels of genuine items held out to what it finds in 1 of 1,000, or more."
    )
    if "neighbours" in authenticator.detectors:
        yield "The last picture of a group is the genuine item most like it."


def _shown(pixels: list[Tensor], authenticator: Authenticator) -> Iterator[list["Image"]]:
    """Each picture; beside it where it looks wrong, and the genuine item most like it."""
    kept = torch.stack(pixels)
    maps, nearest = authenticator.map(kept), authenticator.nearest(kept)
    for index, one in enumerate(pixels):
        row = [one, heated(one, maps[index], *authenticator.usual)]
        if nearest is not None:
            row.append(nearest[index] if len(one) == 3 else nearest[index, :1])
        yield [picture(each) for each in row]


def heated(pixels: Tensor, wrong: Tensor, low: float, high: float) -> Tensor:
    """Lays red over a picture where it looks wrong.

    Args:
        pixels: uint8 `(C, H, W)`; of a picture beside its template, the first channel is it.
        wrong: `(H, W)`.
        low: the value that stays without, and all below it.
        high: the value of full red, and all above it.

    Returns:
        uint8 `(3, H, W)`.
    """
    colour = pixels if len(pixels) == 3 else pixels[:1].expand(3, -1, -1)
    share = 0.85 * ((wrong - low) / max(high - low, 1e-12)).clamp(0, 1).nan_to_num(1)
    return (colour * (1 - share) + HEAT * share).round().to(torch.uint8)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
