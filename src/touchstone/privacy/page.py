"""The page of an audit: the verdict in plain words, and every figure that it rests on."""

import math
import statistics
from collections.abc import Iterator, Mapping
from html import escape

from touchstone import pages
from touchstone.privacy import charts
from touchstone.privacy.audit import CANARIES, SHADOW, Audit, Leakage, Promise, Use
from touchstone.privacy.charts import written
from touchstone.privacy.copies import Copies
from touchstone.privacy.intervals import Estimate
from touchstone.privacy.membership import FALSE_POSITIVES, OUTLIERS, Finding, Membership
from touchstone.privacy.use.fairness import Fairness
from touchstone.privacy.use.prediction import CLASSIFIERS

CERTAIN = 0.9  # an AUC from which members are as good as named
ATTACKS = {
    "density_ratio": "density ratio (DOMIAS)",
    "kernel_density": "kernel densities (DOMIAS)",
    "nearest": "nearest record",
    "discriminator": "discriminator (LOGAN)",
    SHADOW: "shadow models (LiRA)",
}
ATTACKS |= {f"{CANARIES}/{name}": f"canaries, by {words}" for name, words in ATTACKS.items()}
LEARNERS = {"nearest_record": "by the nearest record", "boosted_trees": "by boosted trees"}


def verdict(found: Audit) -> tuple[str, list[tuple[str, str]]]:
    """What an audit comes to: a sentence, and what it rests on, each point and what is said of it.

    The sentence accuses where an attack told members from others beyond what chance does, in 95 of
    100 audits rightly so; see `Leakage.accused`.
    """
    return _sentence(found), list(_points(found))


def page(title: str, found: Audit) -> str:
    """The page as HTML."""
    return pages.page(title, _sections(found), charts.STYLE)


def _sentence(found: Audit) -> str:
    leakage, promise = found.leakage, found.promise
    if promise is not None and leakage.epsilon > promise.epsilon:
        return (
            "The promise of privacy is broken: what the attacks achieve takes an epsilon of at "
            f"least {leakage.epsilon:.2f}, and {promise.epsilon:g} was promised."
        )
    accused = [name for name in leakage.accused() if not name.startswith(CANARIES)]
    areas = leakage.areas
    if accused and max(area.value for name, area in areas if name in accused) >= CERTAIN:
        return (
            "These records give people away: an attacker can tell, almost with certainty, whose "
            "records the generator was trained on."
        )
    if accused:
        return (
            "These records leak: an attacker can tell, better than by chance, whose records the "
            "generator was trained on."
        )
    if leakage.accused():
        return (
            "Training like this leaks: of made-up records an attacker can tell, better than by "
            "chance, which were trained on, though no attack told people's records so."
        )
    if leakage.copied():
        return (
            "These records hold copies of the records that the generator was trained on, though no "
            "attack told members from others better than by chance."
        )
    doubtful = sum(area.low > 0.5 for _, area in areas)
    if doubtful:
        return (
            f"No leak is certain: of {len(areas)} AUC, {doubtful} with the whole interval above "
            f"0.5, which among so many may be chance.{_more(found)}"
        )
    return (
        "No leak was found: none of the attacks told the people whose records the generator was "
        "trained on from others better than chance does."
    )


def _more(found: Audit) -> str:
    """The remedy, where there are more records than were asked about."""
    said = found.protocol
    if said["members"] > said["asked_members"] and (
        said["holdout"] > said["asked_others"] + said["attackers_own"]
    ):
        return " Asking about more records, by records=…, narrows the intervals."
    return ""


def _points(found: Audit) -> Iterator[tuple[str, str]]:
    leakage = found.leakage
    best = leakage.everyone(leakage.strongest)
    yield (
        "Membership",
        f"The strongest of {len(leakage.membership)} attacks, {ATTACKS[leakage.strongest]}, has an "
        f"AUC of {written(best.figures.auroc)}; its control, where nobody is a member, "
        f"{written(best.control.auroc)}; 0.5 is a guess, and 1 names every member",
    )
    outliers = {
        name: one.outliers for name, one in leakage.membership.items() if one.outliers is not None
    }
    if outliers:
        name = max(outliers, key=lambda name: outliers[name].figures.auroc.value)
        yield (
            "Membership of outliers",
            f"The strongest attack on those who stand out, {ATTACKS[name]}, has an AUC of "
            f"{written(outliers[name].figures.auroc)}; its control "
            f"{written(outliers[name].control.auroc)}",
        )
    if leakage.exposed is not None:
        shadow = leakage.exposed.everyone
        yield (
            "Membership of the most exposed",
            f"Shadow models, asked about the {len(leakage.exposed.members)} members who are "
            f"farthest from all others, have an AUC of {written(shadow.figures.auroc)}; the "
            f"control {written(shadow.control.auroc)}",
        )
    if leakage.planted:
        name = max(leakage.planted, key=lambda name: leakage.planted[name].value)
        yield (
            "Canaries",
            "Which of the made-up records were trained on is told, in one more training like "
            f"this one's, with an AUC of {written(leakage.planted[name])} by {ATTACKS[name]}",
        )
    guesses = [
        (column, one.auroc or one.accuracy)
        for column, learners in leakage.attributes.items()
        for one in learners.values()
    ]
    if guesses:
        column, guess = max(guesses, key=lambda item: item[1].advantage.low)
        yield (
            "Sensitive columns",
            f"Having been in the data makes {column} easier to guess by "
            f"{written(guess.advantage)}: {guess.members.value:.3f} for members, "
            f"{guess.control.value:.3f} for others; 0 is best, and of {len(guesses)} guesses this "
            "is the clearest",
        )
    yield "Lower bound on epsilon", _bound(leakage, found.promise)
    if leakage.copied():
        assert leakage.copies is not None
        yield (
            "Copies",
            f"{written(leakage.copies.exact, percent=True)} of the synthetic records equal a "
            f"member's, and {written(leakage.copies.near, percent=True)} nearly do; of other "
            f"people's it is {written(leakage.copies.exact_control, percent=True)} and "
            f"{written(leakage.copies.near_control, percent=True)}",
        )
    if found.use is not None and found.use.synthetic:
        name = CLASSIFIERS[0]
        yield (
            "Use",
            f"Trained on these records, gradient boosting predicts real people's target with an "
            f"AUC of {written(found.use.synthetic[name].auc)}; trained on real records, with "
            f"{written(found.use.real[name].auc)}",
        )


def _bound(leakage: Leakage, promise: Promise | None) -> str:
    bound = f"{leakage.epsilon:.2f} at a delta of {leakage.delta:g}"
    if promise is not None:
        return (
            f"{bound}, where {promise.epsilon:.3g} was promised; it has to be below, and being "
            "below proves nothing"
        )
    if leakage.epsilon == 0:
        return f"{bound}, which is best: these attacks would contradict no promise of privacy"
    return (
        f"{bound}, where 0 is best; differential privacy was not promised, and a promise of less "
        "would be false"
    )


def _sections(found: Audit) -> Iterator[str]:
    sentence, points = verdict(found)
    panel = pages.panel(sentence, points)
    harmless = not found.leakage.accused() and not found.leakage.copied()
    yield panel if harmless else panel.replace('class="panel"', 'class="panel bad"', 1)
    yield pages.paragraph(
        "An audit finds leaks, and proves the absence of none: it is by these attacks, on these "
        "people. The limits in brackets are those of 95 % intervals, of each figure by itself; the "
        "sentence at the top allows for their number."
    )
    yield from _leakage(found.leakage, found.promise)
    if found.use is not None:
        yield from _use(found.use)
    yield from _protocol(found)


def _leakage(leakage: Leakage, promise: Promise | None) -> Iterator[str]:
    yield pages.heading("Leakage: who was a member")
    yield pages.paragraph(
        "An attacker has the synthetic records, and records of other people of his own. Of each "
        "person he is asked about he says how likely the generator was trained on that person's "
        "record. The AUC is the chance that he gives a member the higher score than a person who "
        "was none: 0.5 is a guess and best, 1 is worst. Beside it stands the control: the same "
        "attack where none is a member, which chance alone moves from 0.5."
    )
    everyone = {name: one.everyone for name, one in leakage.membership.items()}
    outliers = {name: one.outliers for name, one in leakage.membership.items() if one.outliers}
    ends = charts.ends_of(
        side.auroc
        for finding in [*everyone.values(), *outliers.values()]
        for side in (finding.figures, finding.control)
    )
    yield _areas_of(everyone, ends)
    if outliers:
        yield pages.heading("People who stand out", 3)
        yield pages.paragraph(
            f"The same for the {100 * OUTLIERS:g} % who are farthest from all others that the "
            "attacker knows: a generator can hardly learn them without giving them away."
        )
        yield _areas_of(outliers, ends)
    if leakage.exposed is not None:
        yield from _exposed(leakage.exposed, ends)
    yield pages.heading("An attacker who must be sure", 3)
    yield pages.paragraph(
        "The share of members that he finds while he wrongly accuses 1 in 100, or 1 in 1,000, of "
        "the others. As large a share is a guess and best; more is worse."
    )
    for share in FALSE_POSITIVES:
        yield _found(everyone, share)
    yield charts.roc(
        {
            ATTACKS[name].partition(" (")[0]: (one.members, one.non_members)
            for name, one in leakage.membership.items()
        }
    )
    yield pages.paragraph(
        "Both axes are of logarithms; the dotted line is a guess, and what lies above it a leak.",
        soft=True,
    )
    if leakage.planted:
        yield from _planted(leakage.planted)
    yield from _attributes(leakage)
    if leakage.copies is not None:
        yield from _copies(leakage.copies)
    yield pages.heading("A lower bound on epsilon", 3)
    yield pages.paragraph(
        "Under differential privacy no attack can do better than epsilon and delta allow, so an "
        "attack that does well bounds epsilon from below. With a probability of 95 % epsilon is "
        "not below the bounds; it is an estimate in so far as the records of one generator share "
        "what happened in its training."
    )
    if promise is not None:
        yield pages.paragraph(f"Promised was an epsilon of {promise.epsilon:.3g}.")
    yield pages.table(
        ["Attack", f"Epsilon at least, at a delta of {leakage.delta:g}"],
        ([ATTACKS[name], f"{bound:.2f}"] for name, bound in leakage.bounds.items()),
    )


def _areas_of(findings: Mapping[str, Finding], ends: tuple[float, float]) -> str:
    rows = [
        charts.Row(ATTACKS[name], one.figures.auroc, one.control.auroc)
        for name, one in findings.items()
    ]
    return charts.intervals(rows, ends, other="control", guess=0.5)


def _exposed(found: Membership, ends: tuple[float, float]) -> Iterator[str]:
    yield pages.heading("The most exposed people, by shadow models", 3)
    yield pages.paragraph(
        f"An attacker who knows the {len(found.members)} members and the {len(found.non_members)} "
        "others who are farthest from everybody he knows, and how the generator was trained, "
        "trains others like it, each on all other members and on a half of these people, and "
        "compares what the generators say of a person who had that person and who had not "
        "(Carlini et al. 2022, arXiv 2112.03570)."
    )
    yield _areas_of({SHADOW: found.everyone}, ends)


def _planted(areas: Mapping[str, Estimate]) -> Iterator[str]:
    yield pages.heading("Canaries", 3)
    yield pages.paragraph(
        "Records that are nobody's, and unlike anybody's, were made up; one more generator was "
        "trained like this one, with each of them among the members or not by the toss of a coin. "
        "The AUC is of telling which were. What training does to them it may do to the people who "
        "are least like others; the bound on epsilon from them is exact (Steinke et al. 2023, "
        "arXiv 2305.08846)."
    )
    rows = [charts.Row(ATTACKS[name], area) for name, area in areas.items()]
    yield charts.intervals(rows, charts.ends_of(areas.values()), guess=0.5)


def _found(findings: Mapping[str, Finding], share: float) -> str:
    accused = f"1 in {1 / share:,.0f} wrongly accused"
    rows = [
        charts.Row(
            f"{ATTACKS[name]}, {accused}", one.figures.tpr[share], one.control.tpr.get(share)
        )
        for name, one in findings.items()
        if share in one.figures.tpr
    ]
    if not rows:
        return pages.paragraph(f"Too few people were held out to say it of {accused}.", soft=True)
    highest = max(row.own.high for row in rows)
    ends = 0.0, min(max(4 * share, math.ceil(10 * highest) / 10 if highest > 4 * share else 0), 1)
    return charts.intervals(rows, ends, other="control", guess=share, percent=True)


def _attributes(leakage: Leakage) -> Iterator[str]:
    yield pages.heading("What is learned about a person", 3)
    if not leakage.attributes:
        yield pages.paragraph("No column was named as sensitive: sensitive=[COLUMN].")
        return
    yield pages.paragraph(
        "An attacker knows all of a person but one column, and guesses it after learning from the "
        "synthetic records. What he can do for people who were not in the data, the control, is "
        "what goes together in everybody; only what he can do better for members is a leak. A "
        "column of numbers is guessed by tenths."
    )
    for kind in ("AUC", "accuracy"):
        rows = []
        for column, learners in leakage.attributes.items():
            for learner, one in learners.items():
                figure = one.auroc if kind == "AUC" else one.accuracy if not one.auroc else None
                if figure is not None:
                    name = f"{column}, {LEARNERS[learner]} ({kind})"
                    said = f"Advantage of members: {written(figure.advantage)}, 0 is best"
                    rows.append(charts.Row(name, figure.members, figure.control, said))
        if rows:
            sides = [side for row in rows for side in (row.own, row.compared) if side]
            axis = charts.ends_of(sides) if kind == "AUC" else (0.0, 1.0)
            guess = 0.5 if kind == "AUC" else None
            yield charts.intervals(rows, axis, other="control", guess=guess)


def _copies(copies: Copies) -> Iterator[str]:
    yield pages.heading("Copies", 3)
    yield pages.paragraph(
        "A check for copies, and no proof of privacy: records that pass it can be wide open to "
        "membership inference (arXiv 2505.01524). A near copy is as near to a member as 1 in 100 "
        "other people are. As many as of other people are best; more were copied."
    )
    yield pages.table(
        ["", "Synthetic records", "Other people's"],
        [
            ["Equal to a member's", *_pair(copies.exact, copies.exact_control)],
            ["Nearly so", *_pair(copies.near, copies.near_control)],
        ],
    )
    if copies.exact_control.value > 0.1:
        yield pages.paragraph(
            "Many of the records held out equal a member's. Where people are not often alike, the "
            "holdout has members in it, and the figures above are too low."
        )


def _pair(own: Estimate, other: Estimate) -> list[str]:
    return [written(own, percent=True), written(other, percent=True)]


def _use(use: Use) -> Iterator[str]:
    yield pages.heading("Use: what the records are worth")
    if use.synthetic:
        yield pages.paragraph(
            "A classifier learns from the synthetic records and is tested on real people who were "
            "held out; beside it the same classifier that has learned from real records. The "
            "nearer to it, the better; 0.5 is a guess, 1 is best."
        )
        rows = [
            charts.Row(f"AUC, {name.replace('_', ' ')}", one.auc, use.real[name].auc)
            for name, one in use.synthetic.items()
        ]
        ends = charts.ends_of(row.own for row in rows)
        yield charts.intervals(rows, ends, other="trained on real records", guess=0.5)
        yield pages.table(
            ["Trained on", "F1", "Accuracy"],
            (
                [f"{kind}: {name.replace('_', ' ')}", written(one.f1), written(one.accuracy)]
                for name in use.synthetic
                for kind, one in (("synthetic", use.synthetic[name]), ("real", use.real[name]))
            ),
        )
    else:
        yield pages.paragraph(
            "No column was predicted: target=COLUMN names one; why one is left out is said below."
        )
    yield from _likeness(use)
    yield from _columns(use)
    if use.fairness is not None:
        yield from _fairness(*use.fairness)


def _likeness(use: Use) -> Iterator[str]:
    yield pages.heading("How like real records", 3)
    yield pages.paragraph(
        "Distances from real records that were held out, in [0, 1]; 0 is best, and what the real "
        "records themselves come to cannot be bettered but by copying them."
    )
    rows = []
    sides = use.apart, use.apart_real
    if use.apart.marginals:
        rows.append(
            [
                "Columns, each by itself, the mean",
                *(f"{statistics.fmean(side.marginals.values()):.3f}" for side in sides),
            ]
        )
    if use.apart.pairs is not None:
        rows.append(["Pairs of columns, the mean", *(f"{side.pairs:.3f}" for side in sides)])
    for key, words in (("mean", "the mean"), ("largest", "the largest")):
        if use.apart.correlations is not None:
            rows.append(
                [
                    f"Correlations, {words} difference",
                    *(f"{getattr(side.correlations, key):.3f}" for side in sides),
                ]
            )
    yield pages.table(["", "Synthetic", "Real"], rows)
    if use.apart.correlations is not None:
        pair = " and ".join(use.apart.correlations.pair)
        yield pages.paragraph(f"The correlation that differs most is that of {pair}.")
    if use.two_sample is not None:
        yield pages.paragraph(
            "A classifier that is to tell synthetic records from real ones has this AUC; 0.5 is "
            "best, for then they cannot be told apart, and 1 is worst."
        )
        yield charts.intervals(
            [charts.Row("AUC", use.two_sample)], charts.ends_of([use.two_sample]), guess=0.5
        )
    coverage = use.coverage
    shares = (
        ("Values of categories that occur", coverage.categories, "1 is best"),
        ("Pairs of values that occur", coverage.pairs, "1 is best"),
        ("Frequency of rare values over the real one", coverage.rare, "1 is best, less too rare"),
    )
    known = [[name, f"{share:.3f}", good] for name, share, good in shares if share is not None]
    if known:
        yield pages.heading("Rare groups", 3)
        yield pages.table(["", "Synthetic", ""], known)
    if coverage.lost:
        lost = ", ".join(coverage.lost[:12])
        more = f", and {len(coverage.lost) - 12:,} more" if len(coverage.lost) > 12 else ""
        yield pages.paragraph(f"Values that do not occur: {lost}{more}.")


def _columns(use: Use) -> Iterator[str]:
    if not use.shapes:
        return
    yield pages.heading("The columns that are least like the real ones", 3)
    yield charts.key()
    yield charts.cards(
        [
            (
                one,
                f"distance {use.apart.marginals[one.column]:.3f}; of the real records "
                f"{use.apart_real.marginals[one.column]:.3f}",
            )
            for one in use.shapes
        ]
    )
    others = sorted(use.apart.marginals.items(), key=lambda item: -item[1])[len(use.shapes) :]
    if others:
        yield pages.heading("The other columns' distances", 3)
        yield pages.bars(others, 1.0, "{:.3f}".format)


def _fairness(made: Fairness, real: Fairness) -> Iterator[str]:
    yield pages.heading("Fairness of the use", 3)
    yield pages.paragraph(
        "How differently a classifier of the target treats groups of people: the largest share "
        "that it selects less the least, and the largest share of those rightly selected less the "
        "least. 0 is best; what counts is that synthetic records make it no worse than real ones."
    )
    differences = {
        "Difference of shares selected": (made.demographic_parity, real.demographic_parity),
        "Difference of true positive rates": (made.equal_opportunity, real.equal_opportunity),
    }
    rows = [charts.Row(name, own, other) for name, (own, other) in differences.items() if own]
    yield charts.intervals(rows, (0.0, 1.0), other="trained on real records")
    yield pages.table(
        ["Group", "People", "Selected: synthetic", "Selected: real"],
        (
            [
                name,
                f"{one.rows:,}",
                written(one.selected, percent=True),
                written(real.groups[name].selected, percent=True),
            ]
            for name, one in made.groups.items()
        ),
    )


def _protocol(found: Audit) -> Iterator[str]:
    said = found.protocol
    yield pages.heading("How it was found")
    yield pages.paragraph(
        f"{said['members']:,} members, {said['holdout']:,} people who were held out, and "
        f"{said['synthetic']:,} synthetic records, of {said['features']:,} features each. Asked "
        f"about: {said['asked_members']:,} members and {said['asked_others']:,} of those held out; "
        f"{said['attackers_own']:,} others of them are the attacker's own records. The draws' seed "
        f"is {said['seed']}. The control is of one half of those held out against the other."
    )
    if found.notes:
        yield pages.listing(found.notes)
    rows = []
    for name, value in said.items():
        if isinstance(value, dict):
            rows += [[f"{name}: {key}", str(each)] for key, each in value.items()]
        else:
            rows.append([name.replace("_", " "), str(value)])
    cells = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in rows)
    yield f"<details><summary>The protocol</summary><table>{cells}</table></details>"
