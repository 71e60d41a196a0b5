"""Poisson samples, and what stands in their place elsewhere."""

import torch

from touchstone.data.batches import Batches
from touchstone.data.points import Points
from touchstone.privacy.records import Records, Withheld
from touchstone.privacy.secret import Secret

SECRET = Secret(bytes(range(32)))


def numbered(number: int) -> Points:
    return Points(torch.arange(number).float()[:, None], torch.zeros(number).long(), ("a",))


def test_each_record_is_drawn_by_itself() -> None:
    """400 records at a rate of 0.1: sizes have the mean 40 and the variance 36; 4,000 samples."""
    records = Records(numbered(400), 0.1, SECRET)
    drawn = torch.zeros(4000, 400)
    for update in range(4000):
        drawn[update, records.sample(update).flatten().long()] = 1
    sizes = drawn.sum(1)
    assert abs(float(sizes.mean()) - 40) < 4 * (36 / 4000) ** 0.5
    assert abs(float(sizes.var()) / 36 - 1) < 4 * (2 / 4000) ** 0.5
    # Every record is as likely as every other, and no two go together.
    error = (0.09 / 4000) ** 0.5
    assert float((drawn.mean(0) - 0.1).abs().max()) < 5 * error
    assert abs(float(((drawn.mean(0) - 0.1) / error).square().mean()) - 1) < 4 * (2 / 400) ** 0.5
    off = torch.corrcoef(drawn.T) - torch.eye(400)
    assert float(off.abs().max()) < 6 / 4000**0.5


def test_a_sample_is_of_its_update_and_its_secret() -> None:
    records = Records(numbered(400), 0.1, SECRET)
    other = Records(numbered(400), 0.1, Secret(bytes(32)))
    assert torch.equal(records.sample(7), records.sample(7))
    assert records.sample(7).tolist() != records.sample(8).tolist()
    assert records.sample(7).tolist() != other.sample(7).tolist()


def test_a_sample_can_be_empty_or_all() -> None:
    assert Records(numbered(3), 1e-9, SECRET).sample(0).shape == (0, 1)
    assert Records(numbered(3), 1 - 1e-9, SECRET).sample(0).flatten().tolist() == [0, 1, 2]


def test_what_is_withheld_is_zeros_without_labels() -> None:
    withheld = Withheld(50, (2, 3))
    samples, labels = withheld.batch(torch.tensor([4, 9]))
    assert torch.equal(samples, torch.zeros(2, 2, 3))
    assert labels is None
    assert len(withheld) == 50
    assert len(withheld.join(withheld.take(torch.arange(3)))) == 53
    assert withheld.labels is None
    (batch, none), *_ = Batches(withheld, batch_size=4, critic_steps=3, seed=0, start=0, stop=12)
    assert torch.equal(batch, torch.zeros(12, 2, 3))
    assert none is None
