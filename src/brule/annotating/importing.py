"""Annotations of any format that brule reads, taken over into a project."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from brule.annotating.folders import inside
from brule.annotating.marks import GONE, Mark, Marks
from brule.annotating.outlines import keep_outlines
from brule.annotating.predictions import keep_predictions
from brule.annotating.project import Project
from brule.annotating.renaming import by_name_or_place
from brule.annotating.template import Template, numbered, shortened
from brule.data.conversion import collect
from brule.data.discovery import find_annotations, is_project
from brule.data.formats import Annotation, Annotations
from brule.data.formats.record import Outline
from brule.data.predictions import prediction_table
from brule.data.samples import BadFiles
from brule.errors import DataError


@dataclass(frozen=True)
class Imported:
    """What was taken over.

    Args:
        n_images: images whose annotation was taken over.
        kept: images that were annotated in the project already, and stay as they are.
        outlined: images with polygons or polylines, which :mod:`brule.annotating.outlines` turns into contours.
        predicted: images with predictions of ``brule predict``, which are to be reviewed.
        left_out: what couldn't be taken over, one plain sentence each.
    """

    n_images: int = 0
    kept: int = 0
    outlined: int = 0
    predicted: int = 0
    left_out: list[str] = field(default_factory=list)


def import_annotations(project: Project, paths: Sequence[str | os.PathLike[str]]) -> Imported:
    """Take annotations over, as finished ones; their images are added to the project where they aren't in it.

    A project without landmarks gets those of the annotations, with the curves of TPS files as contours. A landmark that isn't
    there in an otherwise annotated image is taken to be absent. Predictions of ``brule predict`` never become labels: they are
    kept for review. Polygons and polylines are kept for :func:`brule.annotating.outlines.contour_from_outlines`.

    Args:
        project: to add to.
        paths: annotation files, or folders with annotations.

    Raises:
        DataError: the annotations have other landmarks than the project.
        OutputError: the project can't be written to.
    """
    imported = Imported()
    for path in map(Path, paths):
        if not path.exists() or is_project(path) or not find_annotations(path):
            continue
        bad = BadFiles(skip=True)
        try:
            found = collect(path, bad)
        except DataError as error:
            imported.left_out.append(str(error))
            continue
        imported.left_out.extend(str(one) for one in bad)
        _add_images(project, found)
        table = prediction_table(path)
        if table is not None:
            imported = _predictions(project, table, found, imported=imported)
            continue
        imported = _taken_over(project, path, found, imported=imported)
        imported = replace(imported, outlined=imported.outlined + _keep_outlines(project, found))
    return imported


def _predictions(project: Project, table: Path, found: Annotations, *, imported: Imported) -> Imported:
    count = found.n_points or 0
    if not project.template.names:
        project.set_template(project.settings.version, numbered(count, names=found.layout.names))
    order = _order(project.template, tuple(found.layout.names or ()), count, source=table)
    return replace(imported, predicted=imported.predicted + keep_predictions(project, table, found.items, order=order))


def _add_images(project: Project, found: Annotations) -> None:
    """Add the images that are there and that the project doesn't have."""
    used = [item.image for item in found.items if item.labelled or item.outlines]
    missing = [image for image in used if os.path.isfile(image) and not _known(project, image)]
    if missing:
        project.add(sorted({os.path.dirname(image) for image in missing}))


def _keep_outlines(project: Project, found: Annotations) -> int:
    by_path = {os.path.abspath(entry.path): entry.name for entry in project.entries.values()}
    outlines: dict[str, list[Outline]] = {}
    for item in found.items:
        name = by_path.get(os.path.abspath(item.image))
        if item.outlines and name is not None:
            outlines.setdefault(name, []).extend(item.outlines)
    if outlines:
        keep_outlines(project, outlines)
    return len(outlines)


def _taken_over(project: Project, source: Path, found: Annotations, *, imported: Imported) -> Imported:
    count = found.n_points
    if count is None:
        return imported
    names = tuple(found.layout.names or ())
    if not project.template.names:
        template = numbered(count, edges=found.layout.edges, names=names or None, curves=found.layout.curves)
        project.set_template(project.settings.version, template)
    order = _order(project.template, names, count, source=source)
    by_path = {os.path.abspath(entry.path): image for image, entry in project.entries.items()}
    n_images, kept, left_out = imported.n_images, imported.kept, list(imported.left_out)
    done: set[str] = set()
    for item in found.items:
        image = by_path.get(os.path.abspath(item.image))
        if not item.labelled or item.points is None or len(item.points) != count:
            continue
        if image is None:
            left_out.append(f"{source}: the image {item.image} isn't there")
        elif image in done:
            left_out.append(f"{item.image}: shows several objects; the page annotates one per image, so the first is taken")
        elif project.record(image).version:
            kept += 1
        else:
            project.change(image, 0, _marks(item, project.template, order), action=f"taken from {source.name}")
            n_images += 1
        if image is not None:
            done.add(image)
    return replace(imported, n_images=n_images, kept=kept, left_out=left_out)


def _order(template: Template, names: tuple[str, ...], count: int, *, source: Path) -> list[int]:
    """For each landmark of the project, which of the annotations' it is: by name, or by place where no names are known."""
    found = by_name_or_place(names, count, template.names)
    if found is not None:
        return found
    raise DataError(
        f"{source}: has {count} landmarks{f' ({shortened(names)})' if names else ''}, but the project has "
        f"{len(template.names)}: {shortened(template.names)}; open a new project for them"
    )


def _known(project: Project, image: str) -> bool:
    return inside(Path(image), project.settings.folders)


def _marks(item: Annotation, template: Template, order: Sequence[int]) -> Marks:
    assert item.points is not None
    hidden = item.occluded if item.occluded is not None else np.zeros(len(item.points), dtype=bool)
    points: dict[str, Mark] = {}
    for name, k in zip(template.names, order, strict=True):
        x, y = item.points[k].tolist()
        points[name] = Mark.at(x, y, hidden=bool(hidden[k])) if np.isfinite((x, y)).all() else GONE
    return Marks(points, "accepted", item.scale, item.box)
