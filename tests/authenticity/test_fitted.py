from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from touchstone.authenticity.detectors.detector import Detector
from touchstone.authenticity.fitted import Fitted, fitted
from touchstone.data.images import Images
from touchstone.data.split import Split
from touchstone.trained import Trained


class Distance(Detector):
    """The distance to the mean genuine sample."""

    mean: Tensor
    fits = 0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(0))

    def fit(self, genuine: Split) -> None:
        type(self).fits += 1
        # Not contiguous, and a part of a larger storage: a file holds what is seen of it.
        whole = genuine.batch(torch.arange(len(genuine)))[0].mean(0).expand(2, -1, -1, -1)
        self.mean = whole[0].transpose(1, 2)

    def score(self, samples: Tensor) -> Tensor:
        return (samples - self.mean.transpose(1, 2)).square().sum((1, 2, 3))


def images(seed: int, number: int) -> Images:
    pixels = torch.randint(256, (number, 1, 4, 6), generator=torch.Generator().manual_seed(seed))
    return Images(pixels.byte(), None, ())


GENUINE, HELD_OUT = images(0, 30), images(1, 20)


def made(path: Path, **made_of: object) -> Fitted:
    detector = Distance()
    detector.prepare(Trained(nn.Identity()), (1, 4, 6))
    return fitted(detector, GENUINE, HELD_OUT, name="distance", made_of=made_of, path=path)


def test_it_is_fitted_once_for_the_same_and_anew_for_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "detectors" / "distance.safetensors"
    Distance.fits = 0
    first, second = made(path, weights=["a"], k=1), made(path, k=1, weights=["a"])
    assert Distance.fits == 1
    said = "distance learns from 30 genuine items and is calibrated on 20 others\n"
    assert capsys.readouterr().err == said
    samples = HELD_OUT.batch(torch.arange(20))[0]
    for one in (first, second):
        assert not one.detector.training
        assert one.calibration.scores.equal(one.detector.score(samples))
    assert first.calibration.scores.equal(second.calibration.scores)
    made(path, weights=["b"], k=1)
    made(path, weights=["b"], k=2)
    assert Distance.fits == 3
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_file_is_made_anew(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "distance.safetensors"
    first = made(path)
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:-40])
    else:
        path.write_bytes(whole.replace(b"detector.mean", b"detector.meam"))
    again = made(path)
    assert f"{path}: damaged, and is made anew" in capsys.readouterr().err
    assert again.calibration.scores.equal(first.calibration.scores)
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "detectors").write_text("a file where the folder would be")
    one = made(tmp_path / "detectors" / "distance.safetensors")
    assert len(one.calibration.scores) == 20
    assert "cannot be written" in capsys.readouterr().err
