import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import touchstone
from touchstone.authenticity.authenticator import Authenticator
from touchstone.authenticity.calibration import Calibration, Verdict
from touchstone.authenticity.detectors.detector import Detector, scores
from touchstone.authenticity.fitted import Fitted
from touchstone.authenticity.likeness import Likeness
from touchstone.authenticity.page import Findings, heated, page
from touchstone.authenticity.reading import Read, Reader
from touchstone.data.images import Images, normalize
from touchstone.data.split import Split
from touchstone.errors import UsageError
from touchstone.trained import Trained

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIDE = 16


def items(seed: int, number: int, channels: int = 1) -> Images:
    """Pictures of noise around middle grey."""
    noise = np.random.default_rng(seed).normal(128, 20, (number, channels, SIDE, SIDE))
    return Images(torch.from_numpy(noise.clip(0, 255).astype(np.uint8)), None, ())


class Brightness(Detector):
    """The root mean square: of noise around middle grey, a small one. Its weight was learned."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def score(self, samples: Tensor) -> Tensor:
        return self.weight * samples.square().mean((1, 2, 3)).sqrt()

    def map(self, samples: Tensor) -> Tensor:
        return self.weight * samples.square().mean(1)


class Mean(Detector):
    """How bright a sample is, which says nothing of where."""

    def score(self, samples: Tensor) -> Tensor:
        return samples.mean((1, 2, 3))


GENUINE, HELD_OUT = items(0, 300), items(1, 199)


def learned(detector: Detector, genuine: Split, held_out: Split) -> Fitted:
    detector.prepare(Trained(nn.Identity()), genuine.shape)
    detector.fit(genuine)
    return Fitted(detector.eval(), Calibration(scores(detector, held_out)))


def authenticator(
    *detectors: Detector, rate: float = 0.05, genuine: Images = GENUINE, held_out: Images = HELD_OUT
) -> Authenticator:
    named = {type(one).__name__.lower(): learned(one, genuine, held_out) for one in detectors}
    return Authenticator(
        named,
        learned(Likeness(), genuine, held_out),
        genuine,
        held_out,
        Reader(genuine.shape),
        torch.device("cpu"),
        rate,
    )


def spotted(number: int = 1) -> Tensor:
    """Genuine pictures with a bright spot of 3x3 pixels."""
    pixels = items(2, number).pixels.clone()
    pixels[:, :, 4:7, 9:12] = 200
    return pixels


def test_the_first_detector_gives_the_verdict_and_the_others_their_word() -> None:
    one = authenticator(Brightness(), Mean())
    # 199 held out: 5 % are 10 of 200, so that the tenth highest score is the first refused.
    highest = HELD_OUT.pixels[one.first.calibration.scores.argsort(descending=True)[:12]]
    judged = one.score(highest)
    assert judged.verdicts == [Verdict.COUNTERFEIT] * 9 + [Verdict.GENUINE] * 3
    assert judged.p_values.tolist() == [pytest.approx((k + 2) / 200) for k in range(12)]
    p = 2 / 200
    assert float(judged.probabilities[0]) == pytest.approx(1 / (1 - 1 / (math.e * p * math.log(p))))
    values, p_values = judged.further["mean"]
    assert values.allclose(normalize(highest).mean((1, 2, 3)))
    assert len(p_values) == len(judged) == 12
    assert (one.name, one.others) == ("brightness", ("mean",))
    first = next(judged.rows())
    assert first[1:4] == ("0.01", f"{float(judged.probabilities[0]):.6g}", "counterfeit")
    assert len(first) == 6


def test_a_score_does_not_depend_on_the_others() -> None:
    one = authenticator(Brightness())
    together = one.score(items(3, 600).pixels)
    alone = torch.cat([one.score(items(3, 600).pixels[k : k + 1]).scores for k in (0, 299, 599)])
    assert together.scores[[0, 299, 599]].allclose(alone)
    assert len(one.score(items(3, 600).pixels[:0])) == 0


def test_nothing_is_told_of_another_kind() -> None:
    one = authenticator(Brightness())
    blank = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.uint8)
    assert one.score(blank).verdicts == [Verdict.CANNOT_TELL]
    assert one.score(items(4, 1).pixels).verdicts == [Verdict.GENUINE]


def test_the_map_and_the_scale_that_genuine_items_have() -> None:
    one = authenticator(Brightness())
    found = one.map(spotted())
    assert found is not None
    low, high = one.usual
    spot = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    spot[4:7, 9:12] = True
    assert found[0][spot].allclose(normalize(torch.tensor([200.0]))[0] ** 2)
    # Squares of normal values of deviation 20 / 127.5: 1.96 and 3.29 of it are their quantiles.
    assert low == pytest.approx((1.96 * 20 / 127.5) ** 2, rel=0.05)
    assert high == pytest.approx((3.29 * 20 / 127.5) ** 2, rel=0.15)
    assert (found[0][~spot] > low).float().mean() < 0.12
    # A detector without a map of its own is explained by occlusion.
    other = authenticator(Mean()).map(spotted())
    assert other is not None
    assert other[0][spot].mean() > 5 * other[0][~spot].abs().mean()
    assert one.nearest(spotted()) is None


def test_too_few_are_held_out_for_the_rate() -> None:
    with pytest.raises(UsageError, match=r"false_alarms=0\.001: it takes 999 genuine items"):
        _ = authenticator(Brightness(), rate=0.001).threshold


def test_heat_lies_where_a_picture_is_wrong() -> None:
    pixels = torch.full((1, 1, 3), 100, dtype=torch.uint8)
    found = heated(pixels, torch.tensor([[0.0, 1.0, 9.0]]), 0.0, 2.0)
    # Half of 0.85, and all of it, of the way from (100, 100, 100) to (230, 30, 20).
    assert found[:, 0].T.tolist() == [[100, 100, 100], [155, 70, 66], [210, 40, 32]]
    colour = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1)
    assert heated(colour, torch.zeros(1, 1), 0.0, 1.0).flatten().tolist() == [10, 20, 30]


def findings(one: Authenticator, pixels: Tensor, names: list[str]) -> Findings:
    found = Findings()
    found.add([Read(n, p) for n, p in zip(names, pixels, strict=True)], one.score(pixels))
    return found


def test_the_page_shows_the_most_suspicious_first_and_not_all() -> None:
    one = authenticator(Brightness())
    found = findings(one, items(5, 200).pixels, [f"{k}.png" for k in range(200)])
    found.miss([Read(f"<{k}>", None, "cannot be read") for k in range(30)])
    text = page("Is it genuine? <these>", found, one)

    assert found.scored == 200
    shown = [float(each) for each in re.findall(r"\d+\.png: ([\d.]+), p = ", text)]
    counts = found.counts
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == counts[Verdict.COUNTERFEIT] + counts[Verdict.CANNOT_TELL] + 24
    assert text.count("<img") == 2 * len(shown)
    assert found.summary().endswith(f"{counts[Verdict.GENUINE]} genuine, 30 not read")
    assert "&lt;19&gt;: cannot be read" in text
    assert "&lt;20&gt;" not in text
    assert "And 10 more, in detections.csv." in text
    # 10 of 200: the 95 % quantile of Beta(10, 190) is 0.0776.
    assert "at most 5 % are expected" in text
    assert "with these 199 held out it is at most 7.8 %" in text
    assert "300 genuine items and is calibrated on 199 others" in text
    assert not re.search(r"https?:|<script|url\(|<these>", text)


def test_of_a_single_picture_it_says_what_there_is_to_say() -> None:
    one = authenticator(Brightness())
    found = findings(one, items(4, 1).pixels, ["it.png"])
    assert re.fullmatch(r"genuine: it\.png: 0\.\d+, p = [\d.]+", found.summary())


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_no_screen_has_to_be_scrolled_sideways(
    channels: int, browser: "Browser", tmp_path: Path
) -> None:
    genuine = items(0, 60, channels)
    one = authenticator(Brightness(), genuine=genuine, held_out=items(1, 39, channels))
    names = ["a_name_without_any_end_in_sight_" * 8 + ".png", *(f"{k}.png" for k in range(11))]
    path = tmp_path / "page.html"
    found = findings(one, items(6, 12, channels).pixels, names)
    path.write_text(page(f"Is it genuine? {tmp_path}/{names[0]}", found, one))
    view = browser.new_page()
    view.goto(path.as_uri())
    for width in (360, 390, 1200):
        view.set_viewport_size({"width": width, "height": 800})
        assert view.evaluate("document.documentElement.scrollWidth") == width
    assert view.locator("img").count() == 24
    assert view.evaluate("[...document.images].every((one) => one.naturalWidth > 0)")
    view.close()


def test_it_is_loaded_when_it_is_asked_for() -> None:
    from touchstone.cli.authenticators import load_detector

    assert touchstone.load_detector is load_detector
