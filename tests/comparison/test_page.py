import functools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from touchstone.comparison import page
from touchstone.comparison.groups import Member, compare
from touchstone.tracking.figures import Figure

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROTOCOL = {"extractor": "fashion", "features": "26d539c263", "generated": 10000, "seed": 0}
PROTOCOL |= {"reference": "train", "real": "0a9ee897a7"}
IMAGES = (1000, 2000, 3000)
Make = Callable[..., Member]
Open = Callable[..., "Page"]


def member(
    folder: Path,
    last: float,
    seed: int = 0,
    samples: Sequence[int] = IMAGES,
    images: Sequence[int] = IMAGES,
    protocol: dict[str, Any] = PROTOCOL,
    **settings: Any,
) -> Member:
    """Makes a finished run's folder, with a curve and samples, and the run as it is compared."""
    path = folder / f"{'_'.join(str(value)[:5] for value in settings.values())}_s{seed}"
    (path / "samples").mkdir(parents=True)
    for number in samples:
        noise = np.random.default_rng([seed, number]).integers(0, 256, (30, 30), np.uint8)
        grid = Image.fromarray(noise).resize((600, 600), Image.Resampling.NEAREST)
        grid.save(path / "samples" / f"{number:09}.png")
    lines = [
        {"images": seen, "fid10k_fashion": last + 10 * left, "speed/seconds": seen / 100}
        for left, seen in zip(reversed(range(len(images))), images, strict=True)
    ]
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return Member(
        path=path,
        settings={"seed": seed, "batch_size": 50, "loss.critic_steps": 2}
        | {key.replace("__", "."): value for key, value in settings.items()},
        figure=Figure("fid10k_fashion", last, protocol, images=images[-1]),
        summary={
            "images": images[-1],
            "seconds": 198.0,
            "peak_memory_gib": 1.04,
            "multiply_adds": {"iteration": 4e9},
        },
    )


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes runs in the test's folder."""
    return functools.partial(member, tmp_path)


@pytest.fixture(scope="module")
def opened(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Writes the report of some runs and opens it, with no network, as a file.

    Whatever the reports write to the console or ask of the network fails the module.
    """
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    said: list[str] = []
    context.on("console", lambda message: said.append(message.text))
    context.on("weberror", lambda error: said.append(str(error.error)))
    context.on("request", lambda request: said.append(request.url))

    def open_page(runs: Sequence[Member], left_out: Sequence[tuple[Path, str]] = ()) -> "Page":
        path = tmp_path_factory.mktemp("report") / "report.html"
        page.write(compare(runs), left_out, path)
        shown = context.new_page()
        shown.goto(path.as_uri())
        said.remove(path.as_uri())
        return shown

    yield open_page
    context.close()
    assert [text for text in said if not text.startswith(("data:", "blob:"))] == []


@pytest.fixture(scope="module")
def report(opened: Open, tmp_path_factory: pytest.TempPathFactory) -> "Page":
    """Three losses, of which three seeds tell one from the best, and one seed of a fourth."""
    folder = tmp_path_factory.mktemp("runs")
    figures = {"hinge": (2.0, 2.1, 2.2), "vanilla": (4.0, 4.1, 4.2), "wgan": (1.9, 2.3, 2.7)}
    runs = [
        member(folder, figure, seed, loss__name=loss)
        for loss, values in figures.items()
        for seed, figure in enumerate(values)
    ]
    last = member(folder, 9.0, loss__name="<b>lsgan</script>")
    return opened([*runs, last], [(Path("runs") / ("half" * 30), "no <summary.json>")])


def cells(shown: "Page") -> list[list[str]]:
    return [row.locator("td").all_inner_texts() for row in shown.locator(".board tr").all()[1:]]


def visible(shown: "Page") -> list[bool]:
    """Of Plotly's traces: a band and a line a group."""
    traces: list[bool] = shown.evaluate(
        "document.querySelector('.chart').data.map((trace) => trace.visible)"
    )
    return traces


def test_the_leaderboard_says_what_the_seeds_bear_out(report: "Page") -> None:
    first, second, third, fourth = cells(report)

    # Student's t of 2.0, 2.1, 2.2: 2.1 +- 4.3027 * 0.1 / 3**0.5.
    assert first[:6] == ["1", "loss=hinge", "3", "2.100", "1.852 to 2.348", "the best"]
    assert first[6:] == ["198", "4", "1.04", "2.000", "hinge_s0"]
    assert second[1:4] == ["loss=wgan", "3", "2.300"]
    assert re.fullmatch(r"\+0\.200 \(-\d.*\); not distinct from the best", second[5])
    assert third[1] == "loss=vanilla"
    # Welch's with equal deviations of 0.1 has 4 degrees: 2 +- 2.7764 * 0.1 * (2 / 3)**0.5.
    assert third[5] == "+2.000 (1.773 to 2.227); distinct"
    assert fourth[1:3] == ["loss=<b>lsgan</script>", "1"]
    assert fourth[4:6] == ["-", "+6.900; one seed"]
    assert "distinct from 1 of the 3 other groups" in report.locator(".panel").inner_text()


def test_a_click_on_a_name_hides_its_line_and_its_band(report: "Page") -> None:
    entry = report.get_by_role("button", name="loss=wgan")
    assert visible(report) == [True] * 8
    drawn = report.locator(".chart .scatterlayer .trace")
    assert drawn.count() == 8

    entry.click()
    assert visible(report) == [True, True, False, False, True, True, True, True]
    assert drawn.count() == 6
    assert entry.get_attribute("aria-pressed") == "false"

    entry.click()
    assert visible(report) == [True] * 8


def test_a_point_says_its_figures(report: "Page") -> None:
    report.evaluate(
        "Plotly.Fx.hover(document.querySelector('.chart'), [{curveNumber: 1, pointNumber: 1}])"
    )
    text = report.locator(".hoverlayer .hovertext").text_content()
    assert text == "loss=hinge2,000 images: 12.10 (12.00 to 12.20)"


def test_the_axis_goes_from_images_to_seconds_to_compute(report: "Page") -> None:
    for axis, expected in (
        ("seconds", [10, 20, 30]),
        ("multiply-adds", [4e10, 8e10, 12e10]),
        ("images", [1000, 2000, 3000]),
    ):
        report.get_by_label(axis, exact=True).check()
        assert report.evaluate("document.querySelector('.chart').data[1].x") == expected
        title = report.locator(".chart .xtitle").text_content()
        assert title is not None
        assert title.startswith(axis)


def test_the_slider_moves_every_group_to_its_samples(make: Make, opened: Open) -> None:
    runs = [make(1.0, model__name="early"), make(2.0, model__name="late", samples=(2500,))]
    shown = opened(runs)
    slider = shown.get_by_role("slider")
    early, late = shown.locator(".grids img").all()
    last = early.get_attribute("src")
    assert shown.locator(".slider output").inner_text() == "3,000 images"
    assert late.is_visible()

    slider.press("Home")
    assert shown.locator(".slider output").inner_text() == "1,000 images"
    assert (early.get_attribute("src") or "").startswith("data:image/webp;base64,")
    assert early.get_attribute("src") != last
    assert early.evaluate("(picture) => picture.decode().then(() => picture.naturalWidth)") == 300
    assert late.is_hidden()

    slider.press("End")
    assert early.get_attribute("src") == last


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(report: "Page", scheme: Any) -> None:
    report.emulate_media(color_scheme=scheme)
    report.set_viewport_size({"width": 360, "height": 740})
    report.wait_for_function("document.querySelector('.chart svg').clientWidth <= 340")
    assert report.evaluate("document.documentElement.scrollWidth") == 360
    report.set_viewport_size({"width": 1200, "height": 900})


def test_protocols_are_kept_apart_and_what_was_left_out_is_named(make: Make, opened: Open) -> None:
    other = PROTOCOL | {"extractor": "inception"}
    made = [make(seed, seed, loss__name="hinge") for seed in (1, 2)]
    made += [make(9.0, 3, loss__name="wgan", protocol=other)]
    shown = opened(made, [(Path("runs/half"), "no <summary.json>")])

    texts = shown.locator(".comparison > p:nth-of-type(1)").all_inner_texts()
    assert texts == [
        f"By one protocol: features of the extractor {name} (26d539c2), 10,000 generated images "
        "from latents of seed 0, against the train split (0a9ee897). Lower is better."
        for name in ("fashion", "inception")
    ]
    assert shown.locator("h2").all_inner_texts()[2:] == ["Left out: 1"]
    assert shown.locator("li").inner_text() == "runs/half: no <summary.json>"


def test_a_protocols_strings_alone_are_shortened(make: Make) -> None:
    counted = {"features": 12, "generated": 1000, "real": "0a9ee897a7"}
    (comparison,) = compare([make(1.0, width=1, protocol=counted)])
    assert page.protocol(comparison).startswith(
        "By one protocol: (12), 1,000 generated images (0a9ee897). "
    )


def test_the_factors_of_a_grid_and_what_differs(make: Make, opened: Callable[..., "Page"]) -> None:
    made = [
        make(low + seed / 10, seed, loss__name=loss, model__name=model)
        for (loss, model), low in {
            ("hinge", "dcgan"): 1.0,
            ("hinge", "resnet"): 2.0,
            ("wgan", "dcgan"): 5.0,
            ("wgan", "resnet"): 6.0,
        }.items()
        for seed in (0, 1)
    ]
    shown = opened(made)
    # Sums of squares: 8 * 2**2 of the loss, 8 * 0.5**2 of the model, 8 * 0.05**2 of the seeds.
    texts = shown.locator(".bars b").all_inner_texts()
    assert texts == [f"{100 * part / 34.02:.1f}%" for part in (32, 2, 0)]
    assert shown.locator(".bars div").first.inner_text().startswith("loss (p = ")
    table = [row.locator("td").all_inner_texts() for row in shown.locator(".differing tr").all()]
    assert table[1:] == [
        ["loss.name", "hinge", "hinge", "wgan", "wgan"],
        ["model.name", "dcgan", "resnet", "dcgan", "resnet"],
    ]
    shown.locator("summary").click()
    assert shown.locator(".pairs tr").count() == 1 + 6


def test_many_groups_stay_small_and_say_what_is_not_drawn(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    made = [make(1 + number, width=number, samples=range(100, 1300, 100)) for number in range(20)]
    page.write(compare(made), [], path)
    text = path.read_text()

    own = re.sub(r"<script>/\*\*.*?</script>", "", text, flags=re.DOTALL)
    assert len(own) < 5_000_000 < len(text)
    (found,) = re.findall(r'id="data">(.*?)</script>', own)
    (data,) = json.loads(found)
    assert len(data["lines"]) == len(data["grids"]) == page.DRAWN
    assert data["steps"] == [100, 300, 400, 600, 700, 900, 1000, 1200]
    assert all(len(grid) == page.STEPS for grid in data["grids"])
    pictures = sum(len(frame["picture"]) for grid in data["grids"] for frame in grid)
    assert pictures <= page.BYTES
    assert "the best 12 of 20 groups" in own
    assert "12 of 20 groups are shown" in own


def test_a_line_goes_as_far_as_every_seed_has_come(make: Make) -> None:
    (comparison,) = compare(
        [
            make(1.0, 0, images=(1000, 2000, 3000), width=1),  # 21, 11, 1
            make(4.0, 1, images=(1000, 1500), width=1),  # 14, 4
        ]
    )
    line = page.curve(comparison.groups[0])
    assert line is not None
    assert line["images"] == [1000, 1500]
    assert line["low"] == [14, 4]
    assert line["high"] == [21, 16]
    assert line["mean"] == [17.5, 10]
    assert line["seconds"] == [10, 15]
    assert line["multiply_adds"] == 4e7


def test_grids_are_of_one_seed_where_there_is_one(make: Make) -> None:
    made = [make(2.0, 1, width=1), make(1.0, 2, width=1), make(3.0, 1, width=2)]
    (comparison,) = compare(made)
    shown = page.Samples.of(comparison.groups)
    assert shown.seed == 1
    assert [run.settings["seed"] for run in shown.runs.values()] == [1, 1]

    (comparison,) = compare([*made[:2], make(3.0, 3, width=3)])
    shown = page.Samples.of(comparison.groups)
    assert shown.seed is None
    assert [run.settings["seed"] for run in shown.runs.values()] == [2, 3]
    assert "no seed in common" in "".join(shown.section(2))


def test_a_damaged_picture_is_passed_over(make: Make) -> None:
    run = make(1.0, width=1)
    for number, (_, picture) in enumerate(run.samples()[:2]):
        content = picture.read_bytes()
        picture.write_bytes(content[: number * len(content) // 2])
    (comparison,) = compare([run])
    (grid,) = page.Samples.of(comparison.groups).embedded(page.BYTES)
    assert [frame["images"] for frame in grid] == [3000]


def test_a_picture_keeps_to_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    Image.fromarray(noise).save(path)
    lengths = [len(page.embedded(path, most) or "") for most in (10**6, 60_000, 30_000)]
    assert 10**6 > lengths[0] > 60_000 >= lengths[1] > 30_000 >= lengths[2]
