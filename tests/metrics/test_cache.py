import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from touchstone.metrics.cache import Cache

TENSORS = {"mean": torch.arange(3).double(), "count": torch.tensor(7)}


def equal(read: dict[str, torch.Tensor] | None) -> bool:
    return read is not None and all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert not cache.has("statistics/a")
    assert cache.load("statistics/a") is None
    cache.save("statistics/a", TENSORS)
    assert cache.has("statistics/a")
    assert equal(cache.load("statistics/a"))
    assert [path.name for path in (tmp_path / "statistics").iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_entry_is_none_and_can_be_made_anew(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path)
    cache.save("a", TENSORS)
    file = tmp_path / "a.safetensors"
    whole = file.read_bytes()
    file.write_bytes(
        {
            "truncated": whole[:-8],
            "flipped": whole[:-3] + bytes([whole[-3] ^ 64]) + whole[-2:],
            "empty": b"",
            "text": b"no tensors at all",
        }[damage]
    )
    assert cache.load("a") is None
    cache.save("a", TENSORS)
    assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_a_warning_alone(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = Cache(tmp_path / "cache")
    with cache.making("statistics/a"), pytest.warns(UserWarning, match=r"statistics/a.* cannot be"):
        cache.save("statistics/a", TENSORS)
    assert cache.load("statistics/a") is None


def test_one_job_makes_an_entry_while_others_wait(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    code = """
import sys, torch
from pathlib import Path
from touchstone.metrics.cache import Cache
cache = Cache(Path(sys.argv[1]))
print("ready", flush=True)
with cache.making("a"):
    print(cache.has("a"), flush=True)
"""
    with cache.making("a"):
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        cache.save("a", TENSORS)  # before the lock is free, however long the other has waited
    assert other.communicate(timeout=60)[0] == "True\n"
    with (tmp_path / ".a.safetensors.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody holds it any more
