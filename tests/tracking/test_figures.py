import json
from pathlib import Path
from typing import Any

import pytest

from touchstone.errors import UsageError
from touchstone.tracking.figures import Figure, comparable
from touchstone.tracking.run import Run


def figure(value: float = 2.5, name: str = "fid10k_fashion", **protocol: Any) -> Figure:
    stated = {"extractor": "fashion", "generated": 10_000, "reference": "train", **protocol}
    return Figure(name, value, stated, "c0ffee", 6400, "2026-11-22T12:00:00+00:00")


def test_figures_are_added_to_the_runs_record_a_line_each(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "run", "", {})
    assert list(run.figures()) == []
    run.record([figure(), figure(3.5)])
    run.record([figure(1.5, reference="test")])
    assert list(run.figures()) == [figure(), figure(3.5), figure(1.5, reference="test")]
    first = json.loads((run.path / "figures.jsonl").read_text().splitlines()[0])
    assert first["value"] == 2.5
    assert first["protocol"]["generated"] == 10_000
    assert first["generator"] == "c0ffee"


def test_figures_of_one_protocol_are_comparable() -> None:
    comparable([figure(2.5), figure(3.5)])
    comparable([figure()])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (figure(generated=50_000), "two protocols, with generated 10000 and 50000"),
        (figure(reference="test"), "with reference train and test"),
        (figure(neighbours=3), "with neighbours None and 3"),
        (figure(name="kid10k_fashion"), "fid10k_fashion and kid10k_fashion are different figures"),
    ],
)
def test_figures_of_different_protocols_are_not(other: Figure, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        comparable([figure(), other])
    with pytest.raises(UsageError, match="not comparable"):
        comparable([figure(), figure(), other])
