from typing import Any

import pytest
import torch

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.extractors import load
from touchstone.metrics.fid import FID
from touchstone.metrics.kid import KID
from touchstone.metrics.protocol import Protocol
from touchstone.metrics.sets import ImageSet, Sets, Stored

FASHION = load("fashion")


def protocol(**changes: Any) -> Protocol:
    return Protocol(**{"generated": 10_000, "reference": "train", "seed": 0, **changes})


def test_a_figures_name_carries_the_protocol() -> None:
    fid = FID(FASHION)
    assert {count: protocol(generated=count).name("fid", fid) for count in (500, 1500, 50_000)} == {
        500: "fid500_fashion",
        1500: "fid1500_fashion",
        50_000: "fid50k_fashion",
    }
    assert protocol(reference="test").name("fid/low", fid) == "fid10k_fashion_test/low"

    assert protocol(truncation=0.5).name("fid", fid) == "fid10k_fashion_t0.5"
    both = protocol(reference="test", truncation=1, standing=100)
    assert both.name("fid/low", fid) == "fid10k_fashion_test_t1_standing100/low"

    class Pixels:
        higher_is_better = False
        extractor = None

        def check(self, sets: Sets) -> None: ...

        def __call__(self, sets: Sets) -> dict[str, float]:
            return {}

    assert protocol().name("swd", Pixels()) == "swd10k"


def test_it_states_all_that_a_figure_depends_on() -> None:
    pixels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    real = ImageSet(Stored(Images(pixels, None, ())), "real")
    stated = protocol(seed=4).of(KID(FASHION, subsets=7), Sets(real, real))
    assert stated == {
        "extractor": "fashion",
        "features": FASHION.fingerprint,
        "generated": 10_000,
        "reference": "train",
        "real": real.source.content_hash,
        "seed": 4,
        "subsets": 7,
        "subset_size": 1000,
    }


def test_truncation_is_stated_where_there_is_any() -> None:
    real = ImageSet(Stored(Images(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), None, ())), "real")
    plain = protocol().of(FID(FASHION), Sets(real, real))
    stated = protocol(truncation=0.5, standing=100).of(FID(FASHION), Sets(real, real))
    assert stated == plain | {"truncation": 0.5, "standing": 100}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generated": 0}, r"protocol\.generated=0: .* 1 or more"),
        ({"generated": 10.5}, r"protocol\.generated=10\.5: .* whole number"),
        ({"generated": True}, r"protocol\.generated=True"),
        ({"seed": -1}, r"protocol\.seed=-1: .* 0 or more"),
        ({"reference": "valid"}, r"protocol\.reference=valid: .* train or test"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        protocol(**changes)
