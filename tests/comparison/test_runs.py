import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from touchstone.comparison.groups import Member
from touchstone.comparison.runs import chosen, find, flat, latest, read, settings_of
from touchstone.errors import UsageError

CONFIG = """\
seed: {seed}
images: 1000
sweep: {sweep}
data_dir: ${{oc.env:HOME}}/data
optimizer:
  lr: 0.0002
  betas:
  - 0.5
  - 0.999
  generator:
    lr: ${{..lr}}
    betas: ${{..betas}}
loss:
  name: {loss}
  penalties: {{}}
model:
  name: dcgan
  normalization: ${{first_allowed:a,b}}
  width: 32
  generator:
    width: ${{model.width}}
callbacks:
  shown: ${{sweep}}
logger:
  wandb:
    tags:
    - paper
"""
PROTOCOL = {"extractor": "fashion", "seed": 0}
Make = Callable[..., Path]


def figure(value: float, name: str = "fid10k_fashion", images: int = 1000, **protocol: Any) -> str:
    """A line of the figures' record."""
    line = {"name": name, "value": value, "protocol": PROTOCOL | protocol, "generator": "ab"}
    return json.dumps(line | {"images": images, "time": "2026-11-22T12:00:00+00:00"})


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a finished run's folder, as training leaves it."""

    def run(
        name: str,
        *figures: str,
        seed: int = 0,
        loss: str = "hinge",
        sweep: str = "null",
        started: str = "2026-11-22T12:00:00+00:00",
        status: str = "finished",
    ) -> Path:
        path = tmp_path / "runs" / name
        path.mkdir(parents=True)
        (path / "config.yaml").write_text(CONFIG.format(seed=seed, loss=loss, sweep=sweep))
        environment = {"started": started, "versions": {"touchstone": "0.1.0"}}
        (path / "environment.json").write_text(json.dumps(environment))
        lines = figures or (figure(9.0, images=500), figure(3.0))
        (path / "figures.jsonl").write_text("".join(f"{line}\n" for line in lines))
        (path / "summary.json").write_text(json.dumps({"status": status, "images": 1000}))
        return path

    return run


def only(path: Path, **options: Any) -> Member:
    members, left_out = read([path], **options)
    assert left_out == []
    return members[0]


def reason(path: Path, **options: Any) -> str:
    """Why a folder is left out."""
    members, [(left_out, why)] = read([path], **options)
    assert members == []
    assert left_out == path
    return why


def test_a_run_as_it_is_compared(make: Make) -> None:
    path = make("one", seed=7, sweep="grid")

    run = only(path)

    assert run.name == "one"
    assert (run.figure.name, run.figure.value, run.figure.images) == ("fid10k_fashion", 3.0, 1000)
    assert run.figure.protocol == PROTOCOL
    assert run.summary["images"] == 1000
    assert run.started == "2026-11-22T12:00:00+00:00"
    assert run.tags == ("grid", "paper")
    assert run.settings == {
        "seed": 7,
        "images": 1000,
        "sweep": "grid",
        "data_dir": "${oc.env:HOME}/data",
        "optimizer.lr": 0.0002,
        "optimizer.betas": (0.5, 0.999),
        "optimizer.generator.lr": 0.0002,
        "optimizer.generator.betas": (0.5, 0.999),
        "loss.name": "hinge",
        "model.name": "dcgan",
        "model.normalization": "${first_allowed:a,b}",
        "model.width": 32,
        "model.generator.width": 32,
        "callbacks.shown": "grid",
        "logger.wandb.tags": ("paper",),
    }
    assert run.derived == {
        "data_dir",
        "optimizer.generator.lr",
        "optimizer.generator.betas",
        "model.normalization",
        "model.generator.width",
        "callbacks.shown",
    }


def test_a_configuration_is_read_in_parts_as_in_whole(composed: Callable[..., Any]) -> None:
    from omegaconf import OmegaConf

    composition = composed("loss=wgan_gp", "data=digits", "metrics=[fid,kid]")
    text = OmegaConf.to_yaml(composition)
    whole = dict(flat(yaml.safe_load(text)))
    resolved = dict(flat(yaml.safe_load(OmegaConf.to_yaml(composition, resolve=True))))

    settings, derived = settings_of(text)

    assert len(settings) > 100
    assert settings.keys() == whole.keys()
    assert {key for key in whole if "${" in str(whole[key])} == derived
    assert all(settings[key] == whole[key] for key in whole.keys() - derived)
    assert settings["optimizer.generator.lr"] == settings["optimizer.lr"] == 0.0001
    assert settings["callbacks.curves.every"] == settings["every.log"]
    left = {key for key, value in settings.items() if "${" in str(value)}
    assert all(settings[key] == resolved[key] for key in settings.keys() - left)
    # What a function of ours, the machine or a whole part says is no plain value.
    functions = ("${oc.env:", "${first_allowed:", "${known_classes:}", "${sample_shape:}")
    assert not {key for key in left if not settings[key].startswith(functions)} & resolved.keys()
    assert all(hash(value) is not None for value in settings.values())


def test_interpolations_are_followed_from_one_to_the_next() -> None:
    settings, derived = settings_of("a:\n  b: ${.c}\n  c: ${d.e}\nd:\n  e: ${f}\nf: 1\n")

    assert settings == {"a.b": 1, "a.c": 1, "d.e": 1, "f": 1}
    assert derived == {"a.b", "a.c", "d.e"}


def test_a_default_stands_in_for_what_is_not_there() -> None:
    selected = "a: ${oc.select:b.c,64}\nd: ${oc.select:e,false}\nf: ${oc.select:..g,x}\n"

    assert settings_of(selected)[0] == {"a": 64, "d": False, "f": "x"}
    assert settings_of(f"{selected}b:\n  c: 500\ne: ${{b.c}}\n")[0] == {
        "a": 500, "d": 500, "f": "x", "b.c": 500, "e": 500,
    }  # fmt: skip
    assert settings_of("a: ${oc.select:b.c}\n")[0] == {"a": "${oc.select:b.c}"}


def test_interpolations_that_lead_nowhere_stand_as_they_are() -> None:
    settings, derived = settings_of("a: ${a}\nc: ${.missing}\nd: ${e}\ne:\n  f: 1\n")

    assert settings == {"a": "${a}", "c": "${.missing}", "d": "${e}", "e.f": 1}
    assert derived == {"a", "c", "d"}


def test_lists_of_parts_and_documents_of_other_hands_are_read() -> None:
    text = "# by hand\n---\nlayers:\n- {size: 1}\n- {size: 2}\n'odd key': yes\n\nempty:\n"

    assert settings_of(text)[0] == {
        "layers.0.size": 1,
        "layers.1.size": 2,
        "odd key": True,
        "empty": None,
    }


def test_which_figure_is_compared(make: Make) -> None:
    path = make(
        "one",
        figure(8.0, images=500),
        figure(3.0),
        figure(0.1, "kid10k_fashion/deviation"),
        figure(0.5, "kid10k_fashion"),
        figure(1.0, "fid50k_inception"),
        figure(3.5),  # evaluated once more, by the same protocol
        figure(2.0, seed=1),
    )

    assert only(path).figure.value == 3.5
    assert only(path, figure="fid10k_fashion").figure.value == 3.5
    assert only(path, figure="kid").figure.value == 0.5
    assert only(path, figure="fid50k_inception").figure.value == 1.0
    assert reason(path, figure="fi") == "no figure fi at its end, 1,000 images"


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("config.yaml", None, "no run: it has no config.yaml"),
        ("config.yaml", "loss: [", "cannot be read: while parsing a flow node"),
        ("config.yaml", "loss", "its record, of touchstone 0.1.0, is not as this version's"),
        ("summary.json", None, "not finished, or half written: it has no summary.json"),
        ("summary.json", '{"status": "fin', "cannot be read: summary.json is damaged"),
        ("summary.json", "[]", "its record, of touchstone 0.1.0, is not as this version's"),
        ("summary.json", '{"ended": 1}', "its record, of touchstone 0.1.0, is not as this"),
        ("summary.json", '{"status": "interrupted"}', "not finished (interrupted)"),
        ("environment.json", None, "not finished, or half written: it has no environment.json"),
        ("environment.json", "{}", "its record, of an unknown version, is not as this version's"),
        ("figures.jsonl", None, "no figures were computed"),
        ("figures.jsonl", '{"name": "fid10k', "no figures were computed"),
        ("figures.jsonl", figure(1.0, images=900), "no figure at its end, 1,000 images"),
        ("figures.jsonl", figure(math.nan), "its fid10k_fashion is nan"),
        ("figures.jsonl", figure(math.inf), "its fid10k_fashion is inf"),
        ("figures.jsonl", '{"fid": 3}', "its record, of touchstone 0.1.0, is not as this"),
        (
            "figures.jsonl",
            figure(1.0)[:-1] + ', "unit": "px"}',
            "its record, of touchstone 0.1.0, is not as this",
        ),
    ],
)
def test_what_cannot_be_compared_is_named(
    make: Make, file: str, content: str | None, why: str
) -> None:
    path, sound = make("one"), make("two")
    if content is None:
        (path / file).unlink()
    else:
        (path / file).write_text(content)

    assert reason(path).startswith(why)
    members, left_out = read([path, sound])
    assert [member.name for member in members] == ["two"]
    assert len(left_out) == 1


def test_bytes_and_folders_in_the_place_of_records(make: Make, tmp_path: Path) -> None:
    path = make("one")
    (path / "config.yaml").write_bytes(b"\xff\xfe\x00")
    assert reason(path).startswith("cannot be read")
    (path / "summary.json").unlink()
    (path / "summary.json").mkdir()
    assert reason(path).startswith("cannot be read")
    (tmp_path / "notes.txt").write_text("text")
    assert reason(tmp_path / "notes.txt") == "no run: it has no config.yaml"
    assert reason(tmp_path / "missing") == "there is no such run"


def test_runs_that_have_not_finished_count_when_asked_for(make: Make) -> None:
    going = make("going", figure(9.0, images=200), figure(8.0, images=400))
    (going / "summary.json").unlink()
    stopped = make("stopped", figure(7.0, images=600), status="interrupted")

    assert only(going, unfinished=True).figure.value == 8.0
    assert only(going, unfinished=True).summary == {}
    assert only(stopped, unfinished=True).figure.value == 7.0
    (going / "figures.jsonl").unlink()
    assert reason(going, unfinished=True) == "no figures were computed"


def test_finding_by_paths_names_and_patterns(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make("2026_a"), make("2026_b")
    runs = tmp_path / "runs"
    (runs / "broken").mkdir()
    (runs / "sweeps" / "grid").mkdir(parents=True)
    (runs / ".trash").mkdir()
    (runs / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)

    def names(*words: str) -> list[str]:
        return [path.name for path in find(words, Path("runs"))]

    assert names("runs") == ["2026_a", "2026_b", "broken"]
    assert names(str(runs)) == ["2026_a", "2026_b", "broken"]
    assert names("runs/2026_b") == ["2026_b"]
    assert names("2026_a", "2026_a", str(first)) == ["2026_a"]
    assert names("2026*") == ["2026_a", "2026_b"]
    assert names(f"{tmp_path}/*/*_b") == [second.name]
    assert names("*") == ["2026_a", "2026_b", "broken"]  # the one folder here, runs
    assert names("nothing", "no*thing") == ["nothing", "no*thing"]
    monkeypatch.chdir(runs)
    assert names("*") == ["2026_a", "2026_b", "broken", "notes.txt"]
    assert names("../runs/2026*") == ["2026_a", "2026_b"]


def test_filters(make: Make) -> None:
    make("a", seed=0, loss="hinge", started="2026-11-01T23:59:59+00:00")
    make("b", seed=1, loss="wgan", started="2026-11-02T00:00:00+00:00", sweep="grid")
    last = make("c", seed=2, loss="wgan", started="2026-12-01T12:30:00+00:00")
    members, _ = read(find([str(last.parent)], last.parent))

    def names(**filters: Any) -> str:
        where = filters.pop("where", {})
        return "".join(member.name for member in chosen(members, where, **filters))

    assert names() == "abc"
    assert names(where={"loss": "wgan"}) == names(where={"loss.name": "wgan"}) == "bc"
    assert names(where={"seed": (0, 2)}) == "ac"
    assert names(where={"seed": (0, 2), "loss": "wgan"}) == "c"
    assert names(where={"optimizer.betas": (0.5, 0.999), "model.generator.width": 32}) == "abc"
    assert names(where={"loss": "none"}) == ""
    assert names(since="2026-11-02") == "bc"
    assert names(until="2026-11-01") == "a"
    assert names(until="2026-11") == "ab"
    assert names(since="2026-11-02", until="2026-11-30") == "b"
    assert names(since="2026-12-01 12:31") == ""
    assert names(tag="grid") == "b"
    assert names(tag="paper") == "abc"
    assert chosen([], {"loss": "wgan"}) == []
    with pytest.raises(UsageError, match=r"^where=los: no run.* Did you mean loss"):
        names(where={"los": "wgan"})
    with pytest.raises(UsageError, match=r"^until=yesterday: it has to be a date, such as 2026"):
        names(until="yesterday")


def test_of_copies_the_last_one_counts(make: Make) -> None:
    early = make("early", started="2026-11-01T00:00:00+00:00")
    late = make("late", started="2026-11-03T00:00:00+00:00", sweep="again")
    make("seed", seed=1)
    make("loss", loss="wgan")
    make("protocol", figure(3.0, seed=1))
    members, _ = read(find([str(late.parent)], late.parent))

    kept, left_out = latest(members)

    assert sorted(member.name for member in kept) == ["late", "loss", "protocol", "seed"]
    assert left_out == [(early, "the configuration and the seed are late's")]
