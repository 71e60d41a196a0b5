import re
from dataclasses import replace

import polars as pl
import torch
from torch import Tensor

from touchstone.privacy.audit import Audit, Leakage, Sides, audit
from touchstone.privacy.intervals import Estimate
from touchstone.privacy.membership import Membership, finding
from touchstone.privacy.page import page, verdict
from touchstone.privacy.tables import Tables, schema_of

PROTOCOL = dict.fromkeys(("members", "synthetic", "features", "asked_members"), 9) | {
    "holdout": 18,
    "asked_others": 9,
    "attackers_own": 9,
    "seed": 0,
}


def leakage(above: float, number: int = 400) -> Leakage:
    """What an attack found whose scores of members lie so far above those of others."""
    draws = torch.Generator().manual_seed(0)
    members, others = (torch.randn(number, generator=draws, dtype=torch.float64) for _ in range(2))
    members = members - members.mean() + others.mean() + above
    told = Membership(members, others, finding(members, others), None)
    return Leakage({"nearest": told}, {"nearest": 0.0}, 1e-5, None, {})


def sentence(above: float) -> str:
    return verdict(Audit(leakage(above), None, {}))[0]


def test_the_sentence_goes_by_what_is_certain() -> None:
    # A difference of d deviations is an AUC of Phi(d / sqrt 2), give or take 0.02 for 400 each.
    assert sentence(0.0).startswith("No leak was found")
    assert sentence(0.3).startswith("These records leak")  # 0.58
    assert sentence(2.2).startswith("These records give people away")  # 0.94
    # One AUC of six is above 0.5 by 2.2 of its deviations, which one in twelve audits has.
    found = leakage(0.155)
    one = found.membership["nearest"]
    assert one.everyone.figures.auroc.low > 0.5
    level = leakage(-0.1).membership["nearest"]
    several = {"nearest": one, "density_ratio": level, "kernel_density": level}
    doubtful = replace(found, membership=several, bounds=dict.fromkeys(several, 0.0))
    said = verdict(Audit(doubtful, None, PROTOCOL))[0]
    assert said.startswith("No leak is certain: of 3 AUC, 1 ")
    assert "records=…" not in said  # all were asked about
    more = PROTOCOL | {"members": 10, "holdout": 19}
    assert "records=…" in verdict(Audit(doubtful, None, more))[0]


def test_canaries_that_are_found_are_no_people() -> None:
    found = leakage(0.0)
    canaries = {"nearest": Estimate(0.95, 0.93, 0.97)}
    bounds = {**found.bounds, "canaries/nearest": 1.5}
    planted = replace(found, planted=canaries, bounds=bounds)
    assert planted.accused() == ["canaries/nearest"]
    assert planted.epsilon == 1.5
    said, points = verdict(Audit(planted, None, PROTOCOL))
    assert said.startswith("Training like this leaks: of made-up records")
    assert "AUC of 0.950 (0.930 to 0.970) by nearest record" in dict(points)["Canaries"]
    assert '<div class="panel bad"' in page("Audit", Audit(planted, None, PROTOCOL))


def test_the_most_exposed_are_people() -> None:
    found, shadow = leakage(0.0), leakage(2.2, 100).membership["nearest"]
    exposed = replace(found, exposed=shadow, bounds={**found.bounds, "shadow": 0.0})
    assert exposed.accused() == ["shadow"]
    said, points = verdict(Audit(exposed, None, PROTOCOL))
    assert said.startswith("These records give people away")
    assert "about the 100 members who" in dict(points)["Membership of the most exposed"]
    assert "The most exposed people, by shadow models" in page(
        "Audit", Audit(exposed, None, PROTOCOL)
    )


def test_a_page_holds_every_part_and_asks_no_network() -> None:
    draws = torch.Generator().manual_seed(0)

    def people(number: int) -> pl.DataFrame:
        ages = torch.randint(80, (number,), generator=draws)
        ill: Tensor = ages + 30 * torch.randn(number, generator=draws) > 40
        return pl.DataFrame(
            {
                "age": ages.numpy(),
                "<b>": [("<i>", "x & y")[int(one)] for one in ages % 2],
                "ill": [("no", "yes")[int(one)] for one in ill],
            }
        )

    frames = {key: people(250) for key in ("real", "holdout", "synthetic")}
    schema = schema_of(frames["real"], {}, "ill", typed=True)
    tables = Tables.of(frames, schema, sensitive=("<b>",), groups="<b>")
    found = tables.features()
    audited = audit(Sides(found["real"], found["holdout"], found["synthetic"]), tables)
    audited.notes.append("Something was <left> out.")
    text = page("Audit of <this>", audited)

    assert not re.search(r"https?:|<script|url\(|<i>|<this>|<left>|\bnan\b", text)
    assert "&lt;b&gt;" in text
    for heading in (
        "Leakage: who was a member",
        "People who stand out",
        "An attacker who must be sure",
        "What is learned about a person",
        "Copies",
        "A lower bound on epsilon",
        "Use: what the records are worth",
        "How like real records",
        "Fairness of the use",
        "How it was found",
    ):
        assert f">{heading}</h" in text
    assert "A check for copies, and no proof of privacy" in text
    assert "250 members, 250 people who were held out, and 250 synthetic records" in text
    assert text.count("<svg") == 1
    # Every attack has its interval beside its control's.
    for attack in ("density ratio (DOMIAS)", "kernel densities (DOMIAS)", "nearest record"):
        assert re.search(
            rf"<span>{re.escape(attack)}</span><b>0\.\d+ \(0\.\d+ to [01]\.\d+\)</b>.*?control: 0",
            text,
        )


def test_a_page_of_pictures_has_no_use() -> None:
    draws = torch.Generator().manual_seed(0)
    sides = Sides(*(torch.rand(30, 4, generator=draws) for _ in range(3)))
    text = page("Audit", audit(sides))
    assert "Use: what" not in text
    assert "Too few people were held out to say it of 1 in 100" in text


def test_an_accusation_stands_out() -> None:
    accused, cleared = (page("Audit", Audit(leakage(by), None, PROTOCOL)) for by in (2.2, 0.0))
    assert '<div class="panel bad"><b>These records' in accused
    assert '<div class="panel"><b>No leak' in cleared
