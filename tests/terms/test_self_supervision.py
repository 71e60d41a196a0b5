from collections import Counter
from functools import partial
from math import log

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from touchstone.draws import Draws
from touchstone.networks.dcgan import Discriminator
from touchstone.networks.heads import Transformations
from touchstone.terms import Critique, Verdict
from touchstone.terms.self_supervision import SelfSupervision
from touchstone.terms.transformations import NUMBER, transformed


class Recorder(nn.Module):
    """Keeps what it is shown, and guesses all transformations alike."""

    def examine(self, samples: Tensor, labels: Tensor | None = None) -> Verdict:
        self.samples, self.labels = samples, labels
        return {"transformations": torch.zeros(len(samples), NUMBER)}


def critique(real: Tensor, network: nn.Module, labels: Tensor | None = None) -> Critique:
    judge = lambda samples: samples.flatten(1).sum(1)  # noqa: E731
    nothing = torch.zeros(1, 1)
    networks = (nn.Identity(), network)
    return Critique(judge, real, real, dict, Draws(0), labels, nothing, networks)  # type: ignore[arg-type]


def test_each_sample_is_shown_in_views_of_its_own_with_its_label() -> None:
    torch.manual_seed(0)
    real, network = torch.randn(5, 2, 8, 8), Recorder()
    value = SelfSupervision(1, views=3).discriminator(
        critique(real, network, labels=torch.arange(5))
    )
    assert_close(value, torch.tensor(log(NUMBER)))
    which = (Draws(0).uniform(5, 3) * NUMBER).long()
    assert len(set(which.flatten().tolist())) > 10
    for sample in range(5):
        shown = network.samples[3 * sample : 3 * sample + 3]
        assert torch.equal(shown, transformed(real[sample].expand(3, -1, -1, -1), which[sample]))
    assert network.labels is not None
    assert network.labels.tolist() == [number for number in range(5) for _ in range(3)]


def test_every_transformation_is_drawn_about_as_often() -> None:
    network = Recorder()
    ramp = torch.arange(64.0).view(1, 1, 8, 8).expand(720, -1, -1, -1)
    SelfSupervision(1, views=10).discriminator(critique(ramp, network))
    counts = Counter(tuple(sample.flatten().tolist()) for sample in network.samples)
    assert len(counts) == NUMBER
    # 7,200 draws: 100 of each, give or take 10; 72 such are within five deviations.
    assert 50 < min(counts.values()) < max(counts.values()) < 150


def test_it_is_the_cross_entropy_and_teaches_the_body() -> None:
    torch.manual_seed(0)
    network = Discriminator(8, 1, 4, "layer", head=partial(Transformations, number=NUMBER))
    real = torch.randn(6, 1, 8, 8)
    value = SelfSupervision(1).discriminator(critique(real, network))
    which = (Draws(0).uniform(6, 1) * NUMBER).long().flatten()
    guesses = network.examine(transformed(real, which))["transformations"]
    assert_close(value, cross_entropy(guesses, which))
    torch.autograd.backward(value)
    gradients = {name: weight.grad for name, weight in network.named_parameters()}
    # The logit has no part in the term.
    assert {name for name, grad in gradients.items() if grad is None} == {
        "head.logit.weight",
        "head.logit.bias",
    }


def test_no_views_are_refused() -> None:
    with pytest.raises(ValueError, match="views=0"):
        SelfSupervision(1, views=0)
