"""Colour of more than 8 bits: Pillow keeps the upper 8 of 16, which leaves 4 of a camera's or microscope's 12."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
from PIL import Image

_OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_TWELVE_BITS = 16  # the upper byte of values of up to 12 bits is below


def deep_colour(image: Image.Image, content: bytes | None = None) -> np.ndarray | None:
    """The values of an image of 16 bits per channel that holds no more than 12; loads the image.

    Args:
        image: an open file.
        content: the bytes that it was opened from, if it is no file.

    Returns:
        ``(H, W, 3)`` uint16; None for any other image, whose upper 8 bits are what is seen.
    """
    image.load()
    if image.format not in ("PNG", "TIFF") or image.mode != "RGB":
        return None
    upper = np.asarray(image)
    if upper.max() >= _TWELVE_BITS:
        return None
    source = getattr(image, "filename", "") if content is None else io.BytesIO(content)
    if not source:  # opened by somebody else from what can't be opened again
        return None
    with Image.open(source) as other:
        if not other.tile or not all(_raw_mode(tile).startswith("RGB;16") for tile in other.tile):
            return None
        # The decoder takes the byte that counts; with the other order of bytes, it takes the lower one.
        other.tile = [_with_raw_mode(tile, _raw_mode(tile)[:-1] + _OTHER_BYTE[_raw_mode(tile)[-1]]) for tile in other.tile]
        other.load()
        lower = np.asarray(other)
    return upper.astype(np.uint16) * np.uint16(256) + lower


def _raw_mode(tile: Any) -> str:
    given = tile[3]
    mode = given[0] if isinstance(given, tuple) and given else given
    return mode if isinstance(mode, str) and len(mode) == len("RGB;16B") else ""


def _with_raw_mode(tile: Any, mode: str) -> Any:
    given = tile[3]
    return tile._replace(args=(mode, *given[1:]) if isinstance(given, tuple) else mode)
