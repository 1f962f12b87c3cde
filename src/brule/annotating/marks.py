"""What is annotated in one image: a mark per landmark, and what is known of the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from brule.errors import DataError

Status = Literal["new", "draft", "accepted", "rejected"]  # of an image
STATUSES: tuple[Status, ...] = get_args(Status)
VISIBLE, HIDDEN, ABSENT = "visible", "hidden", "absent"
DECIMALS = 3  # of a pixel; float32 keeps them up to 16,384 px


@dataclass(frozen=True)
class Mark:
    """A landmark of one image.

    Args:
        x: in pixels of the upright image, the centre of the first one at 0; NaN if the landmark is absent.
        y: the same.
        state: ``visible``, ``hidden`` (its place is known though something covers it) or ``absent`` (not in the image).
    """

    x: float
    y: float
    state: str = VISIBLE

    @classmethod
    def at(cls, x: float, y: float, *, hidden: bool = False) -> Mark:
        """A mark at a place, to a thousandth of a pixel."""
        return cls(round(float(x), DECIMALS), round(float(y), DECIMALS), HIDDEN if hidden else VISIBLE)

    @property
    def placed(self) -> bool:
        """Whether it has a place."""
        return self.state != ABSENT

    def to_json(self) -> dict[str, Any]:
        """As the page exchanges it."""
        return {"x": self.x, "y": self.y, "state": self.state} if self.placed else {"state": ABSENT}


GONE = Mark(math.nan, math.nan, ABSENT)


@dataclass(frozen=True)
class Marks:
    """Everything that a person has entered for one image.

    Args:
        points: marks by the landmark's name; one that isn't there has not been looked at yet.
        status: one of :data:`STATUSES`.
        scale: millimetres per pixel, if known.
        box: the object's box in pixels, if one was drawn.
        annotator: who changed it last.
    """

    points: Mapping[str, Mark] = field(default_factory=dict)
    status: str = "new"
    scale: float | None = None
    box: tuple[float, float, float, float] | None = None
    annotator: str | None = None

    @property
    def placed(self) -> int:
        """How many landmarks have a place."""
        return sum(mark.placed for mark in self.points.values())

    def array(self, names: Sequence[str]) -> np.ndarray:
        """The places in the order of the names: ``(N, 2)`` float64 in pixels, NaN where there is none."""
        found = [self.points.get(name, GONE) for name in names]
        return np.array([(mark.x, mark.y) for mark in found], dtype=np.float64).reshape(-1, 2)

    def hidden(self, names: Sequence[str]) -> np.ndarray:
        """``(N,)`` bool: which landmarks are hidden."""
        return np.array([name in self.points and self.points[name].state == HIDDEN for name in names], dtype=bool)

    def completed(self, names: Sequence[str]) -> bool:
        """Whether every landmark has a state."""
        return all(name in self.points for name in names)

    def renamed(self, names: Mapping[str, str]) -> Marks:
        """The same with other names; a landmark whose name isn't in the mapping is dropped."""
        return replace(self, points={names[name]: mark for name, mark in self.points.items() if name in names})


def change(before: Marks, after: Marks) -> dict[str, Any]:
    """What has to be set to come from one to the other, as JSON; empty if they are the same."""
    points: dict[str, Any] = {}
    for name in {**before.points, **after.points}:
        mark = after.points.get(name)
        if mark != before.points.get(name) and not (mark is not None and not mark.placed and _absent(before, name)):
            points[name] = None if mark is None else _packed(mark)
    found: dict[str, Any] = {"points": points} if points else {}
    for key in ("status", "scale", "box", "annotator"):
        if getattr(before, key) != getattr(after, key):
            value = getattr(after, key)
            found[key] = list(value) if key == "box" and value is not None else value
    return found


def changed(marks: Marks, changes: Mapping[str, Any]) -> Marks:
    """Marks after a :func:`change`.

    Raises:
        DataError: the change is damaged.
    """
    try:
        points = dict(marks.points)
        for name, packed in changes.get("points", {}).items():
            if packed is None:
                points.pop(name, None)
            else:
                points[name] = _unpacked(packed)
        others = {key: value for key, value in changes.items() if key != "points"}
        if others.get("box") is not None:
            left, top, right, bottom = map(float, others["box"])
            others["box"] = (left, top, right, bottom)
        return replace(marks, points=points, **others)
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"a change of the history is damaged ({error})") from error


def _absent(marks: Marks, name: str) -> bool:
    return name in marks.points and not marks.points[name].placed  # NaN is never equal to itself


def _packed(mark: Mark) -> list[Any]:
    if not mark.placed:
        return [ABSENT]
    return [mark.x, mark.y] if mark.state == VISIBLE else [mark.x, mark.y, mark.state]


def _unpacked(packed: Sequence[Any]) -> Mark:
    if len(packed) == 1:
        return GONE
    x, y, *state = packed
    return Mark.at(x, y, hidden=state == [HIDDEN])
