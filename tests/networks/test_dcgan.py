from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from touchstone.networks.dcgan import Discriminator, Generator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_generator_has_figure_1_s_parameters_with_4x4_windows() -> None:
    # projection 100 * 4*4*1024                                    =  1,638,400
    # 4*4 * (1024*512 + 512*256 + 256*128)                         = 11,010,048
    # 4*4 * 128*3 + 3                                              =      6,147
    # batch norms 2 * (1024 + 512 + 256 + 128)                     =      3,840
    assert count(Generator(100, 64, 3, width=128)) == 12_658_435


def test_discriminator_mirrors_it() -> None:
    # 4*4 * 3*128 + 128                                            =      6,272
    # 4*4 * (128*256 + 256*512 + 512*1024)                         = 11,010,048
    # batch norms 2 * (256 + 512 + 1024)                           =      3,584
    # dense 4*4*1024 + 1                                           =     16,385
    assert count(Discriminator(64, 3, width=128)) == 11_036_289


@pytest.mark.parametrize("resolution", [8, 14, 16, 28, 32, 56, 64, 112, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_range(resolution: int, channels: int) -> None:
    torch.manual_seed(0)
    generator = Generator(10, resolution, channels, width=2)
    with torch.no_grad():
        list(generator.parameters())[-2].mul_(1000)  # the last weight
        samples = generator(torch.randn(6, 10))
    assert generator.latent_size == 10
    assert samples.shape == (6, channels, resolution, resolution)
    assert samples.abs().max() <= 1
    assert samples.min() < -0.9
    assert samples.max() > 0.9
    assert Discriminator(resolution, channels, width=2)(samples).shape == (6,)


@pytest.mark.parametrize(
    ("resolution", "padded", "margin"), [(14, 16, 1), (28, 32, 2), (56, 64, 4), (112, 128, 8)]
)
def test_a_margin_is_cropped_by_the_one_and_padded_by_the_other(
    resolution: int, padded: int, margin: int
) -> None:
    torch.manual_seed(0)
    whole, cropped = (Generator(10, side, 2, width=2) for side in (padded, resolution))
    cropped.load_state_dict(whole.state_dict())
    latents = torch.randn(3, 10)
    inside = slice(margin, padded - margin)
    torch.testing.assert_close(cropped(latents), whole(latents)[:, :, inside, inside])

    seeing, blind = (Discriminator(side, 2, width=2) for side in (padded, resolution))
    blind.load_state_dict(seeing.state_dict())
    samples = torch.randn(3, 2, resolution, resolution)
    torch.testing.assert_close(blind(samples), seeing(functional.pad(samples, (margin,) * 4)))


def test_logit_worked_out_by_hand() -> None:
    # Weights 1, biases 0, an 8x8 sample of -1. The 4x4 windows hold 3, 4, 4 and 3 rows and as many
    # columns: -(3 + 4 + 4 + 3)^2 = -196 in all, times the slope of 0.2.
    discriminator = Discriminator(8, 1, width=1)
    for name, parameter in discriminator.named_parameters():
        nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
    logit = discriminator(-torch.ones(1, 1, 8, 8))
    torch.testing.assert_close(logit, torch.tensor([-39.2]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("normalization", ["none", "batch", "layer", "instance", "spectral"])
def test_weights_are_drawn_as_in_the_paper(normalization: str) -> None:
    torch.manual_seed(0)
    networks = (Generator(100, 32, 3, width=64), Discriminator(32, 3, 64, normalization))
    state = {key: value for network in networks for key, value in network.named_parameters()}
    scales: list[Tensor] = [
        value for key, value in state.items() if key.endswith("weight") and value.ndim == 1
    ]
    weights = [value for key, value in state.items() if value.ndim > 1]
    biases = [value for key, value in state.items() if key.endswith("bias")]
    for value in weights:
        deviations = 0.02 / value.numel() ** 0.5  # of the mean; of the deviation, 0.7 of it
        assert abs(value.mean()) < 5 * deviations
        assert abs(value.std() - 0.02) < 5 * deviations
    scale = torch.cat(scales)
    assert abs(scale.mean() - 1) < 0.004
    assert abs(scale.std() - 0.02) < 0.003
    assert all((value == 0).all() for value in biases)


@pytest.mark.parametrize("normalization", ["batch", "layer", "instance"])
def test_neither_the_first_nor_the_last_layer_is_normalized(normalization: str) -> None:
    kinds = (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
    layers = cast(list[nn.Module], list(Discriminator(32, 1, 4, normalization).layers))
    at = [place for place, layer in enumerate(layers) if isinstance(layer, kinds)]
    # convolution, slope; convolution, norm, slope; convolution, norm, slope
    assert at == [3, 6]
    generator = cast(list[nn.Module], list(Generator(10, 32, 1, width=4).layers))
    at = [place for place, layer in enumerate(generator) if isinstance(layer, nn.BatchNorm2d)]
    # norm, ReLU; convolution, norm, ReLU; convolution, norm, ReLU; convolution, tanh
    assert at == [0, 3, 6]


def test_features_stay_in_channels_last() -> None:
    seen: list[Tensor] = []
    generator = Generator(10, 28, 3, width=4)
    discriminator = Discriminator(28, 3, width=4)
    for layer in (*generator.layers, *discriminator.layers):
        layer.register_forward_hook(lambda layer, args, output: seen.append(output))
    discriminator(generator(torch.randn(5, 10)))
    assert len(seen) == 18
    assert all(features.is_contiguous(memory_format=torch.channels_last) for features in seen)


@pytest.mark.parametrize("resolution", [0, 4, 7, 24, 30, 48, 2000])
def test_refuses_other_resolutions(resolution: int) -> None:
    with pytest.raises(ValueError, match=rf"data\.resolution={resolution} .* model=dcgan"):
        Generator(10, resolution, 1)
    with pytest.raises(ValueError, match=rf"data\.resolution={resolution} .* model=dcgan"):
        Discriminator(resolution, 1)


def test_names_the_nearest_resolutions() -> None:
    with pytest.raises(ValueError, match="nearest are 28 and 32"):
        Generator(10, 30, 1)
