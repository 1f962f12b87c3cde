"""What requests may hold: everything else is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from brule.annotating.marks import ABSENT, GONE, Mark, Status
from brule.annotating.template import MAX_LANDMARKS, Contour, Name, Pair, Strict

MAX_NUMBER = 1e6  # pixels
Number = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Version = Annotated[int, Field(ge=0, le=2**53)]
Place = tuple[Number, Number]
Action = Annotated[str, StringConstraints(max_length=200)]
PathText = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]


class PointBody(Strict):
    """A landmark: with a place, or absent."""

    x: Number | None = None
    y: Number | None = None
    state: Literal["visible", "hidden", "absent"] = "visible"

    @model_validator(mode="after")
    def _placed(self) -> PointBody:
        if (self.state == ABSENT) != (self.x is None) or (self.x is None) != (self.y is None):
            raise ValueError("expected x and y with the state visible or hidden, and neither with absent")
        return self

    def mark(self) -> Mark:
        """As it is kept."""
        if self.x is None or self.y is None:
            return GONE
        return Mark.at(self.x, self.y, hidden=self.state == "hidden")


Points = Annotated[tuple[PointBody | None, ...], Field(max_length=MAX_LANDMARKS)]


class PointsBody(Strict):
    """The landmarks of one image."""

    points: Points
    source: Literal["mean"] | None = None


class ChangeBody(Strict):
    """A change of one image."""

    version: Version
    points: Points
    landmarks: Version | None = None
    status: Status | None = None
    scale: Annotated[float, Field(gt=0, le=MAX_NUMBER)] | None = None
    box: tuple[Number, Number, Number, Number] | None = None
    action: Action = "change"

    @model_validator(mode="after")
    def _box(self) -> ChangeBody:
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError("box: expected [left, top, right, bottom] with left < right and top < bottom")
        return self


class VersionBody(Strict):
    """Which version a step back or forth is based on."""

    version: Version


class TemplateBody(Strict):
    """A change of the landmarks."""

    version: Version
    kind: Name = "object"
    names: Annotated[tuple[Name, ...], Field(max_length=MAX_LANDMARKS)]
    edges: Annotated[tuple[Pair, ...], Field(max_length=10 * MAX_LANDMARKS)] = ()
    contours: Annotated[tuple[Contour, ...], Field(max_length=MAX_LANDMARKS)] = ()
    pairs: Annotated[tuple[Pair, ...], Field(max_length=MAX_LANDMARKS)] | None = None
    kept: tuple[Annotated[int, Field(ge=0)] | None, ...] | None = Field(default=None, alias="from", max_length=MAX_LANDMARKS)

    def template(self) -> dict[str, Any]:
        """The content of the new :class:`Template`."""
        found = self.model_dump(mode="json", exclude={"version", "kept"})
        return {**found, "pairs_from": None if self.pairs is None else "person"}


class SettingsBody(Strict):
    """A change of the project's settings."""

    annotator: Name | None = None
    name: Name | None = None
    scale: Annotated[float, Field(gt=0, le=MAX_NUMBER)] | None = None


class FoldersBody(Strict):
    """Folders to add to the project."""

    paths: Annotated[tuple[PathText, ...], Field(min_length=1, max_length=100)]


class RemoveBody(Strict):
    """A folder that is to be removed; with ``check`` the answer alone is wanted."""

    check: bool = False


class LocateBody(Strict):
    """The new place of a folder that was moved; with ``check`` the answer alone is wanted."""

    path: PathText
    check: bool = False


class OutlinesBody(Strict):
    """Imported outlines that are to become a contour."""

    label: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    n: Annotated[int, Field(ge=2, le=MAX_LANDMARKS)] | None = None
    start: Literal["aligned", "drawn"] = "aligned"


def marks_of(points: Sequence[PointBody | None], names: Sequence[str]) -> dict[str, Mark]:
    """Marks by the landmarks' names.

    Raises:
        ValueError: there are more or fewer points than landmarks.
    """
    if len(points) != len(names):
        raise ValueError(f"expected {len(names)} points, one per landmark, got {len(points)}; load the landmarks again")
    return {name: point.mark() for name, point in zip(names, points, strict=True) if point is not None}


def finite(values: Sequence[float] | None) -> list[float | None] | None:
    """Numbers as JSON holds them: NaN becomes null."""
    return None if values is None else [round(value, 3) if math.isfinite(value) else None for value in values]


def left_out_facts(reasons: Sequence[str]) -> dict[str, Any]:
    """Images that were left out, each with the reason: the first twenty, and how many there are."""
    return {"left_out": list(reasons[:20]), "n_left_out": len(reasons)}
