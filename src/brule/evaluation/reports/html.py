"""The parts of a page: one file, no script, no network; light and dark; from a telephone to a wide screen.

Each function fills a macro of ``parts.html`` and gives :class:`markupsafe.Markup`; all other text is escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import ArrayLike
from PIL import Image

from brule.plots.checks import as_image


class Tile(NamedTuple):
    """A figure at the top of the page: what it is, its value, and a line of small print."""

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
    return str(_fill("page", title, eyebrow, summary, Markup(_file("style.css")), body))


def section(title: str, *parts: Markup, lead: str = "") -> Markup:
    """A heading, a sentence on how to read the section, and its content."""
    return _fill("section", title, parts, lead)


def tiles(items: Sequence[Tile]) -> Markup:
    """The figures at the top of the page."""
    return _fill("tiles", items)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, label: str, compact: bool = False) -> Markup:
    """A table that scrolls inside itself where it is too wide; the first column stays.

    Args:
        header: of each column.
        rows: cells; :class:`Markup` is taken as it is.
        label: what the table holds, for those who can't see it.
        compact: intervals below their figures, for half the width of the page.
    """
    return _fill("table", header, rows, label, compact)


def with_interval(value: str, interval: str, *, strong: bool = False) -> Markup:
    """A cell: a figure, and its interval in small print."""
    return _fill("with_interval", value, interval, strong)


def chart(svg: str, caption: str) -> Markup:
    """A chart (SVG text with its own label) with a caption."""
    return _fill("chart", _inline(svg), caption)


def side_by_side(*parts: Markup) -> Markup:
    """Parts side by side, or one below the other if there is no room."""
    return _fill("group", "beside", parts)


def column(*parts: Markup) -> Markup:
    """Parts below each other, to be placed beside others."""
    return _fill("group", "column", parts)


def picture(image: Image.Image | ArrayLike, *, alt: str, caption: Sequence[str], overlay: str = "") -> Markup:
    """A picture within the page, an overlay over it, and lines below it.

    Args:
        image: a Pillow image or ``(H, W[, 3])`` uint8.
        alt: what is to be seen.
        caption: the first line is the main one.
        overlay: SVG text of the same proportions.
    """
    return _fill("picture", _data_uri(as_image(image)), alt, caption, _inline(overlay))


def wide_picture(image: Image.Image | ArrayLike, caption: str) -> Markup:
    """A picture as wide as the page allows, described by its caption."""
    return _fill("wide_picture", _data_uri(as_image(image)), caption)


def gallery(groups: Sequence[tuple[str, Sequence[Markup]]]) -> Markup:
    """Groups of pictures whose overlays can be switched on and off, without any script.

    Args:
        groups: heading → pictures.
    """
    return _fill("gallery", groups)


def facts(items: Sequence[tuple[str, str]]) -> Markup:
    """What has to be known about the figures: name and value."""
    return _fill("facts", items)


def commands(items: Sequence[tuple[str, str]]) -> Markup:
    """Commands, each with what it does."""
    return _fill("commands", items)


def paragraph(text: str) -> Markup:
    """Plain text."""
    return _fill("paragraph", text)


def files_beside(figures: str, images: str) -> Markup:
    """Links to the files beside the page: all figures, and a table with a row for each image."""
    return _fill("files_beside", figures, images)


def _fill(macro: str, *values: object) -> Markup:
    filled: Markup = getattr(_macros(), macro)(*values)
    return filled


@cache
def _macros() -> object:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(_file("parts.html")).module


def _file(name: str) -> str:
    return files("brule.evaluation.reports").joinpath(name).read_text(encoding="utf-8")


def _inline(svg: str) -> Markup:
    """SVG within HTML, where the namespace is implied."""
    return Markup(svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1))


def _data_uri(image: Image.Image) -> str:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=86, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode("ascii")
