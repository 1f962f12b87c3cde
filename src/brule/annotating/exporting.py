"""A project's finished annotations as files of any format that brule writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from brule.annotating.missing import with_missing
from brule.annotating.project import EXPORTS, Project
from brule.data.annotations import relative_name, write_annotations
from brule.data.formats import FORMATS, Annotation, Annotations, Format, format_named
from brule.data.formats.record import square
from brule.data.images import image_spacing
from brule.data.samples import Layout
from brule.errors import DataError


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        files: the files.
        n_images: how many images are in them.
        lost: what the format can't hold, in words.
        left_out: the images that the format can't hold at all, each with the reason.
    """

    files: list[Path]
    n_images: int
    lost: list[str]
    left_out: list[str] = field(default_factory=list)


def collected(project: Project) -> Annotations:
    """The finished annotations of a project; images by their absolute path.

    Raises:
        DataError: none is finished, or an image is missing.
    """
    template = project.template
    items = []
    for image in project.accepted():
        record = project.record(image)
        marks = record.marks
        hidden = marks.hidden(template.names)
        items.append(
            Annotation(
                str(record.entry.path),
                marks.array(template.names).astype(np.float32),
                marks.box,
                record.image_size(),
                hidden if hidden.any() else None,
                square(marks.scale) or image_spacing(record.entry.path) or square(project.settings.scale),
            )
        )
    if not items:
        raise DataError(with_missing(project, f"{project.folder}: no annotation is finished, so there is nothing to export"))
    curves = tuple(contour.points for contour in template.contours)
    return Annotations(items, Layout(template.names, template.lines, curves, kind=template.kind))


def export_project(project: Project, format: str, target: Path | None = None) -> Exported:
    """Write a project's finished annotations, but for those that the format can't hold.

    Args:
        project: the project.
        format: one of :data:`brule.data.formats.FORMATS`.
        target: the file to write; the folder, for a format with one file per image. By default in the project's ``exports``,
            where an earlier export is replaced.

    Raises:
        ConfigError: the format isn't known, or ``target`` exists already.
        DataError: nothing is finished, or the format can't hold any of it.
        OutputError: it can't be written.
    """
    into = format_named(format)
    found, left_out = _holdable(project, collected(project), into)
    place = target or default_target(project, into)
    if not into.one_image:  # those with one file per image name it from each file
        items = [replace(item, image=relative_name(Path(item.image), place.parent)) for item in found.items]
        found = replace(found, items=items)
    files = write_annotations(place, found, format=into, force=target is None)
    if target is None and into.one_image:
        _remove_earlier(place, files, into)
    return Exported(files, len(found.items), into.lost(found), left_out)


def _holdable(project: Project, found: Annotations, format: Format) -> tuple[Annotations, list[str]]:
    """The annotations that a format can hold, and which it can't, each with the reason."""
    shown = {str(entry.path): entry.shown for entry in project.entries.values()}
    reasons = [format.refuses(found, item) for item in found.items]
    left_out = [f"{shown[item.image]} {why}" for item, why in zip(found.items, reasons, strict=True) if why is not None]
    items = [item for item, why in zip(found.items, reasons, strict=True) if why is None]
    if not items:
        raise DataError(f"{project.folder}: nothing is left to export; the first of {len(left_out)} images: {left_out[0]}")
    return replace(found, items=items), left_out


def _remove_earlier(folder: Path, files: Sequence[Path], format: Format) -> None:
    """Remove an earlier export's files of images that aren't finished any more."""
    kept = set(files)
    for path in folder.rglob("*"):
        if path not in kept and path.name.lower().endswith(tuple(format.suffixes)) and path.is_file():
            path.unlink()


def default_target(project: Project, format: Format) -> Path:
    """Where an export is kept."""
    folder = project.folder / EXPORTS / format.name
    return folder if format.one_image else folder / f"annotations{format.suffixes[0]}"


def described_formats() -> list[dict[str, object]]:
    """The formats, as the page lists them."""
    from brule.data.formats.format import FEATURES

    shown = ("names", "edges", "occluded", "missing", "scale", "boxes", "fractions")
    return [
        {
            "name": one.name,
            "title": one.title,
            "one_image": one.one_image,
            "loses": [FEATURES[key] for key in shown if key not in one.holds],
        }
        for one in FORMATS.values()
    ]
