"""One annotated image as a file: labelme JSON, with what labelme doesn't know in keys that it carries along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from brule.annotating.marks import GONE, STATUSES, Mark, Marks
from brule.annotating.template import Template
from brule.data.formats import Annotation, Annotations
from brule.data.formats.labelme import LABELME, OWN, labelme_content
from brule.data.formats.record import square
from brule.data.formats.values import load_json
from brule.data.samples import Layout
from brule.errors import DataError
from brule.files import write_text


def marks_text(marks: Marks, template: Template, *, image: str, size: tuple[int, int]) -> str:
    """The text of an annotation file.

    Args:
        marks: what is annotated.
        template: names and order of the landmarks.
        image: the image's path from the file.
        size: its width and height in pixels.
    """
    names = template.names
    hidden = marks.hidden(names)
    item = Annotation(image, marks.array(names), marks.box, size, hidden if hidden.any() else None, square(marks.scale))
    content = labelme_content(Annotations([item], Layout(names, template.lines, kind=template.kind)))
    own: dict[str, Any] = {"status": marks.status, "annotator": marks.annotator}
    absent = [name for name in names if name in marks.points and not marks.points[name].placed]
    if absent:
        own["absent"] = absent
    if template.pairs:
        own["pairs"] = [[names[a], names[b]] for a, b in template.pairs]
    return json.dumps({**content, OWN: own}, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def write_marks(path: Path, marks: Marks, template: Template, *, image: str, size: tuple[int, int]) -> None:
    """Write an annotation file, on the disk before this returns; as :func:`marks_text`.

    Raises:
        OutputError: it can't be written.
    """
    write_text(path, marks_text(marks, template, image=image, size=size), flush=True)


def read_marks(path: Path) -> Marks:
    """Read an annotation file.

    Raises:
        DataError: it is damaged.
    """
    content = load_json(path)
    if not LABELME.recognises(content):
        raise DataError(f"{path}: expected the annotation of one image, as the page writes it; restore or remove the file")
    own = content.get(OWN)
    own = own if isinstance(own, dict) else {}
    found = LABELME.parse(path, {key: value for key, value in content.items() if key != OWN}, lambda _: (0, 0))
    if found.problems:
        raise DataError(f"{path}: {found.problems[0]}")
    item, names = found.items[0], found.names(found.n_points or 0)
    points: dict[str, Mark] = {}
    if item.points is not None:
        hidden = item.occluded if item.occluded is not None else np.zeros(len(names), dtype=bool)
        for name, (x, y), behind in zip(names, item.points.tolist(), hidden.tolist(), strict=True):
            if np.isfinite((x, y)).all():
                points[name] = Mark.at(x, y, hidden=behind)
    absent = own.get("absent")
    points |= {name: GONE for name in absent if isinstance(name, str)} if isinstance(absent, list) else {}
    status, annotator = own.get("status"), own.get("annotator")
    return Marks(
        points,
        status if status in STATUSES else "accepted",
        item.scale,
        item.box,
        annotator if isinstance(annotator, str) else None,
    )


def summary(path: Path) -> tuple[str, int]:
    """Status and number of placed landmarks of an annotation file; ``("new", 0)`` where it can't be read."""
    try:
        marks = read_marks(path)
    except DataError:
        return "new", 0
    return marks.status, marks.placed
