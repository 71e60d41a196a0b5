import math

import pytest
import torch
from torch import Tensor

from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.metrics.extractors import Extractor
from touchstone.metrics.fid import FID, bootstrap, extrapolation
from touchstone.metrics.gaussian import Gaussian, frechet_distance
from touchstone.metrics.sets import ImageSet, Sets, Stored


class Table(Extractor):
    """Looks an image of one pixel up in a table of features, up to 256 rows."""

    name, fingerprint = "table", "table"

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = rows
        self.num_features = rows.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        return self.rows[images.flatten().long()]


def chosen(name: str, start: int, stop: int) -> ImageSet:
    """The images that look up the rows from `start` to `stop`."""
    pixels = torch.arange(start, stop, dtype=torch.uint8).view(-1, 1, 1, 1)
    return ImageSet(Stored(Images(pixels, None, ())), name)


TABLE = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
TABLE[100:] = 1 + 2 * TABLE[100:]


def test_it_is_the_distance_of_the_sets_gaussians() -> None:
    fid = FID(Table(TABLE))
    sets = Sets(chosen("fake", 100, 256), chosen("real", 0, 100))
    fid.check(sets)
    by_hand = frechet_distance(Gaussian.of(TABLE[100:]), Gaussian.of(TABLE[:100]))
    assert fid(sets) == {"fid": by_hand}
    assert by_hand == pytest.approx(8, abs=2)


def test_batches_and_their_order_do_not_matter() -> None:
    pixels = torch.arange(100, 256, dtype=torch.uint8).repeat(5).view(-1, 1, 1, 1)
    mixed = pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(1))]
    first, second = (
        FID(Table(TABLE))(
            Sets(ImageSet(Stored(Images(order, None, ())), "fake"), chosen("real", 0, 100))
        )
        for order in (pixels, mixed)
    )
    assert first["fid"] == pytest.approx(second["fid"], rel=1e-12)


@pytest.mark.parametrize(("interval", "names"), [
    ("extrapolation", {"fid", "fid/infinity", "fid/infinity_error"}),
    ("bootstrap", {"fid", "fid/low", "fid/high"}),
    (None, {"fid"}),
])  # fmt: skip
def test_the_interval_is_the_one_that_is_named(interval: str | None, names: set[str]) -> None:
    figures = FID(Table(TABLE), interval)(Sets(chosen("fake", 100, 256), chosen("real", 0, 100)))
    assert set(figures) == names
    assert next(iter(figures)) == "fid"
    if interval == "bootstrap":
        assert figures["fid/low"] < figures["fid"] < figures["fid/high"]


REAL = Gaussian(torch.zeros(8).double(), torch.eye(8).double())


def drawn(number: int, seed: int) -> Tensor:
    """Features of N(1, 4 I) in 8 dimensions, 16 away from N(0, I)."""
    return 1 + 2 * torch.randn(number, 8, generator=torch.Generator().manual_seed(seed))


def test_extrapolation_takes_the_bias_away_and_states_its_error() -> None:
    plain, infinite, errors = [], [], []
    for seed in range(100):
        features = drawn(200, seed)
        said = extrapolation(features, REAL)
        plain.append(frechet_distance(Gaussian.of(features), REAL))
        infinite.append(said["infinity"])
        errors.append(said["infinity_error"])
    # The mean of 100 is known to a tenth of the deviation, 0.12.
    assert sum(plain) / 100 == pytest.approx(16.4, abs=0.3)
    assert sum(plain) / 100 > 16.2
    assert sum(infinite) / 100 == pytest.approx(16, abs=0.3)
    assert sum(errors) / 100 == pytest.approx(float(torch.tensor(infinite).std()), rel=0.25)
    assert extrapolation(drawn(200, 0), REAL) == extrapolation(drawn(200, 0), REAL)


def test_the_bootstraps_interval_holds_another_draws_distance_19_times_in_20() -> None:
    distances = torch.tensor(
        [frechet_distance(Gaussian.of(drawn(400, seed)), REAL) for seed in range(300)]
    )
    spread = float(distances.quantile(0.975) - distances.quantile(0.025))
    widths, hits = [], list[bool]()
    for seed in range(40):
        said = bootstrap(drawn(400, seed), REAL, 100)
        widths.append(said["high"] - said["low"])
        hits.append(said["low"] < float(distances.mean()) < said["high"])
    assert sum(widths) / 40 == pytest.approx(spread, rel=0.15)
    assert sum(hits) >= 34  # 38 are expected of 40


def test_too_few_images_are_refused() -> None:
    fid = FID(Table(TABLE))
    with pytest.raises(UsageError, match=r"^fake: 3 images are too few: metrics=fid .* 4$"):
        fid.check(Sets(chosen("fake", 0, 3), chosen("real", 0, 4)))
    with pytest.raises(UsageError, match=r"^real: 1 images are too few"):
        fid.check(Sets(chosen("fake", 0, 4), chosen("real", 0, 1)))
    single = FID(Table(TABLE[:, :1]))
    with pytest.raises(UsageError, match="too few"):
        single.check(Sets(chosen("fake", 0, 1), chosen("real", 0, 4)))


def test_an_interval_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match=r"metrics\.interval=guess: .*extrapolation or bootstrap"):
        FID(Table(TABLE), "guess")


def test_features_that_are_not_finite_are_refused() -> None:
    for bad in (math.nan, math.inf):
        table = TABLE.clone()
        table[17, 2] = bad
        with pytest.raises(UsageError, match="table gave a feature that is not finite"):
            FID(Table(table))(Sets(chosen("fake", 0, 32), chosen("real", 32, 64)))
