"""Annotations of any format that brule reads, taken over into a project."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from brule.annotating.folders import folders_for, inside
from brule.annotating.marks import GONE, Mark, Marks
from brule.annotating.outlines import keep_outlines
from brule.annotating.predictions import keep_predictions
from brule.annotating.project import Project
from brule.annotating.template import Template, numbered, shortened
from brule.data.conversion import collect
from brule.data.discovery import find_annotations, is_project
from brule.data.formats import Annotation, Annotations
from brule.data.formats.record import Outline
from brule.data.predictions import prediction_table
from brule.data.renaming import by_name_or_place
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


@dataclass(frozen=True)
class Source:
    """What was read from a path that holds annotations.

    Args:
        path: the file or folder.
        found: its annotations.
        table: the list of predictions, if it holds what ``brule predict`` wrote.
    """

    path: Path
    found: Annotations
    table: Path | None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the landmarks; empty where they have none."""
        return tuple(self.found.layout.names or ())

    def template(self) -> Template:
        """The landmarks, for a project that has none yet."""
        layout, count = self.found.layout, self.found.n_points or 0
        if self.table is not None:
            return numbered(count, names=layout.names)
        return numbered(count, edges=layout.edges, names=self.names or None, curves=layout.curves)


@dataclass(frozen=True)
class Sources:
    """What was read from several paths.

    Args:
        sources: of those that hold annotations.
        left_out: what couldn't be read, one plain sentence each.
    """

    sources: list[Source] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def check(self, template: Template) -> None:
        """Check that all can be imported into a project with these landmarks; if it has none, those of the first count.

        Raises:
            DataError: the annotations have other landmarks.
        """
        for source in self.sources:
            count = source.found.n_points
            if count is not None or source.table is not None:
                template = template if template.names else source.template()
                _order(template, source.names, count or 0, source=source.table or source.path)


def read_sources(paths: Sequence[str | os.PathLike[str]]) -> Sources:
    """Read the annotations among paths: annotation files, or folders with annotations. Projects are passed over."""
    read = Sources()
    for path in map(Path, paths):
        if not path.exists() or is_project(path) or not find_annotations(path):
            continue
        bad = BadFiles(skip=True)
        try:
            found = collect(path, bad)
        except DataError as error:
            read.left_out.append(str(error))
            continue
        read.left_out.extend(str(one) for one in bad)
        read.sources.append(Source(path, found, prediction_table(path)))
    return read


def import_annotations(project: Project, paths: Sequence[str | os.PathLike[str]]) -> Imported:
    """Take annotations over, as finished ones; their images are added to the project where they aren't in it.

    A project without landmarks gets those of the annotations, with the curves of TPS files as contours. A landmark that isn't
    there in an otherwise annotated image is taken to be absent. Predictions of ``brule predict`` never become labels: they are
    kept for review. Polygons and polylines are kept for :func:`brule.annotating.outlines.contour_from_outlines`.

    Args:
        project: to add to.
        paths: annotation files, or folders with annotations.

    Raises:
        DataError: the annotations have other landmarks than the project; nothing has changed.
        OutputError: the project can't be written to.
    """
    return import_sources(project, read_sources(paths))


def import_sources(project: Project, read: Sources) -> Imported:
    """:func:`import_annotations` of what was read already."""
    read.check(project.template)
    imported = Imported(left_out=list(read.left_out))
    for source in read.sources:
        _add_images(project, source.found)
        if source.table is not None:
            imported = _predictions(project, source, source.table, imported=imported)
            continue
        imported = _taken_over(project, source, imported=imported)
        imported = replace(imported, outlined=imported.outlined + _keep_outlines(project, source.found))
    return imported


def add_images(project: Project, paths: Sequence[str | os.PathLike[str]]) -> tuple[int, Imported]:
    """Add folders of images with their annotations: all of them, or nothing if their landmarks aren't the project's.

    Returns:
        How many images were added, and what was taken over. A path that was in the project already, and brings nothing new,
        is among what was left out.

    Raises:
        DataError: a path leads nowhere, there is no image, or the annotations have other landmarks than the project.
        OutputError: the project can't be written to.
    """
    read = read_sources(paths)
    read.check(project.template)
    fresh = folders_for(paths, project.settings.folders)
    added = project.add(paths)
    imported = import_sources(project, read)
    if not (fresh or added or imported.n_images or imported.kept or imported.outlined or imported.predicted):
        known = [f"{path}: is in the project already" for path in paths if Path(path).is_dir()]
        imported = replace(imported, left_out=[*known, *imported.left_out])
    return added, imported


def _predictions(project: Project, source: Source, table: Path, *, imported: Imported) -> Imported:
    found = source.found
    if not project.template.names:
        project.set_template(project.settings.version, source.template())
    order = _order(project.template, source.names, found.n_points or 0, source=table)
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


def _taken_over(project: Project, source: Source, *, imported: Imported) -> Imported:
    found, count = source.found, source.found.n_points
    if count is None:
        return imported
    if not project.template.names:
        project.set_template(project.settings.version, source.template())
    order = _order(project.template, source.names, count, source=source.path)
    by_path = {os.path.abspath(entry.path): image for image, entry in project.entries.items()}
    n_images, kept, left_out = imported.n_images, imported.kept, list(imported.left_out)
    done: set[str] = set()
    for item in found.items:
        image = by_path.get(os.path.abspath(item.image))
        if not item.labelled or item.points is None or len(item.points) != count:
            continue
        if image is None:
            left_out.append(f"{source.path}: the image {item.image} isn't there")
        elif image in done:
            left_out.append(f"{item.image}: shows several objects; the page annotates one per image, so the first is taken")
        elif project.record(image).version:
            kept += 1
        else:
            project.change(image, 0, _marks(item, project.template, order), action=f"taken from {source.path.name}")
            n_images += 1
        if image is not None:
            done.add(image)
    return replace(imported, n_images=n_images, kept=kept, left_out=left_out)


def _order(template: Template, names: tuple[str, ...], count: int, *, source: Path) -> list[int]:
    """For each landmark of the project, which of the annotations' it is: by name, or by place where no names are known."""
    found = by_name_or_place(names, count, template.names)
    if found is not None:
        return found
    if not names:
        raise DataError(
            f"{source}: has {count} landmarks without names, but the project has {len(template.names)}; "
            "open a new project for them"
        )
    lacking = [name for name in template.names if name not in names]
    other = [name for name in names if name not in template.names]
    also = f", and has {shortened(other)}, which the project lacks" if other else ""
    raise DataError(
        f"{source}: has other landmarks than the project: it lacks {shortened(lacking)}{also}; "
        "open a new project for them, or give the same landmarks the same names"
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
