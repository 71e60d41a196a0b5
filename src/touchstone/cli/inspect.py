"""`touchstone inspect`: what is wrong with a data set, before anyone trains on it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from touchstone import pages
from touchstone.cli.front import enter
from touchstone.errors import UsageError

if TYPE_CHECKING:
    from touchstone.data.images import Images
    from touchstone.data.inspection import Inspection, Pairs

SHOWN = 24  # pairs or groups of pictures that a section shows
MEMBERS = 4  # pictures of a group
LISTED = 20  # broken files that are named
CLASSES = 50  # of the largest, and of the smallest


def main() -> None:
    """Inspects as the command line says."""
    enter("inspect", inspect)


def inspect(settings: DictConfig) -> None:
    """Looks at a data set, prints what is wrong with it and writes a page with pictures.

    Raises:
        UsageError: where a setting is wrong, or there are not two images.
    """
    if settings.to and Path(settings.to).suffix != ".html":
        raise UsageError(f"to={settings.to}: it has to end in .html")

    from touchstone.data import inspection

    splits, absent = loaded(settings)
    folder = settings.data.get("path")
    if sum(map(len, splits.values())) < 2:
        source = f"data.path={folder}" if folder else f"data={settings.data.name}"
        raise UsageError(f"{source}: it has one picture; a data set has two or more to compare")
    files = inspection.files(folder, settings.cache_dir, splits) if folder else None
    found = inspection.inspect(splits, files)

    title = f"{folder or settings.data.name}: {described(found)}"
    print("\n".join([title, *summary(found), *absent]))
    path = Path(settings.to or f"inspection_{settings.data.name}.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pages.page(f"Inspection of {title}", sections(found, absent)), "utf-8")
    print(path)


def loaded(settings: DictConfig) -> tuple[dict[str, "Images"], list[str]]:
    """The splits that there are; and, of one that there is not, why."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    load = instantiate(settings.data.load)
    splits = {"train": load(split="train")}
    try:
        splits["test"] = load(split="test")
    except (UsageError, InstantiationException) as error:
        return splits, [f"No test split was looked at: {error}"]
    return splits, []


def described(found: "Inspection") -> str:
    """How many images of which size."""
    counts = " and ".join(f"{len(images):,} {split}" for split, images in found.splits.items())
    size = "x".join(str(side) for side in found.splits["train"].pixels.shape[1:])
    return f"{counts} images of {size}"


def summary(found: "Inspection") -> list[str]:
    """The findings as lines."""
    findings = found.findings()
    if not findings:
        return ["nothing found"]
    return [f"  {finding.what}\n    {finding.advice}" for finding in findings]


def sections(found: "Inspection", absent: list[str]) -> Iterator[str]:
    """The page, from the verdict to the definitions."""
    findings = [(capital(finding.what), capital(finding.advice)) for finding in found.findings()]
    verdict = "Found, the worst first" if findings else "Nothing found"
    yield pages.panel(verdict, findings)
    yield from (pages.paragraph(reason) for reason in absent)
    if "test" in found.splits:
        yield pages.heading("Test images that are also in the training split")
        yield from pairs_shown(found, found.overlap)
    for split, start, stop in found.parts():
        groups, pairs = found.within(start, stop)
        yield pages.heading(f"Equal images in the {split} split")
        yield from groups_shown(found, groups)
        yield pages.heading(f"Near-duplicates in the {split} split")
        yield from pairs_shown(found, pairs)
    yield pages.heading("Blank images")
    yield from groups_shown(found, [[number] for number in found.blank])
    if found.files is not None:
        yield from files_shown(found)
    yield from balance_shown(found)
    yield from definitions()


def pairs_shown(found: "Inspection", pairs: "Pairs") -> Iterator[str]:
    """The nearest pairs side by side."""
    first, second = pairs.first[:SHOWN].tolist(), pairs.second[:SHOWN].tolist()
    captions = [
        f"{found.name(one)} · {found.name(other)}: "
        + (f"{difference:.1f} apart" if difference else "equal")
        + (", mirrored" if flipped else "")
        for one, other, difference, flipped in zip(
            first,
            second,
            pairs.difference[:SHOWN].tolist(),
            pairs.flipped[:SHOWN].tolist(),
            strict=True,
        )
    ]
    numbers = [list(pair) for pair in zip(first, second, strict=True)]
    yield from shown(found, numbers, captions, len(pairs), "pair")


def groups_shown(found: "Inspection", groups: Sequence[list[int]]) -> Iterator[str]:
    """The largest groups, a few of each side by side."""
    captions = []
    for group in groups[:SHOWN]:
        names = " · ".join(found.name(number) for number in group[:MEMBERS])
        more = len(group) - MEMBERS
        captions.append(f"{names} and {more:,} more" if more > 0 else names)
    numbers = [group[:MEMBERS] for group in groups[:SHOWN]]
    what = "image" if groups and len(groups[0]) == 1 else "group"
    yield from shown(found, numbers, captions, len(groups), what)


def shown(
    found: "Inspection", groups: list[list[int]], captions: list[str], total: int, what: str
) -> Iterator[str]:
    """Images of these numbers above their captions, and how many there are besides."""
    from touchstone.pictures import picture

    if not total:
        yield pages.paragraph("None.", soft=True)
        return
    some = f", of which {len(groups)} are shown" if total > len(groups) else ""
    yield pages.paragraph(f"{total:,} {what}{'s' * (total > 1)}{some}.")
    pictures = ([picture(image) for image in found.pixels(group)] for group in groups)
    yield pages.figures(zip(pictures, captions, strict=True))


def files_shown(found: "Inspection") -> Iterator[str]:
    """The files that cannot be decoded; the sizes, modes and formats of the others."""
    from touchstone.data.inspection import common, rate

    assert found.files is not None
    broken, headers = found.files.broken, found.files.headers
    yield pages.heading("Files that cannot be decoded")
    if broken:
        lines = [f"{name}: {reason}" for name, reason in broken.items()]
        yield pages.listing(lines[:LISTED])
        if len(broken) > LISTED:
            yield pages.paragraph(f"And {len(broken) - LISTED:,} more.")
    else:
        yield pages.paragraph("None.", soft=True)
    yield pages.heading("Sizes and modes of the files")
    sizes = sorted((header.size for header in headers), key=lambda size: size[0] * size[1])
    shapes = sorted(width / height for width, height in sizes)
    small, large = ("x".join(map(str, size)) for size in (sizes[0], sizes[-1]))
    yield pages.paragraph(
        f"The smallest is {small}, the largest {large}, as width x height in pixels. Width to "
        f"height goes from {shapes[0]:.2f} to {shapes[-1]:.2f}, with a median of "
        f"{shapes[len(shapes) // 2]:.2f}; the central square is trained on. "
        f"{rate(found.upscaled, len(headers))} pictures are smaller than the resolution of "
        f"{found.resolution} and are enlarged."
    )
    for name, values in (
        ("size", [f"{header.size[0]}x{header.size[1]}" for header in headers]),
        ("mode", [header.mode for header in headers]),
        ("format", [header.format for header in headers]),
    ):
        rows = [
            (value, f"{count:,}", f"{100 * count / len(headers):.3g}%")
            for value, count in common(values)
        ]
        yield pages.table([name, "pictures", "share"], rows)
        if (more := len(set(values)) - len(rows)) > 0:
            yield pages.paragraph(f"And {more:,} more.")


def balance_shown(found: "Inspection") -> Iterator[str]:
    """A bar a class, for each split."""
    for split, images in found.splits.items():
        yield pages.heading(f"Classes of the {split} split")
        counts = found.counts(split)
        if counts is None:
            yield pages.paragraph("No labels: an unconditional model can be trained.", soft=True)
            continue
        bars = sorted(zip(images.classes, counts, strict=True), key=lambda bar: -bar[1])
        if len(bars) > 2 * CLASSES:
            yield pages.paragraph(
                f"The {CLASSES} largest and the {CLASSES} smallest of {len(bars):,} classes."
            )
            bars = bars[:CLASSES] + bars[-CLASSES:]
        most, least = max(counts), min(counts)
        times = f", {most / least:.2f} times as many" if least else ""
        yield pages.paragraph(f"{most:,} images in the largest, {least:,} in the smallest{times}.")
        yield pages.bars(bars)


def definitions() -> Iterator[str]:
    """What the words of the page mean, in figures."""
    from touchstone.data.inspection import BLANK, DIFFERENCE, IMBALANCE, SHARE

    yield pages.heading("What the words mean")
    yield pages.paragraph(
        "Everything is measured on the images as they are trained on: at the resolution and with "
        "the channels of the settings, 0 to 255 a pixel. An image's number is its place in its "
        "split, from 0."
    )
    yield pages.paragraph(
        f"Blank: the pixels' standard deviation, the contrast, is under {BLANK:g}. Blank images "
        "are not counted among the copies. Equal: every pixel is the same."
    )
    yield pages.paragraph(
        "Near-duplicates: the mean absolute difference of the pixels (apart) is at most "
        f"{DIFFERENCE:g}, and at most 1/{1 / SHARE:g} of the contrast of the flatter image, as "
        "they are or with one mirrored, left to right. Every two images were compared, and no such "
        "pair is missed; of equal images one stands for all. Different things that look alike at "
        "a low resolution can be among them: look before deleting. Copies that were cropped, "
        "turned or made lighter are not found."
    )
    yield pages.paragraph(
        f"Classes are called unbalanced from {IMBALANCE:g} to 1 on, in the training split."
    )


def capital(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]
