from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch_fidelity.metric_prc import prc_features_to_metric

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics import neighbours
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.prdc import PRDC
from touchstone.metrics.sets import ImageSet, Sets, Stored


class Table(Extractor):
    """Looks an image of one pixel up in a table of features, up to 256 rows."""

    name = fingerprint = "table"

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = rows
        self.num_features = rows.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        return self.rows[images.flatten().long()]


def sets(generated: Tensor, real: Tensor) -> tuple[Table, Sets]:
    """The two sets of features `(n, F)`, as images and what extracts them."""
    indices = torch.arange(len(generated) + len(real), dtype=torch.uint8).view(-1, 1, 1, 1)
    split = (indices[: len(generated)], indices[len(generated) :])
    fake, reference = (
        ImageSet(Stored(Images(pixels, None, ())), name)
        for pixels, name in zip(split, ("generated", "reference"), strict=True)
    )
    return Table(torch.cat([generated, real]).float()), Sets(fake, reference)


def figures(generated: Tensor, real: Tensor, near: int = 1, wide: int = 1) -> dict[str, float]:
    extractor, both = sets(generated, real)
    metric = PRDC(extractor, near, wide)
    metric.check(both)
    return metric(both)


def random(number: int, seed: int, features: int = 8) -> Tensor:
    return torch.randn(number, features, generator=torch.Generator().manual_seed(seed))


def test_points_on_a_line_worked_out_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    fake = torch.tensor([[0.5], [0.6], [3.5], [30.0]])
    found = figures(fake, real)
    # k = 1: balls [-1, 1], [0, 2], [1, 3], [2, 18]. 0.5 and 0.6 lie in two, 3.5 in one, 30 in none.
    assert found["precision"] == 3 / 4
    assert found["density"] == (2 + 2 + 1 + 0) / 4
    assert found["coverage"] == 3 / 4  # [1, 3] is empty
    # Generated balls [.4, .6], [.5, .7], [.6, 6.4], [3.5, 56.5] hold 1, 2 and 10, not 0.
    assert found["recall"] == 3 / 4
    # k = 2: balls [-2, 2], [0, 2], [0, 4], [1, 19] hold 3, 3, 2 and 0 times the four.
    found = figures(fake, real, near=1, wide=2)
    assert found["density"] == (3 + 3 + 2 + 0) / (2 * 4)
    assert found["coverage"] == 1
    assert list(found) == ["precision", "recall", "density", "coverage"]


def test_points_of_a_plane_worked_out_by_hand() -> None:
    # A unit square, whose balls reach to the next corners and hold three: their surface counts.
    square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    middle = torch.full((4, 2), 0.5)
    found = figures(middle, square)
    # The middle is sqrt(1/2) from all corners: in all 4 balls. Its own balls are points.
    assert found == {"precision": 1, "recall": 0, "density": 4, "coverage": 1}
    # Half a side to the left, two are 1/2 from one corner and two from two, 1.118 from the next.
    left = square - torch.tensor([0.5, 0.0])
    assert figures(left, square)["density"] == (1 + 2 + 1 + 2) / 4
    # Far away nothing is near, and on the square itself everything is.
    assert set(figures(square + 9, square).values()) == {0}
    same = figures(square, square)
    assert same == {"precision": 1, "recall": 1, "density": 3, "coverage": 1}


@pytest.mark.parametrize("shift", [0, 0.5, 1, 2])
def test_precision_and_recall_equal_torch_fidelitys(shift: float) -> None:
    fake, real = shift + 0.7 * random(120, 0), random(120, 1)
    theirs = prc_features_to_metric(
        fake,
        real,
        prc_neighborhood=3,
        prc_batch_size=10_000,
        save_cpu_ram=False,
        verbose=False,
    )
    ours = figures(fake, real, near=3, wide=5)
    assert ours["precision"] == pytest.approx(theirs["precision"], abs=1e-7)
    assert ours["recall"] == pytest.approx(theirs["recall"], abs=1e-7)
    assert 0 < ours["recall"] < 1


def test_density_and_coverage_equal_their_equations() -> None:
    fake, real = 0.3 + 0.7 * random(90, 0), random(90, 1)
    apart = torch.cdist(real.double(), fake.double())
    radius = torch.cdist(real.double(), real.double()).sort(1).values[:, 5]
    density = sum(float(apart[i, j] <= radius[i]) for i in range(90) for j in range(90)) / (5 * 90)
    coverage = sum(float(apart[i].min() <= radius[i]) for i in range(90)) / 90
    found = figures(fake, real, near=3, wide=5)
    assert found["density"] == pytest.approx(density, abs=1e-12)
    assert found["coverage"] == pytest.approx(coverage, abs=1e-12)
    assert found["density"] > 1 > found["coverage"]


def test_the_size_of_blocks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real = 0.5 + random(97, 0), random(97, 1)
    whole = figures(fake, real, near=3, wide=5)
    monkeypatch.setattr(neighbours, "ROWS", 13)
    monkeypatch.setattr(neighbours, "COLUMNS", 7)
    assert figures(fake, real, near=3, wide=5) == whole


def test_as_many_of_the_larger_set_as_the_smaller_has() -> None:
    fake, real = random(40, 0), random(160, 1)
    chosen = torch.randperm(160, generator=torch.Generator().manual_seed(0))[:40]
    assert figures(fake, real, 3, 5) == figures(fake, real[chosen], 3, 5)
    assert figures(real, fake, 3, 5) == figures(real[chosen], fake, 3, 5)


def test_what_cannot_be_computed_is_refused() -> None:
    extractor, both = sets(random(6, 0), random(4, 1))
    with pytest.raises(UsageError, match=r"reference: 4 .*prdc\.coverage_neighbours=5.* 6 or more"):
        PRDC(extractor).check(both)
    with pytest.raises(UsageError, match=r"generated: 6 .*prdc\.neighbours=6.* 7 or more"):
        PRDC(extractor, 6, 1).check(both)
    with pytest.raises(UsageError, match=r"prdc\.neighbours=0: it has to be 1 or more"):
        PRDC(extractor, neighbours=0)


def test_the_configuration_has_the_papers_settings() -> None:
    settings = OmegaConf.load(Path(__file__).parents[2] / "conf" / "metrics" / "prdc.yaml")
    made = settings.figures.prdc
    assert (made.neighbours, made.coverage_neighbours) == (3, 5)
