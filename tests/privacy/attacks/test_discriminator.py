"""The discriminator's attack: the logit, whatever the blocks."""

import torch
from torch import nn

from touchstone.privacy.attacks.attack import Evidence
from touchstone.privacy.attacks.discriminator import BLOCK, Discriminator


def test_the_score_is_the_logit_of_each_record() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 1), nn.Flatten(0))
    records = torch.randn(2 * BLOCK + 3, 5)
    none = torch.empty(0, 5)
    scores = Discriminator(network)(records, Evidence(none, none))
    torch.testing.assert_close(scores, network(records).detach().double())
    assert scores.dtype == torch.float64
    assert not scores.requires_grad
