import functools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from touchstone.comparison import page
from touchstone.comparison.groups import Member, compare
from touchstone.comparison.trade_off import Measured, TradeOff, find, section, style
from touchstone.errors import UsageError
from touchstone.tracking.figures import Figure

PROTOCOL = {"generated": 10000, "reference": "train", "real": "0a9e", "seed": 0}
PAIR = ("tstr", "membership")
FIGURE = r"(?s)<figure.*?</figure>"
Make = Callable[..., Member]


def line(name: str, value: float, images: int = 1000, **protocol: Any) -> dict[str, Any]:
    """A figure as it stands in a run's record."""
    stated = {"name": name, "value": value, "protocol": PROTOCOL | protocol, "images": images}
    return stated | {"higher_is_better": not name.startswith(("membership", "leakage"))}


def figures(use: float, leakage: float, **protocol: Any) -> list[dict[str, Any]]:
    """What the metrics of use and of leakage record: two attacks, of which one is the stronger."""
    found = {"tstr10k": use, "tstr10k/low": use - 0.01, "tstr10k/high": use + 0.02}
    found |= {"tstr10k/f1": 0.4, "tstr10k/real": 0.92, "tstr10k/real/low": 0.91}
    found |= {"membership10k": leakage, "membership10k/nearest": leakage - 0.01}
    found |= {"membership10k/nearest/low": 0.1, "membership10k/nearest/high": 0.9}
    found |= {"membership10k/density_ratio": leakage}
    found |= {f"membership10k/density_ratio/{end}": leakage + by for end, by in ENDS.items()}
    return [line(name, value, **protocol) for name, value in found.items()]


ENDS = {"low": -0.008, "high": 0.009}


def member(
    folder: Path, *record: Mapping[str, Any], seed: int = 0, name: str = "", **settings: Any
) -> Member:
    """A finished run's folder with figures, and the run as it is compared by the first."""
    path = folder / f"{name or '_'.join(map(str, settings.values()))}_s{seed}"
    path.mkdir()
    (path / "figures.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in record))
    return Member(
        path=path,
        settings={"seed": seed} | {key.replace("__", "."): of for key, of in settings.items()},
        figure=Figure(**record[0]),
        summary={"status": "finished", "images": 1000},
    )


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes runs in the test's folder."""
    return functools.partial(member, tmp_path)


@pytest.fixture
def sweep(make: Make) -> list[Member]:
    """Two seeds at an epsilon of 1, two at 10, and one run without privacy."""
    uses = {1: (0.70, 0.72), 10: (0.80, 0.80), None: (0.86,)}
    return [
        make(*figures(use, 0.5 + use / 20), seed=seed, privacy__epsilon=epsilon)
        for epsilon, values in uses.items()
        for seed, use in enumerate(values)
    ]


def only(runs: list[Member], pair: tuple[str, str] = PAIR) -> TradeOff:
    [found] = find(compare(runs), pair)
    assert found is not None
    return found


def html(found: TradeOff) -> str:
    return "\n".join(section(found, page.COLORS))


def placed(figure: str) -> list[tuple[float, float]]:
    """Where marks lie in a drawing, in percent: across, upward."""
    marks = re.findall(r'<svg x="([\d.]+)%" y="([\d.]+)%" overflow', figure)
    return [(float(x), 100 - float(y)) for x, y in marks]


def test_a_figure_comes_with_its_interval_and_real_datas() -> None:
    found = Measured.of(figures(0.8, 0.52), "tstr10k")
    assert found is not None
    assert found.figure.name == "tstr10k"
    assert found.span.value == 0.8
    assert found.span.interval == pytest.approx((0.79, 0.82))
    assert found.real == 0.92


def test_a_headlines_interval_is_that_of_the_part_that_it_is() -> None:
    found = Measured.of(figures(0.8, 0.52), "membership")
    assert found is not None
    assert found.span.value == 0.52
    assert found.span.interval == pytest.approx((0.512, 0.529))
    assert found.real is None


def test_the_audits_real_data_are_named_in_place_of_a_word() -> None:
    names = {"use/tstr/forest/auc": 0.8, "use/real/forest/auc": 0.9, "use/real/other/auc": 0.1}
    found = Measured.of([line(*each) for each in names.items()], "use/tstr/forest/auc")
    assert found is not None
    assert (found.span.interval, found.real) == (None, 0.9)


def test_what_goes_with_a_figure_is_of_its_protocol_and_the_latest() -> None:
    record = figures(0.7, 0.5) + figures(0.8, 0.52) + figures(0.9, 0.6, seed=1)
    found = Measured.of(record, "tstr")
    assert found is not None
    assert found.span.value == 0.8
    assert found.span.interval == pytest.approx((0.79, 0.82))
    assert Measured.of(record, "kid") is None
    assert Measured.of([line("tstr10k", float("nan"))], "tstr") is None


def test_a_point_a_run_and_a_mean_of_seeds(sweep: list[Member]) -> None:
    found = only(sweep)
    assert found.names == ("tstr10k", "membership10k")
    assert found.corner == "upper left"
    # The best first: of 0.86, of 0.8 twice, of 0.70 and 0.72.
    cells = [found.cell(runs, style(1, "c"), "", "") for _, _, runs in found.groups]
    assert [len(cell) for cell in cells] == [1, 3, 3]
    assert cells[0][0].y.interval == pytest.approx((0.85, 0.88))
    assert cells[1][-1].y.interval == pytest.approx((0.8, 0.8))
    low, _, mean = cells[2]
    assert low.small
    assert not mean.small
    assert low.y.interval == pytest.approx((0.69, 0.72))
    assert mean.x.value == pytest.approx(0.5355)
    # Student's t of 0.70 and 0.72, whose deviation over the root of 2 is 0.01: 12.706 times that.
    assert mean.y.interval == pytest.approx((0.71 - 0.12706, 0.71 + 0.12706), abs=1e-5)


def test_the_page_says_what_is_drawn(sweep: list[Member]) -> None:
    text = html(only(sweep))
    assert "<h3>tstr10k over membership10k</h3>" in text
    assert "the upper left corner is best" in text
    for said in ("0.5: no more than a guess", "real data: 0.920"):
        assert f">{said}</text>" in text
    assert "membership10k: AUC of membership inference; lower is better" in text
    key = re.findall(r"<li>.*?</li>", text)
    words = [re.sub(r"<[^>]*>", "|", entry).strip("|") for entry in key]
    assert words == [
        "1 |privacy.epsilon=null|, one&nbsp;seed|tstr10k 0.8600 (0.8500 to 0.8800)|"
        "membership10k 0.5430 (0.5350 to 0.5520)",
        "2 |privacy.epsilon=10|, 2&nbsp;seeds|tstr10k 0.8000 (0.8000 to 0.8000)|"
        "membership10k 0.5400 (0.5400 to 0.5400)",
        "3 |privacy.epsilon=1|, 2&nbsp;seeds|tstr10k 0.7100 (0.5829 to 0.8371)|"
        "membership10k 0.5355 (0.5291 to 0.5419)",
    ]


def test_over_a_setting_with_no_bound_at_the_end(sweep: list[Member]) -> None:
    _, figure = re.findall(FIGURE, html(only(sweep)))
    ticks = re.findall(r'x="([\d.]+)%" y="100%"[^>]*>([^<]*)<', figure)
    assert [text for _, text in ticks] == ["1", "10", "∞"]
    # A decade, and as much again; a third of it on either side.
    assert [float(place) for place, _ in ticks] == pytest.approx([12.5, 50, 87.5], abs=0.01)
    marks = placed(figure)
    assert [x for x, _ in marks[-3:]] == pytest.approx([12.5, 50, 87.5], abs=0.01)  # the means
    assert [y for _, y in marks[-3:]] == sorted(y for _, y in marks[-3:])
    assert all(8 < x < 12.5 or 45 < x < 50 for x, _ in marks[:-3])
    assert figure.count('class="along"') == 2


def test_lines_go_along_runs_that_are_alike_otherwise(make: Make) -> None:
    runs = [
        make(*figures(use + 0.01 * plus, 0.52), model__name=model, privacy__epsilon=epsilon)
        for plus, model in enumerate(("ctgan", "mlp"))
        for epsilon, use in ((1, 0.7), (3, 0.75), (None, 0.8))
    ]
    _, figure = re.findall(FIGURE, html(only(runs)))
    along = re.findall(r'class="along" stroke-dasharray="([^"]*)"', figure)
    assert sorted(along) == ["", "", "7 4", "7 4"]
    assert len({x for x, _ in placed(figure)}) == 6  # beside each other

    [by_model] = find(compare(runs, ["model"]), PAIR)
    assert by_model is not None
    _, figure = re.findall(FIGURE, html(by_model))
    assert figure.count('class="along"') == 4
    assert len(placed(figure)) == 6


def test_runs_that_differ_in_no_epsilon_have_one_chart(make: Make) -> None:
    runs = [make(*figures(0.8, 0.52), loss__name=loss) for loss in ("hinge", "vanilla")]
    assert html(only(runs)).count("<figure") == 1
    ones = [make(*figures(0.8, 0.52), name=n, loss__name=n, privacy__epsilon=3) for n in "ab"]
    assert html(only(ones)).count("<figure") == 1


def test_other_protocols_and_runs_without_are_counted_and_not_drawn(make: Make) -> None:
    leaks = [each for each in figures(0.8, 0.52, attacks=2) if each["name"].startswith("member")]
    uses = [each for each in figures(0.8, 0.52) if each["name"].startswith("tstr")]
    runs = [make(*figures(0.9, 0.52), width=width) for width in (1, 2)]
    runs += [make(*uses, *leaks, width=3), make(*uses, width=4)]
    found = only(runs)
    assert len(found.measured) == 2
    text = html(found)
    assert "not drawn: by another protocol 1, without both figures 1." in text
    assert [rank for rank, _, _ in found.groups] == [1, 2]


def test_by_default_the_usual_figures_where_two_runs_have_them(make: Make) -> None:
    plain = [make(line("fid10k", 3.0), name=name, width=name) for name in "ab"]
    assert find(compare(plain), None) == [None]
    one = [*plain[:1], make(*figures(0.8, 0.52), name="c", width="c")]
    assert find(compare(one), None) == [None, None]

    audited = {"leakage/auc": 0.52, "use/tstr/gradient_boosting/auc": 0.8}
    record = [line(*each) for each in audited.items()]
    both = [make(line("fid10k", 3.0), *record, name=name, width=name) for name in "de"]
    [found] = find(compare(both), None)
    assert found is not None
    assert found.names == ("use/tstr/gradient_boosting/auc", "leakage/auc")


def test_any_two_figures_go_and_those_that_are_not_there_are_said(make: Make) -> None:
    record = line("fid10k_fashion", 3.0) | {"higher_is_better": False}, line("recall10k", 0.4)
    runs = [make(*record, name=name, width=name) for name in "ab"]
    assert only(runs, ("fid", "recall10k")).corner == "lower right"
    comparisons = compare(runs)
    with pytest.raises(UsageError, match=r"^trade_off=\[tstr,recall\]: no two runs"):
        find(comparisons, ["tstr", "recall"])
    for pair in (["fid"], ["fid", "fid"], ["fid", "kid", "recall"]):
        with pytest.raises(UsageError, match=r"^trade_off=.*: name two figures"):
            find(comparisons, pair)


def test_a_label_is_no_html_and_the_report_has_it_in_its_section(
    make: Make, tmp_path: Path
) -> None:
    runs = [make(*figures(0.8, 0.5), name=name, loss__name=f"<i>{name}") for name in "ab"]
    path = tmp_path / "report.html"
    page.write(compare(runs), [], path)
    text = path.read_text()
    assert "<i>a" not in text
    shown = text[text.index('<section class="comparison">') : text.index("</section>")]
    assert shown.count('<figure class="scatter">') == 1


def test_the_thirteenth_group_is_grey_and_a_point_a_run(make: Make) -> None:
    runs = [
        make(*figures(0.5 + width / 100, 0.52), seed=seed, width=width)
        for width in range(14)
        for seed in (0, 1)
    ]
    text = html(only(runs))
    assert len(re.findall("<li>", text)) == 12
    assert len(placed(text)) == 12 * 3 + 2 * 2
    grey = r'class="(\w+ ?\w*)" style="color:var\(--soft\)"'
    assert re.findall(grey, text) == ["mark small"] * 4
    assert "Grey are the runs" in text
    assert len({style(rank, page.COLORS) for rank in range(1, 13)}) == 12
