"""Loose points and boxes of one image → objects: by their groups, else by which box holds which points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from brule.data.formats.record import NamedPoints
from brule.data.formats.values import counted
from brule.data.samples import Box
from brule.errors import DataError

_MAX_PAIRS = 1_000_000  # of boxes and points in one image that are tried against each other
_NEAR = 1.0  # pixels: a point on the edge of a box is in it, however the tool rounds


@dataclass(frozen=True)
class Mark:
    """A landmark that a file gives without its object.

    Args:
        name: of the landmark.
        point: in pixels.
        group: the group that the file states; None without one.
        occluded: whether something hides it.
        missing: whether the file marks it as missing.
    """

    name: str
    point: tuple[float, float]
    group: object = None
    occluded: bool = False
    missing: bool = False


@dataclass(frozen=True)
class LooseBox:
    """A box that a file gives without its landmarks.

    Args:
        label: as the file calls it.
        box: in pixels.
        group: the group that the file states; None without one.
    """

    label: str
    box: Box
    group: object = None


class Grouping:
    """Makes objects of loose points and boxes, image by image, and remarks on boxes that belong to no object."""

    def __init__(self) -> None:
        self._empty: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def objects(
        self,
        start: NamedPoints,
        marks: Sequence[Mark],
        boxes: Sequence[LooseBox],
        *,
        where: str,
        order: Sequence[object] = (),
    ) -> list[NamedPoints]:
        """The objects of an image.

        Points of one group make an object, and so do all points without a group, unless names repeat: then each point
        belongs to the smallest box that holds it. A box without a group belongs to the object that it holds; one that holds
        no landmark belongs to none, unless the image has no landmarks at all.

        Args:
            start: image and size.
            marks: the points.
            boxes: the boxes.
            where: file and image, for errors.
            order: the groups in their order; by default that of their first points.

        Raises:
            DataError: a name repeats, and no boxes separate the objects; or a group has two boxes.
        """
        loose = [box for box in boxes if box.group is None]
        groups = _grouped(marks)
        groups = (
            {key: groups[key] for key in [*(key for key in order if key in groups), *(set(groups) - set(order))]}
            if order
            else groups
        )
        found = {key: _object(start, own, where) for key, own in groups.items() if key is not None}
        for box in boxes:
            if box.group is not None:
                _give(found.setdefault(box.group, NamedPoints(start.image, start.size)), box, where)
        objects = list(found.values())
        own = groups.get(None, [])
        if _repeats(own) and len(loose) > 1:
            objects += _by_boxes(start, own, loose, where=where)
            loose = []
        elif own:
            objects.append(_object(start, own, where))
        self.attach(objects, loose, start)
        return objects

    def attach(self, objects: list[NamedPoints], loose: Iterable[LooseBox], start: NamedPoints) -> None:
        """Give boxes without a group to the objects that they hold, the smallest first; drop boxes that hold no landmark."""
        boxes = sorted(loose, key=lambda one: _area(one.box))
        landmarks = [one for one in objects if one.points]
        if not landmarks:
            objects += [NamedPoints(start.image, start.size, box=box.box) for box in boxes]
            return
        held = _counts(boxes, landmarks, start.image)
        sizes = np.array([len(one.points) for one in landmarks])
        for box, own in zip(boxes, held, strict=True):
            free = np.array([one.box is None for one in landmarks])
            # One that holds only some of the points counts if no other box holds more of them.
            fits = free & ((own == sizes) | ((own > 0) & (own == held.max(axis=0))))
            if fits.any():
                landmarks[int(np.where(fits, own / sizes, -1).argmax())].box = box.box
            else:
                self._note(self._others if own.any() else self._empty, box, start.image)

    def _note(self, counts: Counter[str], box: LooseBox, image: str) -> None:
        counts[box.label] += 1
        self._first.setdefault(box.label, image)

    def notes(self) -> list[str]:
        """What was found, one sentence for each kind of box."""
        texts = {
            "holds none of the landmarks": self._empty,
            "holds only some landmarks of an object that has another box": self._others,
        }
        return [
            f"a box {label!r} {text}: passed over ({counted(count, 'box')}, the first in {self._first[label]})"
            for text, counts in texts.items()
            for label, count in sorted(counts.items())
        ]


def outside_notes(objects: Iterable[tuple[str, np.ndarray | None, Box | None]]) -> list[str]:
    """A remark on landmarks outside the box of their own object.

    Args:
        objects: image, points and box of each.
    """
    found, total = [], 0
    for image, points, box in objects:
        if points is None or box is None:
            continue
        total += 1
        if _outside(points, box):
            found.append(image)
    if not found:
        return []
    return [f"landmarks outside their box: {len(found)} of {counted(total, 'object')} (the first in {found[0]})"]


def _outside(points: np.ndarray, box: Box) -> bool:
    there = points[np.isfinite(points).all(axis=1)]
    return bool((~_in_box(there, box)).any())


def _in_box(points: np.ndarray, box: Box) -> np.ndarray:
    left, top, right, bottom = box
    x, y = points[:, 0], points[:, 1]
    return (x >= left - _NEAR) & (x <= right + _NEAR) & (y >= top - _NEAR) & (y <= bottom + _NEAR)


def _counts(boxes: Sequence[LooseBox], objects: Sequence[NamedPoints], image: str) -> np.ndarray:
    """How many landmarks of each object are in each box: ``(boxes, objects)``."""
    if len(boxes) * sum(len(one.points) for one in objects) > _MAX_PAIRS:
        raise DataError(
            f"{image}: {len(boxes)} boxes and {len(objects)} objects, and nothing shows which belong together; expected groups"
        )
    return np.array([[_held(one, box.box) for one in objects] for box in boxes], dtype=np.int64).reshape(-1, len(objects))


def _held(one: NamedPoints, box: Box) -> int:
    left, top, right, bottom = box
    return sum(left - _NEAR <= x <= right + _NEAR and top - _NEAR <= y <= bottom + _NEAR for x, y in one.points.values())


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _grouped(marks: Iterable[Mark]) -> dict[object, list[Mark]]:
    groups: dict[object, list[Mark]] = {}
    for mark in marks:
        groups.setdefault(mark.group, []).append(mark)
    return groups


def _repeats(marks: Sequence[Mark]) -> bool:
    names = [mark.name for mark in marks if not mark.missing]
    return len(set(names)) < len(names)


def _object(start: NamedPoints, marks: Iterable[Mark], where: str) -> NamedPoints:
    one = NamedPoints(start.image, start.size)
    for mark in marks:
        one.mark(mark.name, None if mark.missing else mark.point, where, occluded=mark.occluded)
    return one


def _give(one: NamedPoints, box: LooseBox, where: str) -> None:
    if one.box is not None:
        raise DataError(f"{where}: a second box of one object; give each object a group of its own")
    one.box = box.box


def _by_boxes(start: NamedPoints, marks: Sequence[Mark], boxes: Sequence[LooseBox], *, where: str) -> list[NamedPoints]:
    """An object for each box, of the points for which it is the smallest that holds them."""
    own: list[list[Mark]] = [[] for _ in boxes]
    by_size = sorted(range(len(boxes)), key=lambda i: _area(boxes[i].box))
    places = np.array([mark.point for mark in marks], dtype=np.float64)
    if len(boxes) * len(marks) > _MAX_PAIRS:
        raise DataError(f"{where}: {len(boxes)} boxes and {len(marks)} points without a group; expected groups")
    holds = np.stack([_in_box(places, boxes[i].box) for i in by_size])
    for mark, inside in zip(marks, holds.T, strict=True):
        if mark.missing:
            continue
        if not inside.any():
            raise DataError(
                f"{where}: names repeat, and the point {mark.name!r} at ({mark.point[0]:g}, {mark.point[1]:g}) is in no box; "
                "give each object a group of its own"
            )
        own[by_size[int(inside.argmax())]].append(mark)
    objects = []
    for box, held in zip(boxes, own, strict=True):
        objects.append(_object(start, held, where))
        objects[-1].box = box.box
    return objects
