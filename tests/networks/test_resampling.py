import pytest
import torch

from touchstone.networks.resampling import Downsample, Filter, Upsample


def test_upsampling_worked_out_by_hand() -> None:
    # [1, 3, 3, 1] / 8 at twice the gain a dimension: an impulse becomes 1/4, 3/4, 3/4, 1/4.
    impulse = torch.zeros(1, 2, 5, 5)
    impulse[0, 1, 2, 2] = 1
    row = torch.tensor([0, 0, 0, 1, 3, 3, 1, 0, 0, 0]) / 4
    expected = torch.zeros(1, 2, 10, 10)
    expected[0, 1] = row.outer(row)
    torch.testing.assert_close(Upsample()(impulse), expected)


def test_downsampling_is_its_transpose() -> None:
    torch.manual_seed(0)
    small, large = torch.randn(1, 2, 5, 5), torch.randn(1, 2, 10, 10)
    # <up(x), y> = 4 <x, down(y)>, the gain being upsampling's alone.
    one = (Upsample()(small) * large).sum()
    other = 4 * (small * Downsample()(large)).sum()
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("resample", [Upsample(), Downsample(), Filter(padding=2)])
def test_a_constant_stays_inside(resample: torch.nn.Module) -> None:
    inside = resample(torch.ones(2, 3, 8, 8))[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(inside, torch.ones_like(inside))
    assert not resample.state_dict()


def test_keeps_the_type_and_the_memory_format() -> None:
    features = torch.randn(2, 8, 4, 4, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    for resample in (Upsample(), Downsample(), Filter(padding=1)):
        filtered = resample(features)
        assert filtered.dtype == torch.bfloat16
        assert filtered.is_contiguous(memory_format=torch.channels_last)
