import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Xml

import pytest

from touchstone.comparison.scatter import SHAPES, Axis, Point, Span, Style, apart, chart, ticks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DISC, SQUARE = Style(0, "#0072b2"), Style(1, "#d55e00", hollow=True)


def axis(title: str, low: float = 0.0, high: float = 1.0, **more: Any) -> Axis:
    return Axis(title, low, high, ticks(low, high), **more)


def drawn(points: list[Point], **more: Any) -> Xml.Element:
    """The figure of points on two axes from 0 to 1, read as XML."""
    return Xml.fromstring(chart(axis("across"), axis("upward"), points, **more))


def lines(figure: Xml.Element, kind: str) -> list[tuple[float, ...]]:
    """From where to where lines of a class go, in percent: across, from the top."""
    return [
        tuple(float(line.attrib[key].removesuffix("%")) for key in ("x1", "y1", "x2", "y2"))
        for line in figure.iter("line")
        if line.attrib["class"] == kind
    ]


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.493, 0.531, ["0.50", "0.51", "0.52", "0.53"]),
        (-0.31, 0.31, ["-0.2", "0.0", "0.2"]),
        (12.0, 480.0, ["100", "200", "300", "400"]),
        (0.0, 0.00007, ["0.00000", "0.00002", "0.00004", "0.00006"]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, texts: list[str]) -> None:
    found = ticks(low, high)
    assert [text for _, text in found] == texts
    assert [place for place, _ in found] == pytest.approx([float(text) for text in texts])


def test_a_mark_lies_where_its_values_are_and_a_whisker_from_end_to_end() -> None:
    point = Point(Span(0.25, (0.2, 0.4)), Span(0.9, (0.8, 0.95)), SQUARE, "a <run>")
    figure = drawn([point])

    [place] = figure.findall(".//svg/svg")
    assert (place.attrib["x"], place.attrib["y"]) == ("25.00%", "10.00%")
    assert place.findtext("title") == "a <run>"
    [path] = place.findall("path")
    assert path.attrib["d"] == SHAPES[1]
    assert path.attrib["class"] == "mark hollow"
    assert lines(figure, "whisker") == [(20, 10, 40, 10), (25, 20, 25, 5)]


def test_an_interval_that_leaves_the_chart_is_cut_at_its_edge() -> None:
    figure = drawn([Point(Span(0.5, (-3, 4)), Span(0.5), DISC, "")])
    assert lines(figure, "whisker") == [(0, 50, 100, 50)]


def test_an_axis_shows_every_value_and_interval_and_of_those_to_be_cut_as_much_again() -> None:
    spans, means = [Span(0.6, (0.58, 0.62))], [Span(0.8, (0.7, 9.0))]
    found = Axis.over("use", spans, [(0.9, "real data")], means)
    # From 0.58, the lower end, to 0.9 and half of 0.9 - 0.58 beyond; then 6 % on either side.
    assert (found.low, found.high) == pytest.approx((0.58 - 0.06 * 0.48, 1.06 + 0.06 * 0.48))
    assert Axis.over("use", [*spans, *means]).high > 9

    for value in (0.5, 0.0, -2.0):
        alone = Axis.over("use", [Span(value), Span(value)])
        assert alone.low < value < alone.high
        assert alone.ticks


def test_lines_across_are_named_and_joined_points_are_joined() -> None:
    points = [Point(Span(at), Span(at), DISC, "") for at in (0.1, 0.5, 0.7)]
    x, y = axis("across", lines=[(0.5, "a guess")]), axis("upward", lines=[(0.9, "real")])
    figure = Xml.fromstring(chart(x, y, points, joined=[points], spokes=[(points[0], points[2])]))

    assert lines(figure, "said") == [(50, 100, 50, 0), (0, 10, 100, 10)]
    assert lines(figure, "along") == [(10, 90, 50, 50), (50, 50, 70, 30)]
    assert lines(figure, "spoke") == [(10, 90, 70, 30)]
    texts = [text.text for text in figure.iter("text")]
    assert {"a guess", "real"} <= set(texts)
    assert [caption.text for caption in figure.findall("figcaption")] == ["upward", "across"]


def test_ticks_too_near_are_not_all_said() -> None:
    crowded = [(0.0, "a"), (0.05, "b"), (0.1, "c"), (0.95, "d"), (1.0, "e")]
    assert [text for _, text in apart(Axis("", 0.0, 1.0, crowded))] == ["a", "c", "e"]


def test_texts_of_neighbours_stand_on_different_sides() -> None:
    near = [Point(Span(at), Span(0.5), DISC, "", text) for at, text in ((0.5, "1"), (0.53, "2"))]
    edge = Point(Span(0.99), Span(0.1), DISC, "", "3")
    beside = {
        text.text: (text.attrib["text-anchor"], text.attrib["dy"])
        for text in drawn([*near, edge]).iter("text")
        if text.attrib.get("class") == "beside"
    }
    assert beside["1"] != beside["2"]
    assert beside["3"] == ("end", "-7")


@pytest.mark.parametrize("width", [360, 1200])
def test_text_is_as_large_and_inside_on_any_screen(browser: "Browser", width: int) -> None:
    points = [
        Point(Span(at), Span(at), DISC, "", text) for at, text in ((0.0, "first"), (1.0, "last"))
    ]
    from importlib import resources

    style = resources.files("touchstone.comparison").joinpath("page.css").read_text("utf-8")
    lined = axis("across " * 12, 0.0, 1.0, lines=[(0.0, "no more than a guess")])
    shown = browser.new_page(viewport={"width": width, "height": 800})
    shown.set_content(f"<style>{style}</style>{chart(lined, axis('upward'), points)}")
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    sizes, boxes = shown.evaluate(
        "[[...document.querySelectorAll('text')].map((one) => getComputedStyle(one).fontSize),"
        " [...document.querySelectorAll('text')].map((one) => one.getBoundingClientRect())"
        ".map(({ left, right }) => [left, right])]"
    )
    shown.close()
    assert set(sizes) == {"13px"}
    assert min(left for left, _ in boxes) >= 0
    assert max(right for _, right in boxes) <= width


def test_marks_differ_in_more_than_colour() -> None:
    assert len({re.sub(r"[\d. -]", "", shape) + shape[:4] for shape in SHAPES}) == len(SHAPES)
