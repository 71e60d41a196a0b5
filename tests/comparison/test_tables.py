import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from touchstone.comparison import tables
from touchstone.comparison.groups import Comparison, Member, compare
from touchstone.tracking.figures import Figure

PROTOCOL = {"extractor": "fashion", "features": "0123456789abcdef" * 4, "generated": 10000}
SUMMARY = {
    "seconds": 100.0,
    "parameters": {"generator": 369_601, "discriminator": 166_817},
    "multiply_adds": {"generator": 4_530_176, "iteration": 1_527_775_232.0},
    "images_per_second": 1358.9,
    "peak_memory_gib": 1.044,
}


def member(loss: str, seed: int, value: float, **summary: Any) -> Member:
    return Member(
        path=Path(f"runs/{loss}_s{seed}"),
        settings={"loss.name": loss, "seed": seed},
        figure=Figure("fid10k_fashion", value, PROTOCOL, images=1000),
        summary=SUMMARY | summary,
    )


@pytest.fixture
def comparison() -> Comparison:
    """A loss of two seeds, a slower one, and one of a single seed, its name to be escaped."""
    [found] = compare(
        [
            member("hinge", 0, 2.0),
            member("hinge", 1, 3.0),
            member("wgan_gp", 0, 2.9, seconds=300.0),
            member("wgan_gp", 1, 12.1, seconds=500.0, peak_memory_gib=2.0),
            member("a|b & c%", 0, 20.0),
        ]
    )
    return found


def test_the_table_to_compute_with(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(tables.comma_separated([comparison, comparison]))))

    assert len(rows) == 6
    hinge, wgan, single = rows[:3]
    assert hinge["figure"] == "fid10k_fashion"
    assert hinge["protocol"] == "extractor fashion, features 01234567, generated 10000"
    assert (hinge["group"], hinge["seeds"]) == ("loss=hinge", "2")
    assert float(hinge["mean"]) == 2.5
    # The deviation is sqrt(0.5); Student's t with one degree of freedom is 12.7062.
    assert float(hinge["deviation"]) == pytest.approx(0.5**0.5, abs=1e-12)
    assert float(hinge["low"]) == pytest.approx(2.5 - 12.706204736 / 2, abs=1e-8)
    assert float(hinge["high"]) == pytest.approx(2.5 + 12.706204736 / 2, abs=1e-8)
    assert (float(hinge["best"]), hinge["best run"]) == (2.0, "hinge_s0")
    assert float(hinge["parameters, M"]) == pytest.approx(0.536418)
    assert float(hinge["multiply-adds an iteration, G"]) == pytest.approx(1.527775232)
    assert float(wgan["time, s"]) == 400
    assert float(wgan["memory, GiB"]) == pytest.approx(1.522)
    assert wgan["remarks"] == "not distinct from the best"
    assert single["group"] == "loss=a|b & c%"
    assert (single["low"], single["deviation"], single["energy, kJ"]) == ("", "", "")
    assert single["remarks"] == "one seed"


def test_the_table_to_read(comparison: Comparison) -> None:
    title, empty, head, rule, *body = tables.markdown(comparison).splitlines()

    assert title == "fid10k_fashion: extractor fashion, features 01234567, generated 10000"
    assert empty == ""
    assert len({len(line) for line in (head, rule, *body)}) == 1
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in (head, rule, *body)
    ]
    assert rows[0][:5] == ["group", "seeds", "fid10k_fashion", "95 % interval", "best"]
    assert rows[0][5:] == [
        "time, s",
        "parameters, M",
        "multiply-adds an iteration, G",
        "images/s",
        "memory, GiB",
        "best run",
        "remarks",
    ]
    assert rows[1] == ["---"] + ["---:"] * 9 + ["---"] * 2
    # Four digits of the largest mean, 20.
    assert rows[2][:5] == ["loss=hinge", "2", "2.50", "-3.85 to 8.85", "2.00"]
    assert rows[2][5:] == ["100", "0.536", "1.53", "1,359", "1.04", "hinge_s0", ""]
    assert rows[4][0] == "loss=a\\|b & c%"
    assert rows[4][3] == ""


def test_the_table_for_a_paper(comparison: Comparison) -> None:
    lines = tables.latex(comparison).splitlines()

    assert lines[0].startswith("% fid10k_fashion: extractor fashion")
    assert lines[1] == r"\begin{tabular}{lrrrrrrrrrl}"
    assert lines[2] == r"\toprule"
    assert lines[3].startswith(r"group & seeds & fid10k\_fashion & 95 \% interval & best")
    assert lines[4] == r"\midrule"
    assert lines[5].startswith(r"\textbf{loss=hinge} & 2 & \textbf{2.50} & -3.85 to 8.85 & 2.00 &")
    assert lines[6].startswith(r"loss=wgan\_gp & 2 & 7.50 &")
    assert lines[7].startswith(r"loss=a|b \& c\% & 1 & 20.00 &  & 20.00 &")
    assert lines[8:] == [r"\bottomrule", r"\end{tabular}"]
    rows = [lines[3], *lines[5:8]]
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {11}
    assert all(row.endswith(r" \\") for row in rows)


def test_costs_that_are_not_known_are_left_out() -> None:
    runs = [member("a", 0, 1.0, energy_joules=5000.0), member("a", 1, 1.0)]
    bare = [Member(run.path, run.settings, run.figure, {}) for run in runs]
    [known], [partly], [none] = compare(runs[:1]), compare(runs), compare(bare)

    assert tables.cost(known.groups[0], tables.COSTS[4]) == 5
    assert "energy, kJ" in next(tables.rows(known))
    assert tables.cost(partly.groups[0], tables.COSTS[4]) is None
    assert "energy, kJ" not in next(tables.rows(partly))
    assert next(tables.rows(none)) == [
        *("group", "seeds", "fid10k_fashion", "95 % interval", "best", "best run", "remarks")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00123456, "0.001235"), (9.87654, "9.877"), (12345.6, "12346"), (0, "0.000")],
)
def test_figures_are_shown_in_four_digits(value: float, text: str) -> None:
    [found] = compare([member("a", 0, value)])

    assert list(tables.rows(found))[1][2] == text
