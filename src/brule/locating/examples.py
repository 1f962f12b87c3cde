"""Annotated objects as training examples: their places, and their features at a filter's resolution and angle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from brule.arrays import Array
from brule.coordinates import sample_at
from brule.errors import DataError
from brule.locating.features import hog
from brule.locating.filters import Filter
from brule.locating.places import from_boxes, orientations, place_of, turned
from brule.locating.pyramid import GreyImage

_MARGIN = 2  # cells around the window, for the normalisation by neighbouring blocks
_JITTER = np.array([0.03, 0.03, 0.06, 6.0])  # shift along x and y and scale, in units of the size; degrees
TURNED = 20.0  # degrees: if an object is turned further than this, filters at several angles are learnt


@dataclass(frozen=True, eq=False)
class Annotated:
    """An annotated image: its grey copy, and the places ``(O, 5)`` of its objects in pixels of that copy."""

    image: GreyImage
    places: Array


def annotated_places(annotations: Sequence[Array], *, any_rotation: bool | None) -> list[Array]:
    """The places of annotated objects.

    Args:
        annotations: one per image: landmarks ``(N, 2)`` or ``(O, N, 2)`` of one or several objects, or boxes ``(4,)`` or
            ``(O, 4)``: left, top, right, bottom; pixels. NaN where a landmark or a box is missing.
        any_rotation: compute angles from the landmarks (True), take all objects as upright (False), or decide by how far the
            objects are turned (None).

    Returns:
        ``(O, 5)`` per image, without objects of fewer than two landmarks.

    Raises:
        DataError: an annotation has another shape, there are both landmarks and boxes, or a box has no area.
    """
    shaped = [np.asarray(one, dtype=np.float64) for one in annotations]
    for one in shaped:
        if not one.ndim or (one.ndim, one.shape[-1]) not in ((1, 4), (2, 2), (2, 4), (3, 2)):
            raise DataError(f"locator: expected landmarks (N, 2) or (O, N, 2), or boxes (4,) or (O, 4), got {one.shape}")
    if all(one.shape[-1] == 4 for one in shaped):
        return [_box_places(one.reshape(-1, 4)) for one in shaped]
    if any(one.shape[-1] == 4 for one in shaped):
        raise DataError("locator: expected either landmarks or boxes of all annotated images, got both")
    groups = [[shape for shape in one.reshape(-1, *one.shape[-2:]) if usable(shape)] for one in shaped]
    flat = [shape for group in groups for shape in group]
    if not flat:
        return [np.empty((0, 5)) for _ in groups]
    angles = object_angles(flat, any_rotation=any_rotation)
    rows, result = iter(angles), []
    for group in groups:
        result.append(np.array([place_of(shape, float(next(rows))) for shape in group]).reshape(-1, 5))
    return result


def _box_places(boxes: Array) -> Array:
    """Places of the boxes ``(O, 4)`` that aren't missing."""
    present = boxes[np.isfinite(boxes).all(axis=1)]
    if (present[:, 2:] <= present[:, :2]).any():
        raise DataError(
            f"locator: expected boxes of left, top, right, bottom with right > left and bottom > top, got {present.tolist()}"
        )
    return from_boxes(present)


def object_angles(shapes: Sequence[Array | None], *, any_rotation: bool | None) -> Array:
    """By how much each of several objects is turned.

    Args:
        shapes: ``(N, 2)`` landmarks of each in one index order; ``None`` or too few landmarks: taken as upright.
        any_rotation: compute angles from the landmarks (True), take all objects as upright (False), or compute angles only if
            an object is turned by more than 20° (None).

    Returns:
        ``(K,)`` degrees, clockwise on the screen.

    Raises:
        DataError: angles are computed, and the shapes don't have the same number of landmarks.
    """
    known = [k for k, shape in enumerate(shapes) if shape is not None and usable(shape)]
    angles = np.zeros(len(shapes))
    if any_rotation is False or not known:
        return angles
    angles[known] = orientations([np.asarray(shapes[k], dtype=np.float64) for k in known])
    return angles if any_rotation or np.abs(angles).max() > TURNED else np.zeros(len(shapes))


def usable(shape: Array) -> bool:
    """Whether landmarks ``(N, 2)`` give a box: two of them are present, in different places."""
    shape = np.asarray(shape, dtype=np.float64)
    present = shape[np.isfinite(shape).all(axis=1)]
    return len(present) >= 2 and bool((present != present[0]).any())


def typical_box(aspect: float, *, cells: int, cell: int, context: float) -> tuple[float, float]:
    """Width and height of an object at the filters' resolution, in pixels.

    Args:
        aspect: width over height; bounded to 1/3 … 3.
        cells: area of the window, in cells.
        cell: side of a cell in pixels.
        context: side of the window over that of the object.
    """
    aspect = min(max(aspect, 1 / 3), 3.0)
    side = math.sqrt(cells) * cell / context
    return side * math.sqrt(aspect), side / math.sqrt(aspect)


def filter_shape(box: tuple[float, float], angle: float, *, cell: int, context: float) -> tuple[int, int]:
    """Rows and columns of the window around the ellipse in a box ``(width, height)`` that is turned by ``angle`` degrees.

    A window around the corners of the box would be twice as large at 45°, and show little of the object.
    """
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    width, height = math.hypot(box[0] * c, box[1] * s), math.hypot(box[0] * s, box[1] * c)
    return max(3, round(height * context / cell)), max(3, round(width * context / cell))


@dataclass(frozen=True)
class ExampleMaker:
    """Cuts examples for filters out of images.

    Attributes:
        box: width and height of an object at the filters' resolution, in pixels.
        cell: side of a cell in pixels.
        mirror: whether the mirror image of each object is an example, too.
    """

    box: tuple[float, float]
    cell: int
    mirror: bool

    def examples(
        self, image: GreyImage, places: Array, one: Filter, *, copies: int, generator: np.random.Generator
    ) -> list[Tensor]:
        """Features of objects in the window of a filter, turned by the filter's angle.

        Args:
            image: the grey image.
            places: ``(O, 5)`` in its pixels.
            one: the filter; only its shape and angle are used.
            copies: of each object (and of its mirror image): the first as it is, the others jittered.
            generator: of the jitter.

        Returns:
            One ``(D,)`` per copy, D = 31 · h · w.
        """
        rows = []
        for place in places:
            for flip in (False, True) if self.mirror else (False,):
                for copy in range(copies):
                    noise = _JITTER * generator.standard_normal(4) if copy else np.zeros(4)
                    rows.append(self._sampled(image, place, one, noise=noise, flip=flip))
        if not rows:
            return []
        patches, covered = (torch.stack(part) for part in zip(*rows, strict=True))
        cells = hog(patches, self.cell)[:, :, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        return list((cells * (covered[:, None] > 0.5)).flatten(1))

    def _sampled(self, image: GreyImage, place: Array, one: Filter, *, noise: Array, flip: bool) -> tuple[Tensor, Tensor]:
        """The patch under a window, and the share of each of its cells that lies inside the image."""
        h, w = ((n + 2 * _MARGIN) * self.cell for n in one.shape)
        size = float(place[2:4].max() / max(self.box) * math.exp(noise[2]))  # pixels of the image for one of the patch
        y, x = np.meshgrid(np.arange(h) + 0.5 - h / 2, np.arange(w) + 0.5 - w / 2, indexing="ij")
        in_object = turned(np.stack([x, y], -1), noise[3] - one.angle)
        in_object[..., 0] *= -1 if flip else 1
        shift = noise[:2] * place[2:4].max()
        where = turned(in_object, place[4]) * size + place[:2] + shift + 0.5  # from the image's corner
        rows, columns = image.pixels.shape
        source = torch.from_numpy(np.asarray(image.pixels, np.float32))[None, None] / 255
        if size > 1:
            smaller = (max(1, round(rows / size)), max(1, round(columns / size)))
            source = F.interpolate(source, smaller, mode="bilinear", antialias=True)
        unit = torch.from_numpy((where / (columns, rows)).astype(np.float32))[None]
        patch = sample_at(source, unit)[0, 0]
        inside = torch.from_numpy(((where >= 0) & (where <= (columns, rows))).all(-1).astype(np.float32))
        covered = F.avg_pool2d(inside[None, None], self.cell)[0, 0, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        return patch, covered
