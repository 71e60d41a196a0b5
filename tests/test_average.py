import pytest
import torch
from torch import nn

from touchstone.average import WeightAverage


def network(value: float) -> nn.Sequential:
    """A convolution and batch norm whose weights and floating buffers all equal `value`."""
    made = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3))
    for tensor in made.state_dict().values():
        tensor.fill_(value)
    return made


def values(average: WeightAverage) -> list[float]:
    """The different values among all weights and floating buffers."""
    tensors = average.network.state_dict().values()
    return sorted({value for t in tensors if t.is_floating_point() for value in t.ravel().tolist()})


def test_half_of_the_average_is_newer_than_the_half_life() -> None:
    average = WeightAverage(network(0), half_life=1000)
    # Far into the run the ramp plays no part: four iterations of 250 images are one half-life.
    for iteration in range(4):
        average.update(network(1), images=10**6 + 250 * iteration, step=250)
    assert values(average) == pytest.approx([0.5], rel=0, abs=1e-6)


def test_the_half_life_is_a_share_of_the_images_at_first() -> None:
    average = WeightAverage(network(0), half_life=1000, ramp_up=0.05)
    # 0.05 of 2000 images is a half-life of 100, so 200 images leave a quarter.
    average.update(network(1), images=2000, step=200)
    assert values(average) == pytest.approx([0.75], rel=0, abs=1e-6)
    assert average.decay(images=20_000, step=1000) == 0.5
    assert average.decay(images=40_000, step=1000) == 0.5


def test_the_first_iteration_takes_the_network_as_it_is() -> None:
    average, trained = WeightAverage(network(0), half_life=1000), network(0)
    for parameter in trained.parameters():
        nn.init.normal_(parameter)
    average.update(trained, images=0, step=64)
    assert all(
        torch.equal(kept, new)
        for kept, new in zip(
            average.network.state_dict().values(), trained.state_dict().values(), strict=True
        )
    )


def test_without_a_half_life_it_follows_the_network() -> None:
    average = WeightAverage(network(0), half_life=0)
    average.update(network(3), images=10**6, step=1)
    assert values(average) == [3]


def test_batch_norms_statistics_are_averaged_and_its_counter_copied() -> None:
    average, trained = WeightAverage(network(0), half_life=100), network(1)
    trained.get_buffer("1.num_batches_tracked").fill_(17)
    trained.get_buffer("1.running_mean").fill_(8)
    average.update(trained, images=10**6, step=100)
    buffers = dict(average.network.named_buffers())
    torch.testing.assert_close(buffers["1.running_mean"], torch.full((3,), 4.0))
    torch.testing.assert_close(buffers["1.running_var"], torch.full((3,), 0.5))
    assert buffers["1.num_batches_tracked"] == 17


def test_it_is_a_frozen_copy_in_evaluation_mode_whatever_its_owner_does() -> None:
    trained = network(1)
    average = WeightAverage(trained, half_life=100)
    nn.ModuleList([average]).train()
    assert not any(module.training for module in average.network.modules())
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in trained.parameters())
    assert trained.training
    samples = torch.ones(2, 2, 3, 3)
    torch.testing.assert_close(average(samples), network(1).eval()(samples))
    average.update(network(2), images=0, step=1)
    assert torch.equal(trained.get_parameter("0.weight"), torch.ones(3, 2, 2, 2))


def test_its_state_is_saved_and_goes_on_bit_for_bit() -> None:
    unbroken = WeightAverage(network(0), half_life=100)
    unbroken.update(network(1), images=1000, step=64)
    resumed = WeightAverage(network(5), half_life=100)
    resumed.load_state_dict(unbroken.state_dict())
    for average in (unbroken, resumed):
        average.update(network(2), images=1064, step=64)
    assert values(resumed) == values(unbroken)


def test_the_memory_format_is_kept() -> None:
    trained = network(1).to(memory_format=torch.channels_last)
    average = WeightAverage(trained, half_life=100)
    average.update(trained, images=1000, step=64)
    weight = average.network.get_parameter("0.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    # A network in another format is averaged all the same.
    average.update(network(3).to(memory_format=torch.contiguous_format), images=0, step=64)
    assert values(average) == [3]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="half_life"):
        WeightAverage(network(0), half_life=-1)
    with pytest.raises(ValueError, match="ramp_up"):
        WeightAverage(network(0), half_life=1, ramp_up=0)


def test_networks_of_another_structure_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        WeightAverage(network(0), half_life=1).update(nn.Linear(1, 1), images=0, step=1)
