"""The protocol of the report, on one class of digits against the rest."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import PIL.Image
import pytest
import torch
from PIL.Image import Image

from touchstone.authenticity.calibration import Calibration
from touchstone.authenticity.detectors.detector import Detector, scores
from touchstone.authenticity.detectors.mahalanobis import Mahalanobis
from touchstone.authenticity.figures import figures
from touchstone.authenticity.metric import Detection, attacks, by_attack
from touchstone.data import digits, image_folder, one_class
from touchstone.data.images import Images
from touchstone.data.subset import rest, subset
from touchstone.errors import UsageError
from touchstone.metrics.protocol import Protocol
from touchstone.metrics.sets import Drawn, ImageSet, Sets, Splits
from touchstone.networks.dcgan import Discriminator, Generator
from touchstone.tracking.run import Run
from touchstone.trained import Trained

load = partial(one_class.load, source=digits.load, genuine="0")


@pytest.fixture(scope="module")
def sets() -> Sets:
    torch.manual_seed(0)
    generator, discriminator = Generator(8, 32, 1, width=4), Discriminator(32, 1, width=4)
    splits = Splits(load, device="cpu", cache=None)
    drawn = ImageSet(Drawn(generator, 10, seed=0, device="cpu"), "generated")
    return Sets(drawn, splits("train"), splits, discriminator)


def test_figures_are_those_of_the_scores_of_each_attack(sets: Sets) -> None:
    metric = Detection({"mahalanobis": Mahalanobis()}, subset=100, false_alarms=0.05)
    metric.check(sets)
    found = metric(sets)
    assert next(iter(found)) == "detection"

    train, test = load(split="train"), load(split="test")
    assert sets.discriminator is not None
    detector = Mahalanobis()
    detector.prepare(Trained(torch.nn.Identity(), sets.discriminator.eval()), (1, 32, 32))
    detector.fit(subset(train, 100))
    threshold = Calibration(scores(detector, rest(train, 100))).threshold(0.05)
    genuine, forged = by_attack(scores(detector, test), train, test)
    assert sorted(forged) == list("123456789")
    for attack, theirs in forged.items():
        for name, value in figures(genuine, theirs, threshold).items():
            assert found[f"detection/mahalanobis/{attack}/{name}"] == pytest.approx(value)
        low, high = (
            found[f"detection/mahalanobis/{attack}/auroc/{end}"] for end in ("low", "high")
        )
        assert low <= found[f"detection/mahalanobis/{attack}/auroc"] <= high  # type: ignore[operator]
    areas = [found[f"detection/mahalanobis/{attack}/auroc"] for attack in forged]
    assert found["detection"] == found["detection/mahalanobis"] == pytest.approx(sum(areas) / 9)  # type: ignore[arg-type]
    pictures = [name for name, value in found.items() if isinstance(value, Image)]
    assert pictures == ["detection/scores", "detection/roc"]
    assert {k: v for k, v in metric(sets).items() if k not in pictures} == {
        k: v for k, v in found.items() if k not in pictures
    }


def test_attacks_are_the_classes_that_training_does_not_show() -> None:
    pixels, names = torch.zeros(4, 1, 2, 2, dtype=torch.uint8), ("a", "b", "c")
    train = Images(pixels, torch.tensor([1, 1, 1, 1]), names)
    test = Images(pixels, torch.tensor([0, 1, 2, 1]), names)
    assert attacks(train, test) == [0, 2]
    genuine, forged = by_attack(torch.arange(4.0), train, test)
    assert genuine.tolist() == [1, 3]
    assert {name: scores.tolist() for name, scores in forged.items()} == {"a": [0], "c": [2]}


def test_a_figure_counts_no_generated_images(sets: Sets) -> None:
    metric = Detection({"mahalanobis": Mahalanobis()}, subset=100)
    assert Protocol(10_000, "train", 0).name("detection/x/auroc", metric) == "detection/x/auroc"


@pytest.mark.parametrize(
    ("shown", "says"), [(None, "subset=114"), (140, "it takes 99 genuine items")]
)
def test_it_needs_items_that_were_held_out(sets: Sets, shown: int | None, says: str) -> None:
    detectors: dict[str, Detector] = {"mahalanobis": Mahalanobis()}
    with pytest.raises(UsageError, match=says):
        Detection(detectors, shown).check(sets)


def test_it_needs_detectors_and_attacks(sets: Sets) -> None:
    with pytest.raises(UsageError, match=r"detector=\[mahalanobis\]"):
        Detection({}, subset=10)
    splits = Splits(digits.load, device="cpu", cache=None)
    whole = Sets(sets.generated, splits("train"), splits, sets.discriminator)
    with pytest.raises(UsageError, match="every class of the test split"):
        Detection({"mahalanobis": Mahalanobis()}, subset=1_000).check(whole)


def test_a_run_records_it_like_any_metric(train: Callable[..., Path], tmp_path: Path) -> None:
    words = "data=one_class data@data.source=digits data.genuine=0 subset=40 model.width=4"
    more = "images=128 batch_size=32 metrics=[detection] detector=[discriminator,neighbours]"
    run = Run(train(*words.split(), *more.split()))
    recorded = {figure.name: figure for figure in run.figures()}
    assert recorded["detection"].higher_is_better
    assert recorded["detection"].value == recorded["detection/discriminator"].value
    assert not recorded["detection/discriminator/1/apcer"].higher_is_better
    # No checkpoint is chosen by how it tells the test split's counterfeits.
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["last.ckpt"]
    assert "best" not in run.summary
    protocol = recorded["detection"].protocol
    assert protocol["false_alarms"] == 0.01
    assert protocol["detectors"] == "discriminator, neighbours(neighbours=5)"
    assert {f"detection/neighbours/{attack}/apcer" for attack in range(1, 10)} < recorded.keys()
    shown = {path.name for path in (run.path / "detection").iterdir()}
    assert shown == {"roc", "scores"}


def test_mvtecs_folders_have_their_defects_as_attacks(tmp_path: Path) -> None:
    """Bergmann et al. 2019: train/good, test/good, test/DEFECT and ground_truth/DEFECT."""
    for place in ("train/good", "test/good", "test/scratch", "ground_truth/scratch"):
        (tmp_path / "bottle" / place).mkdir(parents=True)
        for number in range(2):
            picture = PIL.Image.new("RGB", (8, 8), (10 * number, 0, 0))
            picture.save(tmp_path / "bottle" / place / f"00{number}.png")
    train, test = (
        image_folder.load(tmp_path / "bottle", tmp_path / "cache", split, resolution=8)
        for split in ("train", "test")
    )
    assert (len(train), len(test)) == (2, 4)
    genuine, forged = by_attack(torch.arange(4.0), train, test)
    assert genuine.tolist() == [0, 1]
    assert {name: scores.tolist() for name, scores in forged.items()} == {"scratch": [2, 3]}
