"""Pages to be read in a browser: one file each, with its pictures in it, that asks no network.

The functions give HTML; what they are given is text, which they escape.
"""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 160  # pixels that a picture is made smaller to
_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d8d8d8, #444);
  --soft: light-dark(#666, #a0a0a0); --bar: light-dark(#3b6fb6, #7aa7e0);
  --panel: light-dark(#f6f6f4, #242424); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem;
  overflow-wrap: anywhere; background: light-dark(#fff, #181818); }
h1 { font-size: 1.5rem; margin: .5rem 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem }
p, li { max-width: 46rem } .soft, figcaption, th { color: var(--soft) }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1rem } .panel ol { margin: .3rem 0; padding-left: 1.4rem }
.wide { overflow-x: auto }
table { margin-bottom: 1rem; border-collapse: collapse; white-space: nowrap;
  font-variant-numeric: tabular-nums }
th { font-weight: normal } th, td { padding: .2rem .8rem .2rem 0; text-align: right;
  border-bottom: 1px solid var(--line) } th:first-child, td:first-child { text-align: left }
.figures { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0; width: min-content; min-width: 6rem } figcaption { font-size: .8rem }
.row { display: flex; gap: 2px }
img { height: min(84px, 21vw); image-rendering: pixelated; display: block }
.bars { display: grid; grid-template-columns: fit-content(40%) 1fr max-content;
  gap: .25rem .7rem; align-items: center; font-variant-numeric: tabular-nums }
.bars span { background: var(--bar); height: .9rem; border-radius: 2px }
.bars b { font-weight: normal; text-align: right }
"""


def page(title: str, parts: Iterable[str], style: str = "") -> str:
    """A whole page of HTML parts, in light and dark, as wide as the screen that it is read on.

    Args:
        title: what stands above the page, and in the browser's tab.
        parts: HTML, as the functions of this module give it.
        style: CSS beside the pages' own.
    """
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            "</body></html>\n",
        ]
    )


def heading(text: str, level: int = 2) -> str:
    """The heading of a section; of a part of one, at level 3."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, *, soft: bool = False) -> str:
    """A paragraph; a soft one for what may be passed over."""
    return f'<p class="soft">{escape(text)}</p>' if soft else f"<p>{escape(text)}</p>"


def panel(text: str, items: Sequence[tuple[str, str]]) -> str:
    """What has to be seen first: a line, and numbered items, each with what follows from it."""
    lines = [f"<li><b>{escape(what)}.</b> {escape(then)}.</li>" for what, then in items]
    listed = f"<ol>{''.join(lines)}</ol>" if lines else ""
    return f'<div class="panel"><b>{escape(text)}</b>{listed}</div>'


def listing(lines: Iterable[str]) -> str:
    """A list of lines."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, its first column to the left, the others, as numbers, to the right."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def bars(
    values: Sequence[tuple[str, float]],
    whole: float | None = None,
    written: Callable[[float], str] = "{:,}".format,
) -> str:
    """A bar a name.

    Args:
        values: names and what their bars stand for.
        whole: what a bar over the whole width stands for; the largest value unless given.
        written: how a value is written at the end of its bar.
    """
    most = whole or max((value for _, value in values), default=0) or 1
    rows = [
        f'<div>{escape(name)}</div><span style="width:{100 * value / most:.1f}%"></span>'
        f"<b>{written(value)}</b>"
        for name, value in values
    ]
    return f'<div class="bars">{"".join(rows)}</div>'


def figures(groups: Iterable[tuple[Sequence["Image"], str]]) -> str:
    """Groups of pictures, those of a group side by side above its caption."""
    shown = [
        f'<figure><div class="row">{"".join(map(embedded, pictures))}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for pictures, caption in groups
    ]
    return f'<div class="figures">{"".join(shown)}</div>'


def embedded(picture: "Image") -> str:
    """A picture as an element that holds it whole, made smaller where it is large."""
    small = picture.copy()
    small.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    small.save(content, "PNG")
    return (
        f'<img alt="" src="data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}">'
    )
