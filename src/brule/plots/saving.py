"""Writing pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from brule.errors import BruleError, OutputError
from brule.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure | Image.Image, path: str | os.PathLike[str], *, dpi: int = 130) -> Path:
    """Write a figure or a Pillow image; a reader never sees half a file.

    Args:
        figure: what the functions of this module return.
        path: its suffix says the format (``.png``, ``.jpg``; figures also ``.svg``, ``.pdf``). Folders are made.
        dpi: dots per inch of a figure; a Pillow image keeps its pixels.

    Returns:
        The path.

    Raises:
        BruleError: the suffix is missing or unknown.
        OutputError: it can't be written.
    """
    target = Path(path)
    try:
        if not target.suffix:
            raise ValueError("no suffix")
        with atomic_write(target) as temporary:
            if isinstance(figure, Image.Image):
                figure.save(temporary)
            else:
                figure.savefig(temporary, dpi=dpi, facecolor=figure.get_facecolor())
    except OutputError:
        raise
    except ValueError as error:
        raise BruleError(f"can't write a picture as {target}: expected a name such as picture.png ({error}).") from error
    return target
