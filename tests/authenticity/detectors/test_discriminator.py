import torch

from touchstone.authenticity.detectors.discriminator import Discriminator
from touchstone.trained import Trained


def test_the_score_is_minus_the_logit(trained: Trained) -> None:
    detector = Discriminator()
    detector.prepare(trained, (1, 16, 16))
    samples = torch.randn(4, 1, 16, 16)
    assert trained.discriminator is not None
    assert detector.score(samples).equal(-trained.discriminator(samples))
    assert not detector.state_dict()
