from functools import partial

import pytest
import torch
from torch import nn

from touchstone.authenticity.examination import check, examined, features, features_of
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.networks import dcgan, stylegan2
from touchstone.networks.heads import MinibatchDiscrimination, Projection
from touchstone.trained import Trained

SHAPE = (1, 8, 8)


def run(discriminator: nn.Module | None) -> Trained:
    return Trained(nn.Identity(), None if discriminator is None else discriminator.eval())


@pytest.mark.parametrize(
    "discriminator",
    [
        dcgan.Discriminator(8, 1, width=4),
        dcgan.Discriminator(8, 1, width=4, head=MinibatchDiscrimination),
        stylegan2.Discriminator(8, 1, width=8),  # whose deviation is the minibatch's
    ],
)
def test_each_sample_is_judged_by_itself(discriminator: nn.Module) -> None:
    trained = run(discriminator)
    samples = torch.randn(5, *SHAPE)
    together = examined(trained, samples)
    assert together["logits"].shape == (5,)
    for index in range(5):
        alone = discriminator.examine(samples[index : index + 1])  # type: ignore[operator]
        for name, value in together.items():
            torch.testing.assert_close(value[index : index + 1], alone[name])


def test_features_of_a_split_are_those_of_its_samples() -> None:
    trained = run(dcgan.Discriminator(8, 1, width=4))
    images = Images(torch.randint(0, 256, (300, *SHAPE)).byte(), None, ())
    samples, _ = images.batch(torch.arange(300))
    found = features_of(trained, images)
    torch.testing.assert_close(found, features(trained, samples))
    assert not found.requires_grad
    assert not found.is_inference()


@pytest.mark.parametrize(
    ("discriminator", "why"),
    [
        (None, "an exported generator"),
        (nn.Linear(2, 1), "Linear has no method examine"),
        (
            dcgan.Discriminator(8, 1, width=4, head=partial(Projection, classes=3)),
            "judges a sample by its label",
        ),
    ],
)
def test_refuses_what_cannot_be_looked_through(discriminator: nn.Module | None, why: str) -> None:
    with pytest.raises(UsageError, match=f"detector=neighbours: .*{why}"):
        check(run(discriminator), SHAPE, "neighbours")
