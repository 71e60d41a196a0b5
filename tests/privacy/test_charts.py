import re

import torch

from touchstone.privacy.charts import Row, cards, curve, ends_of, intervals, roc, written
from touchstone.privacy.intervals import Estimate
from touchstone.privacy.shares import Shares


def test_figures_are_written_with_their_intervals() -> None:
    assert written(Estimate(0.51234, 0.5, 0.525)) == "0.512 (0.500 to 0.525)"
    assert written(Estimate(0.0123, 0.0, 0.5), percent=True) == "1.2 % (0 to 50.0)"


def test_the_curve_goes_by_every_threshold() -> None:
    members, others = torch.tensor([4.0, 3.0, 1.0, 0.0]), torch.tensor([3.5, 2.0, 1.5, 0.5])
    # Above 2: 1 of 4 others and 2 members; above 1.5: 2 and 2; above 0.5: 3 and 3.
    assert curve(members, others) == [(0.25, 0.5), (0.5, 0.5), (0.75, 0.75), (1.0, 1.0)]
    same = torch.zeros(4)
    assert curve(same, same) == [(1.0, 1.0)]


def test_an_interval_lies_where_it_is_on_the_axis() -> None:
    row = Row("<name>", Estimate(0.7, 0.55, 0.85), Estimate(0.4, 0.3, 0.5), "So it is")
    drawn = intervals([row], (0.4, 1.0), other="control", guess=0.5)
    assert 'class="own" style="left:25.00%;width:50.00%"' in drawn
    assert 'class="dot" style="left:50.00%"' in drawn
    assert 'class="other" style="left:0.00%;width:16.67%"' in drawn  # cut off at the axis
    assert "&lt;name&gt;" in drawn
    assert "control: 0.400 (0.300 to 0.500). So it is" in drawn
    assert ends_of([row.own]) == (0.4, 1.0)
    assert ends_of([Estimate(0.4, 0.29, 0.5)]) == (0.2, 1.0)


def test_pictures_ask_no_network_and_escape_what_they_are_told() -> None:
    scores = {f"<{name}>": (torch.randn(50), torch.randn(50)) for name in "abcde"}
    drawn = roc(scores) + cards([(Shares("<c>", ("<v>",), (0.0,), (1.0,)), "<said>")])
    assert not re.search(r"https?:|<script|url\(|<v>|<said>|<a>", drawn)
    assert drawn.count("<path d=") == 2 * len(scores)
    assert "nan" not in drawn
