"""What the file of an annotation project (``brule annotate``) adds to the annotations in its folder."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brule.data.discovery import PROJECT_ANNOTATIONS, PROJECT_FILE, is_project
from brule.data.formats.record import Annotation, Annotations, square
from brule.data.images import image_spacing
from brule.errors import DataError
from brule.files import parse_json, read_text


@dataclass(frozen=True)
class ProjectFacts:
    """What holds for all images of a project.

    Args:
        names: of the landmarks, in order.
        curves: the landmarks along each contour.
        scale: millimetres per pixel of the images that have no scale of their own; None if it isn't known.
    """

    names: tuple[str, ...] = ()
    curves: tuple[tuple[int, ...], ...] = ()
    scale: float | None = None

    def added_to(self, found: Annotations, images: Sequence[Path | None]) -> Annotations:
        """Annotations of the project with the scale and the contours that its file states.

        Args:
            found: of one file.
            images: of the records, None where one isn't found; empty if images don't matter.
        """
        if self.scale is not None:
            known = images or [None] * len(found.items)
            items = [self._scaled(item, image) for item, image in zip(found.items, known, strict=True)]
            found = replace(found, items=items)
        if self.curves and found.layout.names == self.names:
            found = replace(found, layout=replace(found.layout, curves=self.curves))
        return found

    def _scaled(self, item: Annotation, image: Path | None) -> Annotation:
        try:
            own = item.spacing or (None if image is None else image_spacing(image))
        except DataError:
            return item  # a broken image is reported where it is read
        return item if own is not None else replace(item, spacing=square(self.scale))


class Projects:
    """Finds the project that an annotation file belongs to; each project's file is read once."""

    def __init__(self) -> None:
        self._known: dict[Path, ProjectFacts | None] = {}

    def of(self, path: Path) -> ProjectFacts | None:
        """What the project of an annotation file states; None if the file is in no project."""
        folder = path.parent
        if folder not in self._known:
            here = folder.name == PROJECT_ANNOTATIONS and is_project(folder.parent)
            above = folder != folder.parent and not here
            self._known[folder] = _facts(folder.parent) if here else self.of(folder) if above else None
        return self._known[folder]


def _facts(project: Path) -> ProjectFacts | None:
    """What a project's file states; None where it is damaged, which the page reports."""
    try:
        content: dict[str, Any] = parse_json(read_text(project / PROJECT_FILE))
        template, scale = content.get("template") or {}, content.get("scale")
        names = tuple(unicodedata.normalize("NFC", str(name)) for name in template.get("names") or ())  # as in Layout
        curves = tuple(tuple(map(int, one["points"])) for one in template.get("contours") or ())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if any(not 0 <= index < len(names) for curve in curves for index in curve):
        curves = ()
    usable = isinstance(scale, int | float) and 0 < scale < math.inf
    return ProjectFacts(names, curves, scale if usable else None)
