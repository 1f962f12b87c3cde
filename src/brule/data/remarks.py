"""Remarks on the reading of a folder, gathered so that thousands of images give one sentence."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brule.data.images import ImageHeader
from brule.data.turning import turned_note

_CORNER = 0.1  # of width and height
_MIN_IMAGES = 2
_MILLIMETRES = (
    "the landmarks of all {count} images are in the upper left tenth of the image: expected pixels; are these another unit, "
    "such as millimetres? Divide them by the length of a pixel"
)


@dataclass
class _Corner:
    images: int = 0
    reach: float = 0.0


class Remarks:
    """Remarks on images and on the annotations that belong to them."""

    def __init__(self) -> None:
        self._images: dict[str, list[str]] = defaultdict(list)
        self._turned: dict[str, dict[tuple[Path, str], None]] = defaultdict(dict)
        self._corners: dict[Path, _Corner] = defaultdict(_Corner)

    def add_image(self, image: Path, header: ImageHeader) -> None:
        """Look at the header of an image, whose pictures were counted."""
        if header.pictures > 1:
            self._images[f"holds {header.pictures} pictures, of which the first is read"].append(str(image))

    def add_turned(self, source: Path, image: Path, kind: str) -> None:
        """Note how an annotation fits an image that its EXIF data turns; see :mod:`brule.data.turning`."""
        if kind:
            self._turned[kind][source, image.name] = None

    def add_points(self, source: Path, image: Path, points: np.ndarray, *, size: tuple[int, int]) -> None:
        """Look where the landmarks of an image are: all in one corner if they aren't pixels, but millimetres."""
        # Files of one image each are looked at together.
        corner = self._corners[source.parent if source.stem == image.stem else source]
        there = points[np.isfinite(points).all(axis=1)]
        if len(there):
            corner.images += 1
            corner.reach = max(corner.reach, float((there / np.array(size)).max()))

    def notes(self) -> list[str]:
        """One sentence for each kind of remark."""
        texts = dict(self._images)
        for kind, pairs in self._turned.items():
            sources = dict.fromkeys(str(source) for source, _ in pairs)
            texts[turned_note(kind, [image for _, image in pairs])] = list(sources)
        for source, corner in self._corners.items():
            if corner.images >= _MIN_IMAGES and corner.reach < _CORNER:
                texts[_MILLIMETRES.format(count=corner.images)] = [str(source)]
        return [f"{paths[0]}{_more(len(paths) - 1)}: {text}" for text, paths in texts.items()]


def _more(count: int) -> str:
    return f" and {count} more" if count else ""
