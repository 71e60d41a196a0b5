"""The same arithmetic gives the same bits in every process."""

import os
import subprocess
import sys

import pytest

# Children are forked before the parent has computed anything, so each makes its own first calls.
SCRIPT = """
import hashlib, os, sys
import torch
from touchstone.networks.dcgan import Generator
from touchstone.reproducible import settle_vector_math

seen = set()
for _ in range(160):
    reading, writing = os.pipe()
    if os.fork() == 0:
        settle_vector_math()
        torch.manual_seed(0)
        generator = Generator(100, 28, 1, 8).to(memory_format=torch.channels_last)
        samples = generator(torch.randn(64, 100)).detach().contiguous()
        os.write(writing, hashlib.sha256(samples.numpy().tobytes()).digest())
        os._exit(0)
    os.close(writing)
    seen.add(os.read(reading, 32))
    os.close(reading)
    os.wait()
print(len(seen))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_threads_compute_the_same_in_every_process() -> None:
    """Without the settling about one in 25 processes computes its first tanh otherwise."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
