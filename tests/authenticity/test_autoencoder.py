import pytest
import torch
from torch import nn

from touchstone.authenticity.autoencoder import Decoder, Encoder, check_shape
from touchstone.errors import UsageError


@pytest.mark.parametrize(
    ("shape", "convolutions"),
    [((1, 28, 28), 3), ((3, 32, 32), 3), ((2, 96, 48), 5), ((1, 5, 9), 2), ((1, 4, 4), 1)],
)
def test_any_picture_becomes_a_vector_and_a_picture_again(
    shape: tuple[int, ...], convolutions: int
) -> None:
    encoder, decoder = Encoder(shape, 7, width=4), Decoder(shape, 7, width=4)
    vectors = encoder(torch.randn(2, *shape))
    assert vectors.shape == (2, 7)
    pictures = decoder(vectors)
    assert pictures.shape == (2, *shape)
    assert pictures.abs().max() <= 1
    for network in (encoder, decoder):
        found = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
        assert len(found) == convolutions


def test_features_are_what_the_dense_layer_is_given() -> None:
    encoder = Encoder((1, 28, 28), 7, width=4).eval()
    samples = torch.randn(2, 1, 28, 28)
    features = encoder.features(samples)
    assert features.shape == (2, 4 * 4 * 16)
    assert encoder.dense(features).equal(encoder(samples))


def test_refuses_what_is_no_picture() -> None:
    check_shape((1, 28, 28), "ganomaly")
    with pytest.raises(UsageError, match=r"detector=ganomaly: it is for pictures .* \(2,\)"):
        check_shape((2,), "ganomaly")
