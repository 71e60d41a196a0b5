from math import pi, sin

import pytest
import torch

from touchstone.authenticity.detectors.neighbours import Neighbours
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.trained import Trained


def compass() -> Images:
    """East, north-east, north and west, as pictures of two pixels around grey, not equally long."""
    # 127.5 is 0: a pixel's offset from it has to be a half more than a whole number.
    offsets = torch.tensor([[100.5, 0.5], [60.5, 60.5], [0.5, 30.5], [-90.5, 0.5]])
    return Images((offsets + 127.5).byte().view(4, 1, 1, 2), None, ())


def test_distances_are_between_directions(pixels: Trained) -> None:
    detector = Neighbours(neighbours=2)
    detector.prepare(pixels, (1, 1, 2))
    detector.fit(compass())
    east = torch.tensor([[[[7.0, 0.0]]]])
    indices, distances = detector.nearest(east, 4)
    assert indices.tolist() == [[0, 1, 2, 3]]
    # Chords: |u - v| = 2 sin(angle / 2), of about 0, 45, 90 and 180 degrees.
    expected = [2 * sin(angle * pi / 360) for angle in (0, 45, 90, 180)]
    torch.testing.assert_close(distances, torch.tensor([expected]), rtol=0, atol=0.02)
    assert detector.score(east).item() == pytest.approx(float(distances[0, :2].mean()), abs=1e-6)


def test_an_item_that_it_knows_is_its_own_nearest(trained: Trained, genuine: Images) -> None:
    detector = Neighbours()
    detector.prepare(trained, genuine.shape)
    detector.fit(genuine)
    indices, distances = detector.nearest(genuine.batch(torch.arange(20))[0], 1)
    assert indices[:, 0].equal(torch.arange(20))
    assert distances.lt(1e-5).all()


def test_refuses_what_is_no_number_of_neighbours(pixels: Trained) -> None:
    with pytest.raises(UsageError, match=r"detectors.neighbours.neighbours=0: .* 1 or more"):
        Neighbours(neighbours=0)
    detector = Neighbours()
    detector.prepare(pixels, (1, 1, 2))
    with pytest.raises(UsageError, match="neighbours=5: there are 4 genuine items"):
        detector.fit(compass())
