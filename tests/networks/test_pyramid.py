import pytest

from touchstone.networks.pyramid import sides, widths


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [
        (8, [4, 8]),
        (14, [7, 14]),
        (28, [7, 14, 28]),
        (32, [4, 8, 16, 32]),
        (896, [7, 14, 28, 56, 112, 224, 448, 896]),
        (1024, [4, 8, 16, 32, 64, 128, 256, 512, 1024]),
    ],
)
def test_sides_double(resolution: int, expected: list[int]) -> None:
    assert sides(resolution, "progan") == expected


@pytest.mark.parametrize("resolution", [0, 4, 7, 30, 48, 1792, 2048])
def test_refuses_other_resolutions(resolution: int) -> None:
    with pytest.raises(ValueError, match=rf"data\.resolution={resolution} .* model=stylegan2"):
        sides(resolution, "stylegan2")


def test_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="nearest are 28 and 32"):
        sides(30, "progan")


def test_widths_halve_after_the_widest() -> None:
    assert widths(512, 9, widest=3) == [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert widths(2, 6, widest=1) == [2, 2, 1, 1, 1, 1]
