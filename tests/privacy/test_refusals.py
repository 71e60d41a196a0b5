"""What cannot be trained privately."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from touchstone.augmentations import AdaptiveAugmentation, InstanceNoise
from touchstone.errors import UsageError
from touchstone.gan import GAN
from touchstone.losses import Relativistic, RelativisticAverage, Vanilla, Wasserstein
from touchstone.networks import dcgan, mlp
from touchstone.networks.heads import Auxiliary, MinibatchDiscrimination
from touchstone.privacy.refusals import refuse
from touchstone.selection import TopK
from touchstone.terms import Critique, Term
from touchstone.terms.classification import Classification
from touchstone.terms.feature_matching import FeatureMatching
from touchstone.terms.penalties import R1, Drift, GradientPenalty, LeCam


def sgd(weights: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(weights, lr=0.1)


def game(loss: Any = None, discriminator: nn.Module | None = None, **settings: Any) -> GAN:
    return GAN(
        mlp.Generator(3, [4], width=4),
        discriminator or mlp.Discriminator([4], width=4, pieces=2),
        loss or Vanilla(),
        optimizers={"generator": sgd, "discriminator": sgd},
        **settings,
    )


def images(normalization: str, **options: Any) -> nn.Module:
    return dcgan.Discriminator(16, 1, width=4, normalization=normalization, **options)


class Neighbours(Term):
    """Says nothing of looking at the whole batch, and does."""

    def discriminator(self, critique: Critique) -> Tensor:
        real, _ = critique.logits
        return (real - real.flip(0)).square().mean()


class Reading(nn.Module):
    """Asks for a number on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        logits = samples @ self.weight
        return logits if float(logits.sum()) > 0 else -logits


REFUSED: dict[str, tuple[dict[str, Any], tuple[int, ...], str]] = {
    "batch normalization": (
        {"discriminator": images("batch")},
        (1, 16, 16),
        r"batch normalization.*model\.normalization=layer",
    ),
    "minibatch discrimination": (
        {"discriminator": images("none", head=lambda width: MinibatchDiscrimination(width, 2, 2))},
        (1, 16, 16),
        "MinibatchDiscrimination.*together",
    ),
    "relativistic": ({"loss": Relativistic()}, (4,), "Relativistic.*generator's update"),
    "relativistic average": ({"loss": RelativisticAverage()}, (4,), "generator's update"),
    "relativistic, selected": ({"loss": TopK(Relativistic())}, (4,), "generator's update"),
    "lecam": ({"terms": {"lecam": LeCam(0.3)}}, (4,), "lecam.*batch as a whole"),
    "feature matching": (
        {"terms": {"match": FeatureMatching(1)}},
        (4,),
        "match.*would see records",
    ),
    "classification": (
        {
            "terms": {"acgan": Classification(1)},
            "discriminator": mlp.Discriminator(
                [4], width=4, pieces=2, head=lambda width: Auxiliary(width, 3)
            ),
        },
        (4,),
        "acgan.*labels",
    ),
    "ada": (
        {"augmentation": AdaptiveAugmentation()},
        (4,),
        "AdaptiveAugmentation.*augmentation=none",
    ),
    "a term that does not say so": ({"terms": {"near": Neighbours(1)}}, (4,), "another's"),
    "a network that reads": ({"discriminator": Reading()}, (4,), "cannot be copied"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    settings, shape, message = REFUSED[what]
    with pytest.raises(UsageError, match=f"^privacy=dp.*{message}"):
        refuse(game(**settings), shape)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss": TopK(Wasserstein())},
        {"terms": {"gp": GradientPenalty(10), "r1": R1(1), "drift": Drift(1)}},
        {"augmentation": InstanceNoise()},
        {"discriminator": mlp.Discriminator([4], width=4, pieces=2, normalization="spectral")},
    ],
    ids=str,
)
def test_accepted_and_left_as_it_was(settings: dict[str, Any]) -> None:
    gan = game(**settings)
    before = {name: each.clone() for name, each in gan.state_dict().items()}
    refuse(gan, (4,))
    assert all(torch.equal(each, before[name]) for name, each in gan.state_dict().items())
