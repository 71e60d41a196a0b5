import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from touchstone.comparison.groups import (
    Comparison,
    Member,
    compare,
    key_of,
    setting_text,
)
from touchstone.errors import UsageError
from touchstone.tracking.figures import Figure


def member(
    value: float,
    *,
    name: str = "fid10k_fashion",
    protocol: str = "train",
    derived: Sequence[str] = (),
    **settings: Any,
) -> Member:
    """A run; `loss__name` is the key `loss.name`."""
    flat = {key.replace("__", "."): setting for key, setting in settings.items()}
    return Member(
        path=Path("runs") / "_".join(f"{key}{setting}" for key, setting in flat.items()),
        settings=flat,
        figure=Figure(
            name,
            value,
            {"reference": protocol},
            images=1000,
            higher_is_better=name.startswith("recall"),
        ),
        summary={},
        derived=frozenset(derived),
    )


def losses(**values: Sequence[float]) -> list[Member]:
    """Runs of several losses, a seed a value."""
    return [
        member(value, seed=seed, loss__name=loss)
        for loss, figures in values.items()
        for seed, value in enumerate(figures)
    ]


def only(comparisons: list[Comparison]) -> Comparison:
    [comparison] = comparisons
    return comparison


def test_groups_over_seeds_the_best_first() -> None:
    found = only(compare(losses(vanilla=[4.0, 5.0, 9.0], hinge=[2.0, 3.0, 4.0], wgan=[7.0])))

    assert [group.label for group in found.groups] == ["loss=hinge", "loss=vanilla", "loss=wgan"]
    hinge, vanilla, wgan = found.groups
    assert hinge.factors == {"loss.name": "hinge"}
    assert hinge.mean == 3
    assert hinge.deviation == 1
    assert hinge.interval == pytest.approx(stats.t.interval(0.95, 2, loc=3, scale=3**-0.5))
    assert hinge.best.figure.value == 2
    assert vanilla.mean == 6
    assert (wgan.mean, wgan.interval, wgan.deviation) == (7, None, None)
    assert found.differing == {"loss.name": ("hinge", "vanilla", "wgan")}
    assert [effect.factors for effect in found.effects] == [("loss.name",)]


def test_the_best_is_the_highest_where_higher_is_better() -> None:
    runs = [
        member(value, name="recall10k_fashion", seed=seed, loss__name=loss)
        for loss, seed, value in (("hinge", 0, 0.2), ("hinge", 1, 0.4), ("wgan", 0, 0.5))
    ]
    found = only(compare(runs))

    assert found.higher_is_better
    assert [group.label for group in found.groups] == ["loss=wgan", "loss=hinge"]
    assert found.groups[1].best.figure.value == 0.4


def test_differences_are_scipys_with_holms_correction() -> None:
    values = {"a": [1.0, 1.2, 0.9], "b": [1.5, 1.4, 1.8], "c": [1.3, 2.0, 1.1, 1.2]}
    found = only(compare(losses(**values)))

    expected = {}
    for first, second in (("a", "b"), ("a", "c"), ("c", "b")):
        expected[first, second] = stats.ttest_ind(values[first], values[second], equal_var=False)
    pairs = {(one.first[5:], one.second[5:]): one for one in found.differences}
    assert pairs.keys() == expected.keys()
    for pair, test in expected.items():
        assert pairs[pair].p == pytest.approx(test.pvalue, rel=1e-9)
        assert pairs[pair].interval == pytest.approx(tuple(test.confidence_interval()), rel=1e-9)
    p = [test.pvalue for test in expected.values()]
    assert pairs["a", "b"].corrected == pytest.approx(3 * p[0], rel=1e-9)
    assert pairs["a", "b"].difference == pytest.approx(np.mean(values["a"]) - np.mean(values["b"]))


def test_remarks_name_what_the_seeds_do_not_bear_out() -> None:
    found = only(compare(losses(a=[1.0, 1.1, 0.9], b=[1.1, 1.0, 1.2], c=[8.0, 8.1, 7.9], d=[9.0])))

    assert {group.label: found.remarks(group) for group in found.groups} == {
        "loss=a": [],
        "loss=b": ["not distinct from the best"],
        "loss=c": [],
        "loss=d": ["one seed"],
    }
    assert found.from_best["loss=c"].distinct
    assert found.from_best["loss=d"].p is None


def test_a_best_group_of_one_seed_is_not_tested() -> None:
    found = only(compare(losses(a=[1.0], b=[2.0, 2.1])))

    a, b = found.groups
    assert found.remarks(a) == ["one seed"]
    assert found.remarks(b) == ["not tested: the best has one seed"]
    [difference] = found.differences
    assert (difference.p, difference.corrected, difference.interval) == (None, None, None)
    assert not difference.distinct


def test_protocols_and_figures_are_kept_apart() -> None:
    runs = [
        member(3.0, loss__name="b", seed=0, protocol="test"),
        member(1.0, loss__name="a", seed=0),
        member(2.0, loss__name="b", seed=0),
        member(4.0, loss__name="b", seed=0, name="kid10k_fashion"),
    ]
    found = compare(runs)

    assert [(one.figure, one.protocol["reference"]) for one in found] == [
        ("fid10k_fashion", "train"),
        ("fid10k_fashion", "test"),
        ("kid10k_fashion", "train"),
    ]
    assert [len(one.groups) for one in found] == [2, 1, 1]
    assert found[1].groups[0].label == "one configuration"
    # A key of only one of them is none that the others are refused for.
    assert len(compare([*runs, member(1.0, name="swd10k", extra=1)], ["extra"])) == 4


def test_what_follows_from_a_part_is_not_named_beside_it() -> None:
    hinge: dict[str, Any] = {
        "loss__name": "hinge",
        "loss__critic_steps": 1,
        "optimizer__lr": 0.0002,
    }
    wgan: dict[str, Any] = {"loss__name": "wgan", "loss__critic_steps": 5, "optimizer__lr": 0.0001}
    found = only(compare([member(1.0, seed=0, **hinge), member(2.0, seed=0, **wgan)]))

    assert [group.label for group in found.groups] == ["loss=hinge", "loss=wgan"]
    assert found.differing == {
        "loss.name": ("hinge", "wgan"),
        "loss.critic_steps": (1, 5),
        "optimizer.lr": (0.0001, 0.0002),
    }

    faster = member(3.0, seed=0, **(hinge | {"optimizer__lr": 0.0004}))
    found = only(compare([member(1.0, seed=0, **hinge), faster, member(2.0, seed=0, **wgan)]))
    assert [group.label for group in found.groups] == [
        "loss=hinge, optimizer.lr=0.0002",
        "loss=wgan, optimizer.lr=0.0001",
        "loss=hinge, optimizer.lr=0.0004",
    ]


def test_a_budget_that_differs_with_a_part_is_named() -> None:
    short = member(1.0, seed=0, loss__name="hinge", images=1000)
    long = member(2.0, seed=0, loss__name="wgan", images=2000)

    assert [group.label for group in only(compare([short, long])).groups] == [
        "loss=hinge, images=1000",
        "loss=wgan, images=2000",
    ]


def test_a_budget_of_privacy_stands_for_what_comes_with_it() -> None:
    def private(epsilon: int | None, noise: float | None, seed: int = 0) -> Member:
        public = epsilon is not None
        own: dict[str, Any] = {"privacy__epsilon": epsilon, "privacy__noise": noise}
        return member(1.0, seed=seed, data__public=public, **own)

    budgets = {1: 1.7, 3: 0.9, None: None}
    made = [private(*budget, seed) for budget in budgets.items() for seed in (0, 1)]
    found = only(compare(made))
    assert {group.label for group in found.groups} == {
        f"privacy.epsilon={epsilon}" for epsilon in (1, 3, "null")
    }
    assert set(found.differing) == {"privacy.noise", "privacy.epsilon", "data.public"}

    noisier = only(compare([*made, private(3, 5.0)]))
    assert all(set(one.factors) == {"privacy.epsilon", "privacy.noise"} for one in noisier.groups)


def test_what_a_run_is_not_trained_by_does_not_tell_it_apart() -> None:
    one = member(
        1.0, seed=0, runs_dir="a", every__log=1, metrics__interval=None, logger__name="csv"
    )
    other = member(2.0, seed=1, runs_dir="b", every__log=2, metrics__interval=3, sweep="x")

    found = only(compare([one, other]))

    assert [len(group.members) for group in found.groups] == [2]
    assert found.differing == {}


def test_values_taken_from_others_count_only_where_a_run_states_its_own() -> None:
    def run(lr: float, generator_lr: float, *derived: str) -> Member:
        settings: dict[str, Any] = {"lr": lr, "generator__lr": generator_lr}
        return member(lr, derived=derived, **settings)

    slow, fast = run(1, 1, "generator.lr"), run(2, 2, "generator.lr")
    own = run(1, 5)

    assert list(only(compare([slow, fast])).differing) == ["lr"]
    assert list(only(compare([slow, own])).differing) == ["generator.lr"]


def test_grouping_by_some_keys_names_what_is_mixed() -> None:
    runs = [
        member(value, seed=0, loss__name=loss, model__name=model)
        for value, (loss, model) in enumerate(
            [("a", "dcgan"), ("a", "resnet"), ("b", "dcgan"), ("b", "dcgan")]
        )
    ]
    found = only(compare(runs, ["loss"]))

    a, b = found.groups
    assert (a.label, b.label) == ("loss=a", "loss=b")
    assert a.mixed == ("model.name",)
    assert b.mixed == ()
    assert found.remarks(a) == ["mixes model"]
    assert [group.label for group in only(compare(runs, ["model", "loss"])).groups] == [
        "model=dcgan, loss=a",
        "model=resnet, loss=a",
        "model=dcgan, loss=b",
    ]


@pytest.mark.parametrize(
    ("word", "hint"),
    [("los", " Did you mean loss?"), ("optimizer", " Did you mean optimizer.lr?"), ("zzz", "")],
)
def test_a_key_that_no_run_has_is_refused(word: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        compare([member(1.0, loss__name="a", optimizer__lr=1)], [word])

    assert str(caught.value) == f"by={word}: no run's configuration has such a key.{hint}"


def test_labels_of_values_that_look_alike_are_told_apart() -> None:
    found = only(compare([member(1.0, lr=0.12345678), member(2.0, lr=0.12345679)]))

    assert [group.label for group in found.groups] == ["lr=0.12345678", "lr=0.12345679"]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("loss.name", "hinge", "loss=hinge"),
        ("optimizer.lr", 0.0002, "optimizer.lr=0.0002"),
        ("optimizer.betas", (0.5, 0.999), "optimizer.betas=[0.5, 0.999]"),
        ("schedule._target_", "touchstone.schedules.Cosine", "schedule=Cosine"),
        ("loss.penalties.r1._target_", None, "loss.penalties.r1=null"),
        ("channels_last", True, "channels_last=true"),
        ("model.normalization", "${first_allowed:a,b}", "model.normalization=derived"),
    ],
)
def test_settings_are_written_as_a_user_does(key: str, value: Any, text: str) -> None:
    assert setting_text(key, value) == text


def test_keys_by_their_parts() -> None:
    known = ["loss.name", "loss.critic_steps", "schedule._target_", "seed"]

    assert [key_of(word, known, "by") for word in ("loss", "loss.name", "schedule", "seed")] == [
        "loss.name",
        "loss.name",
        "schedule._target_",
        "seed",
    ]


def test_the_curve_and_the_samples_of_a_run(tmp_path: Path) -> None:
    record = [
        {"images": 100, "speed/seconds": 2.0, "loss/generator": 1.0},
        {"images": 100, "fid10k_fashion": 9.0},
        {"images": 200, "speed/seconds": 4.0},
        {"images": 200, "fid10k_fashion": 7.0},
        {"images": 200, "speed/seconds": 4.5},  # a resumed run writes again
        {"images": 200, "fid10k_fashion": 6.0, "speed/seconds": 4.5},
        {"images": 250, "fid10k_fashion": None},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in record))
    (tmp_path / "samples").mkdir()
    for name in ("000000200.png", "000000100.png", "000000100_1.png", "notes.txt"):
        (tmp_path / "samples" / name).touch()
    run = Member(tmp_path, {}, Figure("fid10k_fashion", 6.0, {}), {})

    assert run.curve() == [(100, 2.0, 9.0), (200, 4.5, 6.0)]
    assert [(images, path.name) for images, path in run.samples()] == [
        (100, "000000100.png"),
        (200, "000000200.png"),
    ]


def simulated(means: Sequence[float], seed: int, seeds: int = 5) -> Comparison:
    generator = np.random.default_rng(seed)
    groups = {f"g{n}": generator.normal(mean, 1, seeds).tolist() for n, mean in enumerate(means)}
    return only(compare(losses(**groups)))


def called(found: Comparison) -> bool:
    return any(difference.distinct for difference in found.differences)


@pytest.mark.parametrize("groups", [2, 4])
def test_a_planted_null_is_called_a_difference_no_more_often_than_stated(groups: int) -> None:
    calls = sum(called(simulated([10] * groups, seed)) for seed in range(1000))

    assert calls <= stats.binom.ppf(0.975, 1000, 0.05)


def test_a_planted_difference_of_two_deviations_is_found_in_most_cases() -> None:
    calls = sum(called(simulated([10, 12], seed)) for seed in range(1000))

    assert calls > 700


def test_nothing_to_compare() -> None:
    assert compare([]) == []
