import torch
from torch import Tensor

from touchstone.privacy.attacks.attack import Attack, Evidence
from touchstone.privacy.attacks.nearest import Nearest
from touchstone.privacy.bound import one_run_bound
from touchstone.privacy.canaries import Canaries
from touchstone.privacy.planted import planted

DRAWS = torch.Generator().manual_seed(0)
RECORDS = torch.randn(400, 5, generator=DRAWS)
CANARIES = Canaries(RECORDS, torch.rand(400, generator=DRAWS) < 0.5)
REFERENCE = torch.randn(300, 5, generator=DRAWS)


def contrary(records: Tensor, evidence: Evidence) -> Tensor:
    return -Nearest()(records, evidence)


def test_copies_of_those_planted_tell_which_they_were() -> None:
    attacks: dict[str, Attack] = {"nearest": Nearest(), "contrary": contrary}
    found = planted(CANARIES, Evidence(CANARIES.planted, REFERENCE), attacks, 1e-5, 0.95)
    assert found["nearest"].area.value == 1
    assert found["contrary"].area.value == 0
    # The coins did not fall 200 and 200, so that some of 400 guesses are wrong, but all of 200 are
    # right. Of four such shares of guesses the best is taken, each at a quarter of 5 %:
    # p^200 = 0.0125, and epsilon = log(p / (1 - p)).
    share = (0.05 / 4) ** (1 / 200)
    expected = torch.tensor(share / (1 - share)).log()
    bound = planted(CANARIES, Evidence(CANARIES.planted, REFERENCE), attacks, 0.0, 0.95)
    assert abs(bound["nearest"].bound - float(expected)) < 1e-4
    assert found["contrary"].bound == 0


def test_what_knows_none_of_them_tells_nothing() -> None:
    evidence = Evidence(torch.randn(400, 5, generator=DRAWS), REFERENCE)
    one = planted(CANARIES, evidence, {"nearest": Nearest()}, 1e-5, 0.99)["nearest"]
    assert one.area.covers(0.5)
    assert one.bound == one_run_bound(
        Nearest()(RECORDS, evidence), CANARIES.included, 1e-5, level=0.99
    )
