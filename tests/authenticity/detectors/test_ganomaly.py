import pytest
import torch

from touchstone.authenticity.detectors.ganomaly import GANomaly
from touchstone.errors import UsageError
from touchstone.trained import Trained

SHAPE = (1, 8, 8)


@pytest.fixture
def detector(pixels: Trained) -> GANomaly:
    made = GANomaly(latent_size=6)
    made.prepare(pixels, SHAPE)
    return made  # in eval mode, in which a batch norm does not mix samples


def test_each_player_has_its_own_gradients(detector: GANomaly) -> None:
    samples = torch.randn(5, *SHAPE)
    detector.zero_grad()
    torch.autograd.backward(detector.loss(samples, 0))
    found = {name: each.grad for name, each in detector.named_parameters()}
    assert all(each is not None for each in found.values())

    detector.zero_grad()
    codes, made, codes_again = detector.reconstruct(samples)
    judge = detector.discriminator
    generator_loss = (
        (judge.features(samples) - judge.features(made)).square().mean()
        + 50 * (samples - made).abs().mean()
        + (codes - codes_again).square().mean()
    )
    torch.autograd.backward(generator_loss)
    for name, each in detector.named_parameters():
        if not name.startswith("discriminator"):
            torch.testing.assert_close(found[name], each.grad)

    detector.zero_grad()
    # log D(x) and log(1 - D(x̂)), D being the logit's sigmoid.
    real, fake = judge(samples), judge(detector.reconstruct(samples)[1].detach())
    torch.autograd.backward(-real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean())
    for name, each in judge.named_parameters():
        torch.testing.assert_close(found[f"discriminator.{name}"], each.grad)


def test_the_score_is_the_codes_distance_as_it_is(detector: GANomaly) -> None:
    samples = torch.randn(3, *SHAPE)
    made = detector.decoder(detector.encoder(samples))
    expected = detector.encoder(samples) - detector.second_encoder(made)
    torch.testing.assert_close(detector.score(samples), expected.abs().sum(1) / 6)
    # Not brought to [0, 1] by the least and the greatest of those that are scored.
    found = detector.score(samples)
    assert found.min() > 0
    torch.testing.assert_close(detector.map(samples), (samples - made).abs()[:, 0])


def test_refuses_points(pixels: Trained) -> None:
    with pytest.raises(UsageError, match=r"detector=ganomaly: it is for pictures .* \(2,\)"):
        GANomaly().prepare(pixels, (2,))
