import math

import pytest
import torch

from touchstone.metrics import neighbours
from touchstone.metrics.neighbours import contained, nearest, radii


@pytest.fixture(params=[(2048, 8192), (7, 5), (1, 1), (64, 3)])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks larger and smaller than the sets, and of sizes that divide neither."""
    monkeypatch.setattr(neighbours, "ROWS", request.param[0])
    monkeypatch.setattr(neighbours, "COLUMNS", request.param[1])


def random(number: int, features: int, seed: int) -> torch.Tensor:
    return torch.randn(number, features, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("blocks")
def test_the_nearest_are_those_of_all_distances() -> None:
    queries, points = random(64, 6, 0), random(50, 6, 1)
    apart = (queries[:, None].double() - points[None].double()).square().sum(2).sqrt()
    distances, indices = nearest(queries, points, 4)
    assert torch.equal(indices, apart.argsort(1)[:, :4])
    torch.testing.assert_close(distances, apart.sort(1).values[:, :4], rtol=1e-12, atol=0)


@pytest.mark.usefixtures("blocks")
def test_a_point_is_not_its_own_neighbour_but_its_copy_is() -> None:
    points = torch.tensor([[0.0], [1.0], [3.0], [3.0], [7.0]])
    expected = [[1, 3], [1, 2], [0, 2], [0, 2], [4, 4]]
    assert radii(points, 2).tolist() == expected


def test_copies_are_at_no_distance_and_near_copies_at_their_own() -> None:
    # In float32 by products, |p|^2 being 2e9, either would be some tens away.
    points = 4096 + (9 * random(300, 128, 0)).round()
    distances, indices = nearest(points + 2**-10, points, 1)
    assert indices[:, 0].tolist() == list(range(300))
    assert distances[:, 0].max() == pytest.approx(math.sqrt(128) * 2**-10, rel=1e-12)
    assert nearest(points, points, 1)[0].max() == 0


@pytest.mark.usefixtures("blocks")
def test_balls_hold_what_lies_in_them_and_on_their_surface() -> None:
    queries = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    centres = torch.tensor([[0.0, 0.0], [6.0, 8.0], [1.0, 0.0]])
    held, holds = contained(queries, centres, torch.tensor([5.0, 4.999, 0.0]))
    assert held.tolist() == [1, 1, 2]
    assert holds.tolist() == [3, 0, 1]


@pytest.mark.usefixtures("blocks")
def test_balls_hold_those_that_all_distances_say() -> None:
    queries, centres = random(64, 6, 0), random(50, 6, 1)
    radius = radii(centres, 3)[:, 2]
    inside = torch.cdist(queries.double(), centres.double()) <= radius
    held, holds = contained(queries, centres, radius)
    assert torch.equal(held, inside.sum(1))
    assert torch.equal(holds, inside.sum(0))
    assert 0 < inside.sum() < inside.numel()


def test_rounding_loses_no_point_on_a_surface() -> None:
    # Each ball reaches exactly to its nearest other, which the products put in or out by chance.
    points = 100 * random(500, 32, 0)
    distances, indices = nearest(points, points, 2)
    held, _ = contained(points, points, distances[:, 1])
    others = indices[:, 1].bincount(minlength=500)
    assert torch.equal(held, others + 1)
    assert contained(points, points, torch.zeros(500))[0].tolist() == [1] * 500
