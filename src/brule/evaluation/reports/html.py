"""The parts of a page: one file, no script, no network; light and dark; from a telephone to a wide screen.

Every function gives :class:`Markup`; all other text is escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import NamedTuple

from numpy.typing import ArrayLike
from PIL import Image

from brule.plots.checks import as_image


class Markup(str):
    """Text that is HTML already."""


class Tile(NamedTuple):
    """A figure that is seen first: what it is, its value, and a line of small print."""

    label: str
    value: str
    small: str


def page(title: str, *, eyebrow: str, summary: str, body: Iterable[Markup]) -> str:
    """The whole document.

    Args:
        title: of the page.
        eyebrow: a few words above the title: what kind of page it is.
        summary: a sentence or two under it.
        body: its parts in order.
    """
    style = files("brule.evaluation.reports").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        f'<header><p class="eyebrow">{escape(eyebrow)}</p><h1>{escape(title)}</h1>'
        f'<p class="summary">{escape(summary)}</p></header>\n' + "\n".join(body) + "\n</main></body></html>\n"
    )


def section(title: str, *parts: Markup, lead: str = "") -> Markup:
    """A heading, a sentence that says how to read what follows, and what follows."""
    told = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return Markup(f"<section><h2>{escape(title)}</h2>{told}{''.join(parts)}</section>")


def tiles(items: Sequence[Tile]) -> Markup:
    """The figures that are seen first."""
    inside = "".join(
        f"<div><dt>{escape(one.label)}</dt><dd>{escape(one.value)}<small>{escape(one.small)}</small></dd></div>"
        for one in items
    )
    return Markup(f'<dl class="tiles">{inside}</dl>')


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, label: str, compact: bool = False) -> Markup:
    """A table that scrolls inside itself where it is too wide; the first column stays.

    Args:
        header: of each column.
        rows: cells; :class:`Markup` is taken as it is.
        label: what the table holds, for those who can't see it.
        compact: intervals below their figures, for half the width of the page.
    """
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{_text(row[0]).replace(" %", "&nbsp;%")}</th>'
        + "".join(f"<td>{_text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return Markup(
        f'<div class="scroll{" compact" if compact else ""}" role="region" tabindex="0" aria-label="{escape(label)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def with_interval(value: str, interval: str, *, strong: bool = False) -> Markup:
    """A cell: a figure, and its interval in small print."""
    shown = f"<b>{escape(value)}</b>" if strong else escape(value)
    return Markup(f'{shown} <span class="interval">{escape(interval)}</span>')


def chart(svg: str, caption: str) -> Markup:
    """A chart (SVG text that tells by itself what it shows) with a caption."""
    return Markup(f'<figure class="chart">{_inline(svg)}<figcaption>{escape(caption)}</figcaption></figure>')


def side_by_side(*parts: Markup) -> Markup:
    """Parts beside each other, below each other where there is no room."""
    return Markup(f'<div class="beside">{"".join(parts)}</div>')


def column(*parts: Markup) -> Markup:
    """Parts below each other, to stand beside others."""
    return Markup(f'<div class="column">{"".join(parts)}</div>')


def picture(image: Image.Image | ArrayLike, *, alt: str, caption: Sequence[str], overlay: str = "") -> Markup:
    """A picture within the page, an overlay over it, and lines below it.

    Args:
        image: a Pillow image or ``(H, W[, 3])`` uint8.
        alt: what is to be seen.
        caption: the first line is the main one.
        overlay: SVG text of the same proportions.
    """
    lines = "".join(f"<span>{escape(line)}</span>" for line in caption)
    return Markup(
        f'<figure class="picture"><div><img src="{_data_uri(as_image(image))}" alt="{escape(alt)}">{_inline(overlay)}</div>'
        f"<figcaption>{lines}</figcaption></figure>"
    )


def wide_picture(image: Image.Image | ArrayLike, caption: str) -> Markup:
    """A picture as wide as the page allows, told by its caption."""
    return Markup(
        f'<figure class="wide"><img src="{_data_uri(as_image(image))}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def gallery(groups: Sequence[tuple[str, Sequence[Markup]]]) -> Markup:
    """Groups of pictures whose overlays can be switched on and off, without any script.

    Args:
        groups: heading → pictures.
    """
    switches = "".join(
        f'<input type="checkbox" id="show-{name}" checked><label for="show-{name}">{label}</label>'
        for name, label in (("found", "prediction"), ("truth", "truth"), ("gap", "lines between"))
    )
    shown = "".join(f'<h3>{escape(name)}</h3><div class="pictures">{"".join(group)}</div>' for name, group in groups if group)
    return Markup(f'<div class="gallery">{switches}<div class="groups">{shown}</div></div>')


def facts(items: Sequence[tuple[str, str]]) -> Markup:
    """What has to be known about the figures: name and value."""
    return Markup(
        '<dl class="facts">' + "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(v)}</dd></div>" for n, v in items) + "</dl>"
    )


def commands(items: Sequence[tuple[str, str]]) -> Markup:
    """Commands, each under what it does."""
    return Markup("".join(f'<p class="lead">{escape(what)}</p><pre tabindex="0">{escape(line)}</pre>' for what, line in items))


def paragraph(text: str) -> Markup:
    """Plain text."""
    return Markup(f'<p class="lead">{escape(text)}</p>')


def link(target: str, text: str) -> Markup:
    """A link to a file beside the page."""
    return Markup(f'<a href="{escape(target)}">{escape(text)}</a>')


def joined(parts: Sequence[str], between: str = " ") -> Markup:
    """Parts in a row, plain text among them escaped."""
    return Markup(escape(between).join(_text(part) for part in parts))


def _inline(svg: str) -> str:
    """SVG within HTML, where the namespace goes without saying."""
    return svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)


def _text(cell: str) -> str:
    return cell if isinstance(cell, Markup) else escape(cell)


def _data_uri(image: Image.Image) -> str:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=86, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode("ascii")
