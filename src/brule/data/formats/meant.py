"""Which image a labelme file belongs to, if its ``imagePath`` and its own name disagree.

Images that were renumbered take their annotation files along, whose ``imagePath`` then leads to a neighbour.
"""

from __future__ import annotations

import base64
import binascii
import io
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from PIL import Image

from brule.data.images import IMAGE_SUFFIXES, image_size, load_image, upright
from brule.errors import DataError

_SIDE = 16  # pixels across at which two pictures are compared
_SAME = 6.0  # grey levels: a picture that was saved again differs by less on average
_MAX_EMBEDDED = 2**28  # characters


def meant_image(path: Path, stated: str, embedded: object, *, size: tuple[int, int] | None) -> tuple[str, list[str]]:
    """The image that an annotation file is about, and remarks.

    If the file has an image of its own name beside it and ``imagePath`` leads to another one, the embedded image decides, else
    the size.

    Args:
        path: the annotation file.
        stated: its ``imagePath``.
        embedded: its ``imageData``: the image in base64, or None.
        size: width and height that it states.

    Raises:
        DataError: nothing decides.
    """
    last = PureWindowsPath(stated).name  # takes both kinds of slashes
    own = None if PureWindowsPath(last).stem == path.stem else _own(path)
    if own is None:
        return stated, []
    # A path that leads out of the file's folder is a stranger's: it isn't followed.
    inside = PurePosixPath(stated.replace("\\", "/"))
    places = [path.parent / inside] if not inside.is_absolute() and ".." not in inside.parts else []
    other = next((one for one in (*places, path.parent / last) if one.is_file()), None)
    note = f"imagePath is {stated!r}, an older name: the image of this file is {own.name}"
    if other is None:
        return own.name, [note]
    chosen = _by_picture(embedded, own, other) or _by_size(size, own, other)
    if chosen is None:
        raise DataError(
            f"{path}: imagePath is {stated!r}, and {own.name} has this file's own name; nothing shows which image is meant: "
            "correct imagePath, or save the file with its image in it"
        )
    return (own.name, [note]) if chosen == own else (stated, [])


def _own(path: Path) -> Path | None:
    """The image of the same name beside a file."""
    found = [path.with_suffix(suffix) for suffix in sorted(IMAGE_SUFFIXES)]
    found += [one.with_suffix(one.suffix.upper()) for one in found]
    return next((one for one in found if one.is_file()), None)


def _by_picture(embedded: object, own: Path, other: Path) -> Path | None:
    """The one of two images that is embedded, if that is clear."""
    if not isinstance(embedded, str) or not embedded or len(embedded) > _MAX_EMBEDDED:
        return None
    try:
        content = base64.b64decode(embedded, validate=False)
        with Image.open(io.BytesIO(content)) as image:
            wanted = _small(upright(image, content))
        distances = {one: float(np.abs(_small(load_image(one)) - wanted).mean()) for one in (own, other)}
    except (binascii.Error, DataError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    best, worst = sorted(distances, key=lambda one: distances[one])
    return best if distances[best] < _SAME and distances[worst] > 2 * distances[best] + 0.5 else None


def _by_size(size: tuple[int, int] | None, own: Path, other: Path) -> Path | None:
    if size is None:
        return None
    try:
        fits = [one for one in (own, other) if image_size(one) == size]
    except DataError:
        return None
    return fits[0] if len(fits) == 1 else None


def _small(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64)
