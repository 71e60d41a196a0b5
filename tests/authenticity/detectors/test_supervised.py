"""A classifier that was shown counterfeits."""

from functools import partial

import torch

from touchstone.authenticity.detectors.detector import scores
from touchstone.authenticity.detectors.supervised import Supervised
from touchstone.data.digits import load
from touchstone.data.images import Images
from touchstone.networks.dcgan import Discriminator
from touchstone.trained import Trained

network = partial(Discriminator, 32, 1, width=4)


def digits(*which: int) -> Images:
    images = load()
    assert images.labels is not None
    return images.take(torch.isin(images.labels, torch.tensor(which)).nonzero()[:, 0])


def fitted(*shown: int, leave_out: str | None = None) -> Supervised:
    detector = Supervised(network, partial(digits, *shown), leave_out, iterations=40)
    detector.prepare(Trained(torch.nn.Identity()), (1, 32, 32))
    detector.fit(digits(0))
    return detector


def test_it_tells_what_it_was_shown_and_less_of_what_it_was_not() -> None:
    from touchstone.authenticity.figures import auroc

    genuine, seven = digits(0), digits(7)
    whole, without = fitted(1, 7), fitted(1, 7, leave_out="7")
    areas = [auroc(scores(one, genuine), scores(one, seven)) for one in (whole, without)]
    assert areas[0] > 0.98
    assert areas[1] < areas[0]
    # As if there were none of the kind that is left out.
    assert torch.equal(scores(without, seven), scores(fitted(1), seven))


def test_the_same_again_and_restored() -> None:
    detector, genuine = fitted(1, 7), digits(0)
    again = Supervised(network, partial(digits, 1, 7), iterations=40)
    again.prepare(Trained(torch.nn.Identity()), (1, 32, 32))
    again.restore(detector.state_dict())
    assert torch.equal(scores(detector, genuine), scores(again, genuine))
    assert torch.equal(scores(detector, genuine), scores(fitted(1, 7), genuine))
