"""The benchmark of printed codes."""

from pathlib import Path

import pytest
import torch

from touchstone.data.printed_codes import CLASSES, codes, forged, load
from touchstone.errors import UsageError

SMALL = {"train": 30, "test": 20, "forged": 200}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def test_genuine_prints_beside_their_templates(folder: Path) -> None:
    images = load(folder, "train", resolution=24, items=SMALL)
    assert images.pixels.shape == (30, 2, 24, 24)
    assert images.labels is not None
    assert images.labels.eq(0).all()
    templates = images.pixels[:, 1]
    assert set(templates.flatten().tolist()) == {0, 255}
    assert torch.equal(templates[:, ::3, ::3], templates[:, 2::3, 2::3])
    # Dark where the template is black.
    pictures = images.pixels[:, 0].float()
    assert pictures[templates == 0].mean() + 60 < pictures[templates == 255].mean()


def test_counterfeits_of_every_kind_beside_the_same_genuine_templates(folder: Path) -> None:
    images = load(folder, "test", resolution=24, items=SMALL)
    assert images.labels is not None
    assert images.classes == CLASSES
    assert images.labels.bincount().tolist() == [20] * 5
    templates = images.pixels[:, 1].view(5, 20, 24, 24)
    assert all(torch.equal(templates[0], others) for others in templates)
    made = codes(folder, "test", "fine", 24, "none", 0, SMALL)
    wrong = made.misprints.float().view(5, -1).mean(1)
    assert wrong[:2].eq(0).all()
    assert 0 < wrong[3] < wrong[2]  # a network reads better than a vote
    assert wrong[3] == wrong[4]


def test_no_template_occurs_in_two_splits(folder: Path) -> None:
    splits = (
        load(folder, "train", resolution=24, items=SMALL),
        load(folder, "test", resolution=24, items=SMALL),
        forged(folder, resolution=24, items=SMALL),
    )
    templates = [{t.numpy().tobytes() for t in split.pixels[:, 1]} for split in splits]
    assert [len(each) for each in templates] == [30, 20, 200]
    assert not (templates[0] & templates[1] | templates[1] & templates[2])


def test_the_same_again_and_others_for_another_seed(folder: Path, tmp_path: Path) -> None:
    first = load(folder, "train", resolution=24, items=SMALL)
    again = load(tmp_path, "train", resolution=24, items=SMALL)
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(
        first.pixels, load(tmp_path, "train", resolution=24, seed=1, items=SMALL).pixels
    )


def test_layers(folder: Path) -> None:
    plain, waves, squares = (
        load(folder, "train", resolution=72, layer=layer, items=SMALL).pixels
        for layer in ("none", "guilloche", "qr")
    )
    assert waves[:, 0].float().mean() < plain[:, 0].float().mean() - 2  # more ink
    corners = squares[:, 1, :24, :24]
    assert corners.eq(corners[0]).all()
    # The finder pattern of ISO/IEC 18004: a ring of 7x7, white, a square of 3x3 = 33 of 49 black.
    assert int((corners[0, 1:21:3, 1:21:3] == 0).sum()) == 33


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"level": "fin"}, "data.level=fin: it has to be coarse or medium or fine"),
        ({"layer": "dots"}, "data.layer=dots"),
        ({"resolution": 50}, "data.resolution=50"),
        ({"resolution": 60, "layer": "qr"}, "63, 66"),
        ({"split": "valid"}, "split=valid"),
    ],
)
def test_what_there_is_not(folder: Path, settings: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load(folder, **settings)  # type: ignore[arg-type]
