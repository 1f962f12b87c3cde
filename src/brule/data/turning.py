"""Photographs that their EXIF data turns, and annotations of the picture as it was stored.

Some tools show a photograph upright, others as it is stored, and most files don't say which. Landmarks are in pixels of
the upright image everywhere in brule: what was annotated unturned is turned here, where the file's sizes or the points
show it, and remarked on where nothing does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from brule.coordinates import image_box
from brule.data.formats.record import Annotation
from brule.data.samples import Box

TURNED = "turned"  # the annotation was of the image as stored, and is turned
UNSURE = "unsure"  # nothing shows which image was annotated
STORED_SIZE = "stored size"  # the file states the size as stored, but the points only fit into the upright image

_SWAPS = 5  # orientations from here on exchange width and height


@dataclass(frozen=True)
class Turned:
    """An annotation in the frame of the upright image.

    Args:
        annotation: points and box in pixels of the upright image.
        remark: :data:`TURNED`, :data:`UNSURE`, :data:`STORED_SIZE`, or "" for none.
    """

    annotation: Annotation
    remark: str = ""


def as_upright(annotation: Annotation, size: tuple[int, int], orientation: int) -> Turned:
    """Bring an annotation into the frame of the upright image, as far as the file or the points show in which it is.

    Args:
        annotation: as its file gives it; its size is that of the annotated image, if the file states one.
        size: width and height of the upright image.
        orientation: of the image file's EXIF data, 1 to 8.
    """
    if orientation == 1 or (annotation.points is None and annotation.box is None and not annotation.outlines):
        return Turned(annotation)
    stated = None if annotation.upwards else annotation.size
    swapped = orientation >= _SWAPS and size[0] != size[1]
    if stated is not None and swapped:
        if stated != size[::-1]:
            return Turned(annotation)
        if _inside(annotation, size) and not _inside(annotation, stated):
            return Turned(replace(annotation, size=size), STORED_SIZE)
        return Turned(_turned(annotation, size, orientation), TURNED)
    if stated is not None and stated != size:
        return Turned(annotation)
    other = _turned(annotation, size, orientation)
    if stated is None and not _inside(annotation, size) and _inside(other, size):
        return Turned(other, TURNED)
    return Turned(annotation, UNSURE)


def turned_note(kind: str, images: list[str]) -> str:
    """A sentence on the images of one file.

    Args:
        kind: :data:`TURNED`, :data:`UNSURE` or :data:`STORED_SIZE`.
        images: their names.
    """
    count = len(images)
    which = f"{images[0]} is" if count == 1 else f"{count} images (the first is {images[0]}) are"
    if kind == TURNED:
        return f"{which} turned by EXIF data and annotated as stored: the points are turned, too"
    if kind == STORED_SIZE:
        return (
            f"{which} turned by EXIF data; the file states the size as stored, but only the turned picture holds the points: "
            "read as turned"
        )
    return (
        f"{which} turned by EXIF data, and nothing shows whether the turned or the stored picture was annotated: read as "
        "turned; check in a picture (`brule data inspect -o`) that the points fit"
    )


def turn_points(points: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """Points in pixels of a stored image → pixels of the upright one.

    Args:
        points: ``(..., 2)``.
        size: width and height of the upright image.
        orientation: of the EXIF data: 2, 4 mirror, 3 turns by 180°, 5 to 8 exchange the axes.
    """
    right, bottom = size[0] - 1, size[1] - 1
    x, y = points[..., 0], points[..., 1]
    places = {
        2: (right - x, y),
        3: (right - x, bottom - y),
        4: (x, bottom - y),
        5: (y, x),
        6: (right - y, x),
        7: (right - y, bottom - x),
        8: (y, bottom - x),
    }
    return np.stack(places.get(orientation, (x, y)), axis=-1).astype(points.dtype)


def _turned(annotation: Annotation, size: tuple[int, int], orientation: int) -> Annotation:
    # What was counted from the lower edge of the upright image is counted from that of the stored one.
    stored_height = size[0] if orientation >= _SWAPS else size[1]
    shift = stored_height - size[1] if annotation.upwards else 0
    points = annotation.points
    if points is not None:
        points = turn_points(points + np.array([0, shift], dtype=points.dtype), size, orientation)
    box = annotation.box if annotation.box is None else _turned_box(annotation.box, size, orientation)
    outlines = tuple(replace(one, corners=turn_points(one.corners, size, orientation)) for one in annotation.outlines)
    return replace(annotation, points=points, box=box, size=size, outlines=outlines)


def _turned_box(box: Box, size: tuple[int, int], orientation: int) -> Box:
    corners = turn_points(np.array(box, dtype=np.float64).reshape(2, 2), size, orientation)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return left, top, right, bottom


def _inside(annotation: Annotation, size: tuple[int, int]) -> bool:
    left, top, right, bottom = image_box(*size)
    points = np.empty((0, 2)) if annotation.points is None else annotation.points
    places = [*points[np.isfinite(points).all(axis=1)].tolist()]
    places += [annotation.box[:2], annotation.box[2:]] if annotation.box is not None else []
    places += [corner for one in annotation.outlines for corner in one.corners.tolist()]
    return all(left <= x <= right and top <= y <= bottom for x, y in places)
