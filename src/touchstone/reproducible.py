"""What makes the same arithmetic give the same bits in every process."""

import torch

VECTOR_FUNCTIONS = (
    torch.tanh,
    torch.exp,
    torch.expm1,
    torch.log,
    torch.log1p,
    torch.sin,
    torch.cos,
)


def settle_vector_math() -> None:
    """Calls the CPU's vector functions once, each in one thread, before threads share them.

    MKL's functions choose their implementation at their first call. When two threads make it
    together, one may compute its half of that call less exactly (by 8e-6 in tanh): seen in 12 of
    315 processes whose first tanh was a generator's, in none of 699 after this. One such call is
    enough for a run to differ from another of the same seed.
    """
    for function in VECTOR_FUNCTIONS:
        function(torch.ones(1))
