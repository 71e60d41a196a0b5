import pytest
import torch
from torch import nn

from touchstone.authenticity.detectors.detector import scores
from touchstone.authenticity.detectors.fanogan import FAnoGAN
from touchstone.data.images import Images
from touchstone.errors import UsageError
from touchstone.networks import dcgan
from touchstone.trained import Trained


def test_residuals_by_hand(pixels: Trained) -> None:
    pixels.generator.latent_size = 2  # type: ignore[assignment]
    detector = FAnoGAN(kappa=3.0)
    detector.prepare(pixels, (1, 1, 2))
    samples = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 0.0]]]])
    made = torch.tensor([[[[0.0, 0.0]]], [[[0.0, -0.5]]]])
    # Means of squares: 1 / 2 and 0.25 / 2; the features are the pixels: 1 + κ times as much.
    found = detector.residuals(samples, made)
    torch.testing.assert_close(found, torch.tensor([2.0, 0.5]))


def test_the_encoder_finds_what_the_generator_makes(trained: Trained, genuine: Images) -> None:
    detector = FAnoGAN(iterations=80)
    detector.prepare(trained, genuine.shape)
    before = scores(detector, genuine).mean()
    detector.fit(genuine)
    after = scores(detector, genuine).mean()
    # Of all encoders the best leaves what the generator's 12 axes leave of the pixels.
    pictures, _ = genuine.batch(torch.arange(len(genuine)))
    samples = pictures.flatten(1)
    generator = trained.generator
    axes = nn.functional.normalize(generator.axes.detach(), dim=1)  # type: ignore[operator]
    centred = samples - generator.mean.detach()  # type: ignore[operator]
    left = (centred - centred @ axes.T @ axes).square().mean()
    assert left < after < 0.5 * before
    with torch.inference_mode():
        residual = (pictures - detector.reconstruct(pictures)).abs()
        assert detector.map(pictures).equal(residual[:, 0])


def test_refuses_what_a_new_item_has_not(trained: Trained) -> None:
    conditional = dcgan.Generator(8, 16, 1, width=4, classes=10)
    with pytest.raises(UsageError, match=r"detector=fanogan: .* model.conditional=false"):
        FAnoGAN().prepare(Trained(conditional, trained.discriminator), (1, 16, 16))
    with pytest.raises(UsageError, match=r"detector=fanogan: it is for pictures"):
        FAnoGAN().prepare(trained, (2,))
