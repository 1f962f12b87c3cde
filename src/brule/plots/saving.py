"""Writing pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path

from PIL import Image

from brule.errors import BruleError, OutputError
from brule.files import write_image, write_text

_VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_MARGIN = 16  # about a chart, in its own units


def save_picture(picture: Image.Image | str, path: str | os.PathLike[str]) -> Path:
    """Write a Pillow image or a chart; a reader never sees half a file.

    Args:
        picture: a Pillow image, or the SVG text of a chart, which gets a white background.
        path: its suffix is the format: ``.svg`` for a chart, ``.png``, ``.jpg``, … for an image. Folders are made.

    Returns:
        The path.

    Raises:
        BruleError: the suffix is missing or unknown.
        OutputError: it can't be written.
    """
    target = Path(path)
    vector = isinstance(picture, str)
    if vector != (target.suffix.lower() == ".svg") or not target.suffix:
        raise BruleError(
            f"can't write a picture as {target}: expected a name such as {'chart.svg' if vector else 'picture.png'}."
        )
    if isinstance(picture, str):
        write_text(target, _on_paper(picture))
        return target
    try:
        write_image(target, picture)
    except OutputError:
        raise
    except ValueError as error:
        raise BruleError(f"can't write a picture as {target}: expected a name such as picture.png ({error}).") from error
    return target


def _on_paper(svg: str) -> str:
    """A chart with a margin and a white background, to be viewed outside a page."""
    width, height = (float(side) + 2 * _MARGIN for side in _VIEW_BOX.search(svg).groups())  # type: ignore[union-attr]
    start, rest = _VIEW_BOX.sub(f'viewBox="-{_MARGIN} -{_MARGIN} {width:g} {height:g}"', svg, count=1).split(">", 1)
    paper = f'<rect x="-{_MARGIN}" y="-{_MARGIN}" width="{width:g}" height="{height:g}" fill="#fff"/>'
    return f"{start}>{paper}{rest}"
