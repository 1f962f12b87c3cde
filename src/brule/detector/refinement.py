"""Refinement passes: a crop is cut again around the prediction of the last pass, and its landmarks are detected again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from brule.arrays import Array
from brule.data import CROP_SCALE, Box, Picture
from brule.detector.uncertainty import joined_crops
from brule.errors import DataError
from brule.locating import place_of, to_boxes
from brule.locating.places import turned
from brule.model import CropLandmarks

Read = Callable[[Array], CropLandmarks]  # crops (M, S, S, 3) uint8 → landmarks in the unit square of each

_MAX_CHANGE = 2.0  # of the side in one pass: a prediction that changes it by more is wrong


@dataclass(frozen=True)
class CropFrame:
    """How a crop is placed around the box of the landmarks, as in training.

    Attributes:
        scale: side of the crop over the longer side of the landmarks' box.
        shift: ``(2,)``: centre of the crop minus centre of that box, over the box's longer side.
    """

    scale: float = CROP_SCALE
    shift: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, shapes: Tensor) -> CropFrame:
        """The frame of shapes ``(K, N, 2)`` in the unit square of their crops: medians over the shapes."""
        points = shapes.detach().cpu().double().numpy()
        low, high = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
        side = np.maximum((high - low).max(axis=1), 1e-6)
        shift = np.median((0.5 - (low + high) / 2) / side[:, None], axis=0)
        return cls(float(np.median(1 / side)), (float(shift[0]), float(shift[1])))

    def squares(self, places: Array) -> Array:
        """Places ``(M, 5)`` of landmark boxes → the squares ``(M, 4)`` to cut out: centre x and y, side, angle in degrees."""
        side = places[:, 2:4].max(axis=1, keepdims=True)
        centre = places[:, :2] + turned(np.broadcast_to(self.shift, (len(places), 2)), places[:, 4]) * side
        return np.concatenate([centre, self.scale * side, places[:, 4:]], axis=1)


@dataclass(frozen=True, eq=False)
class PassPredictions:
    """The predictions of one pass.

    Attributes:
        squares: ``(M, 4)`` the crops: centre x and y and side in pixels, angle in degrees.
        boxes: ``(M, 4)`` the object's boxes that they were cut by, in the object's upright frame.
        found: landmarks in the unit square of each crop.
        moved: ``(M,)`` mean distance to the prediction of the pass before, in sides of the crop; NaN on the first pass.
    """

    squares: Array
    boxes: Array
    found: CropLandmarks
    moved: Array

    def __len__(self) -> int:
        """The number of crops."""
        return len(self.squares)

    @property
    def points(self) -> Array:
        """``(M, N, 2)`` in pixels of the image."""
        return to_pixels(self.found.points.double().numpy(), self.squares)

    def chosen(self, rows: Array) -> PassPredictions:
        """Some of them: booleans ``(M,)`` or indices."""
        index, found = torch.as_tensor(rows), self.found
        some = CropLandmarks(
            found.points[index], found.spread[index], None if found.uncertainty is None else found.uncertainty[index]
        )
        return replace(self, squares=self.squares[rows], boxes=self.boxes[rows], found=some, moved=self.moved[rows])

    def replaced(self, rows: Array, newer: PassPredictions) -> PassPredictions:
        """The same with newer predictions in some rows.

        Args:
            rows: ``(K,)`` indices.
            newer: K predictions.
        """
        place = np.arange(len(self))
        place[rows] = len(self) + np.arange(len(newer))
        return self.joined(newer).chosen(place)

    def joined(self, others: PassPredictions) -> PassPredictions:
        """These, then others."""
        squares, boxes, moved = (
            np.concatenate([getattr(self, name), getattr(others, name)]) for name in ("squares", "boxes", "moved")
        )
        return PassPredictions(squares, boxes, joined_crops([self.found, others.found]), moved)


def square_of(box: Box, angle: float = 0.0) -> Array:
    """The square ``(4,)`` of a crop: centre x and y, side, angle in degrees."""
    left, top, right, bottom = box
    return np.array([(left + right) / 2, (top + bottom) / 2, right - left, angle])


def to_pixels(points: Array, squares: Array) -> Array:
    """Points ``(M, N, 2)`` of the unit squares of crops → pixels of the image."""
    offset = turned((points - 0.5) * squares[:, None, 2:3], squares[:, None, 3])
    return squares[:, None, :2] + offset


def read_crops(pictures: Sequence[Picture], squares: Array, boxes: Array, *, read: Read, size: int) -> PassPredictions:
    """Cut crops out and detect their landmarks.

    Args:
        pictures: one for each crop.
        squares: ``(M, 4)`` what to cut out.
        boxes: ``(M, 4)`` the boxes of the objects, kept beside the predictions.
        read: the landmark detector.
        size: side of the crops in pixels.
    """
    crops = np.stack([_cut(picture, square, size) for picture, square in zip(pictures, squares, strict=True)])
    return PassPredictions(squares, boxes, read(crops), np.full(len(squares), np.nan))


def refinement_pass(
    pictures: Sequence[Picture], last: PassPredictions, read: Read, *, size: int, frame: CropFrame, upright: Array | None = None
) -> PassPredictions:
    """Cut crops around the landmarks of the last pass, and detect the landmarks again.

    Args:
        pictures: one for each crop.
        last: the pass before.
        read: the landmark detector.
        size: side of the crops in pixels.
        frame: how a crop is placed around the landmarks.
        upright: ``(N, 2)``, the mean shape: crops are turned so that the last prediction has its orientation. ``None`` keeps
            angles.

    Returns:
        The predictions of this pass. A crop with an impossible last prediction stays where it was.
    """
    angles = last.squares[:, 3]
    if upright is not None:
        angles = angles + turns_of(last.found.points.double().numpy(), upright)
    places = [_place(points, angle, square) for points, angle, square in zip(last.points, angles, last.squares, strict=True)]
    sensible = np.array([place is not None for place in places])
    squares, boxes = last.squares.copy(), last.boxes.copy()
    if sensible.any():
        known = np.array([place for place in places if place is not None])
        squares[sensible], boxes[sensible] = frame.squares(known), to_boxes(known)
    now = read_crops(pictures, squares, boxes, read=read, size=size)
    moved = np.linalg.norm(now.points - last.points, axis=2).mean(axis=1) / now.squares[:, 2]
    return replace(now, moved=moved)


def turns_of(shapes: Array, upright: Array) -> Array:
    """By how many degrees each of the shapes ``(M, N, 2)`` is turned against one ``(N, 2)`` (Procrustes), ``(M,)``."""
    own, mean = (centred[..., 0] + 1j * centred[..., 1] for centred in (_centred(shapes), _centred(upright)))
    return np.rad2deg(np.angle((own * mean.conj()).sum(axis=-1)))


def _centred(points: Array) -> Array:
    return points - points.mean(axis=-2, keepdims=True)


def _place(points: Array, angle: float, square: Array) -> Array | None:
    """The place of landmarks; ``None`` where it is nowhere near the crop that they were read from."""
    try:
        place = place_of(points, angle)
    except DataError:
        return None
    ratio = place[2:4].max() * CROP_SCALE / square[2]
    off = np.hypot(*(place[:2] - square[:2])) / square[2]
    return place if 1 / _MAX_CHANGE <= ratio <= _MAX_CHANGE and off < 1 else None


def _cut(picture: Picture, square: Array, size: int) -> Array:
    x, y, side, angle = (float(value) for value in square)
    return picture.cut((x - side / 2, y - side / 2, x + side / 2, y + side / 2), size, angle)
