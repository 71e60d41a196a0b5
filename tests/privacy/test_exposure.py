"""Exposure: the distance to the nearest of a population."""

import torch

from touchstone.privacy.exposure import exposure


def test_distances_by_hand() -> None:
    population = torch.tensor([[0.0, 0], [6, 8]])
    assert exposure(torch.tensor([[3.0, 4], [6, 9], [0, 0]]), population).tolist() == [5, 1, 0]
