import subprocess
import sys
from collections.abc import Callable
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from touchstone.terms.classification import Classification, SemiSupervision

# Logits whose softmax is (1/4, 3/4) and (2/3, 1/3).
QUARTER, THIRDS = [0.0, log(3.0)], [log(2.0), 0.0]


def test_classification_by_hand(hands: Callable[..., Any]) -> None:
    real = {"classes": torch.tensor([QUARTER, THIRDS])}
    fake = {"classes": torch.tensor([THIRDS, THIRDS])}
    critique, creation = hands(real, fake, labels=torch.tensor([1, 0]))
    of_real = -(log(3 / 4) + log(2 / 3)) / 2
    of_fake = -(log(1 / 3) + log(2 / 3)) / 2
    term = Classification(1)
    assert_close(term.discriminator(critique), torch.tensor(of_real + of_fake))
    assert_close(term.generator(creation), torch.tensor(of_fake))
    assert term.examines


def test_classification_needs_labels(hands: Callable[..., Any]) -> None:
    critique, _ = hands({"classes": torch.zeros(1, 2)}, {"classes": torch.zeros(1, 2)})
    with pytest.raises(ValueError, match="labels"):
        Classification(1).discriminator(critique)


def test_semi_supervision_is_the_mean_over_the_labels_that_there_are(
    hands: Callable[..., Any],
) -> None:
    real = {"classes": torch.tensor([QUARTER, THIRDS, QUARTER, THIRDS])}
    critique, creation = hands(real, real, labels=torch.tensor([-1, 0, 0, -1]))
    term = SemiSupervision(1)
    assert_close(term.discriminator(critique), torch.tensor(-(log(2 / 3) + log(1 / 4)) / 2))
    assert term.generator(creation) is None


def test_semi_supervision_of_no_label_is_zero(hands: Callable[..., Any]) -> None:
    real = {"classes": torch.tensor([QUARTER, THIRDS])}
    critique, _ = hands(real, real, labels=torch.tensor([-1, -1]))
    assert SemiSupervision(1).discriminator(critique) == 0


def test_semi_supervision_is_the_mean_over_the_labels_of_all_processes(tmp_path: Path) -> None:
    """One label here and three there: the processes' mean is that of the four, not of two means."""
    program = """
import sys, torch
from torch import distributed
from touchstone.terms import Critique
from touchstone.terms.classification import SemiSupervision
rank = int(sys.argv[1])
distributed.init_process_group("gloo", f"file://{sys.argv[2]}", rank=rank, world_size=2)
# A cross-entropy of ln 2 with a label of the first process, and about 5 with one of the second.
labels = torch.tensor([[0, -1, -1], [0, 0, 0]][rank])
verdict = {"classes": torch.tensor([[0.0, 5.0 * rank]] * 3)}
both = lambda: (verdict, verdict)
nothing = torch.zeros(1)
critique = Critique(torch.sum, nothing, nothing, both, None, labels, nothing, ())
print(SemiSupervision(1).discriminator(critique).item())
distributed.destroy_process_group()
"""
    command = [sys.executable, "-c", program]
    started = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "at")], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    values = [float(process.communicate(timeout=100)[0]) for process in started]
    far = log(1 + exp(5))
    assert sum(values) / 2 == pytest.approx((log(2) + 3 * far) / 4, rel=1e-6)
