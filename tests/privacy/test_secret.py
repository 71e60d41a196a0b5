"""A run's secret."""

from pathlib import Path

import pytest
import torch
from scipy import stats

from touchstone.errors import UsageError
from touchstone.privacy.secret import Secret


def test_it_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    secret = Secret.new()
    secret.keep(tmp_path / "secret")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert torch.equal(
        Secret.kept(tmp_path / "secret").normal(9, "noise", 1), secret.normal(9, "noise", 1)
    )
    with pytest.raises(FileExistsError):
        Secret.new().keep(tmp_path / "secret")


def test_two_are_not_the_same() -> None:
    assert not torch.equal(Secret.new().normal(9, "noise", 1), Secret.new().normal(9, "noise", 1))


def test_all_of_it_counts() -> None:
    """Also what a seed of 32 bits, as torch's on a CPU, would leave out."""
    drawn = [
        float(Secret(bytes(place * [0] + [1] + (31 - place) * [0])).normal(1, "noise", 1))
        for place in range(32)
    ]
    assert len(set(drawn)) == 32


def test_places_are_apart() -> None:
    secret = Secret(bytes(32))
    streams = [secret.uniform(4, *place) for place in (("a", 1), ("a", 2), ("b", 1), ("a", 11))]
    assert len({tuple(each.tolist()) for each in streams}) == 4
    assert secret.seed("a", 1) != secret.seed("a", 2)
    assert 0 <= secret.seed("a", 1) < 2**63


def test_numbers_are_as_they_should_be() -> None:
    secret = Secret(bytes(range(32)))
    uniform, normal = secret.uniform(100_001, "u"), secret.normal(100_001, "n")
    assert len(uniform) == len(normal) == 100_001
    assert float(uniform.min()) > 0
    assert float(uniform.max()) < 1
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal.numpy(), "norm").pvalue > 1e-3
    assert len(secret.normal(0, "n")) == 0


@pytest.mark.parametrize("content", [None, b"", bytes(31)])
def test_one_that_is_not_there_or_not_whole(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(UsageError, match="secret"):
        Secret.kept(tmp_path / "secret")
