"""From one annotation format to another."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from brule.data.annotations import located, read_annotations, relative_name, write_annotations
from brule.data.discovery import find_images_if_any, listed
from brule.data.folder import read_folder
from brule.data.formats import READERS, Annotation, Annotations, Format, format_for, format_named
from brule.data.image_lookup import ImageFinder
from brule.data.images import IMAGE_SUFFIXES, image_size
from brule.data.labels import read_labels
from brule.data.samples import BadFile, BadFiles
from brule.errors import DataError


@dataclass(frozen=True, eq=False)
class Conversion:
    """What :func:`convert` did.

    Args:
        files: the files written.
        format: what they are written in.
        n_images: images in them.
        n_objects: annotated objects in them.
        lost: what the format can't hold, in words.
        notes: what was passed over in reading.
        bad: what was left out.
    """

    files: list[Path]
    format: Format
    n_images: int
    n_objects: int
    lost: list[str]
    notes: list[str] = field(default_factory=list)
    bad: BadFiles = field(default_factory=BadFiles)


def convert(
    source: Path | str,
    target: Path | str,
    *,
    read_as: str | None = None,
    write_as: str | None = None,
    force: bool = False,
    skip_bad: bool = False,
) -> Conversion:
    """Convert annotations to another format.

    Args:
        source: an annotation file, or a folder of images and annotations.
        target: the file to write; for formats with a file an image, the folder to write them to. Images are named by their
            path from there, where they are found.
        read_as: the name of the format to read; by default suffix and content say.
        write_as: the name of the format to write; by default the suffix of ``target`` says.
        force: replace files that are there.
        skip_bad: leave bad records out.

    Returns:
        What was written, and what was lost.

    Raises:
        DataError: there is nothing to read, something is bad, or the target format can't hold a record at all.
        ConfigError: a format isn't known, or isn't clear; or a file is there and ``force`` is not given.
    """
    source, target = Path(source), Path(target)
    into = format_named(write_as) if write_as is not None else format_for(target)
    bad = BadFiles(skip=skip_bad)
    given = collect(source, bad, only=None if read_as is None else format_named(read_as))
    if not into.one_image:
        given = replace(given, items=[replace(item, image=_from(item.image, target.parent)) for item in given.items])
    lost = into.lost(given)
    if "unlabelled" not in into.holds:
        given = replace(given, items=[item for item in given.items if item.labelled])
    files = write_annotations(target, given, format=into, force=force)
    objects = [item for item in given.items if item.labelled or item.box is not None]
    return Conversion(files, into, len({item.image for item in given.items}), len(objects), lost, given.notes, bad)


def collect(source: Path, bad: BadFiles, *, only: Format | None = None) -> Annotations:
    """All annotations in a file or a folder, with all that their formats tell.

    Args:
        source: the file or folder.
        bad: takes what is wrong.
        only: the format to read; by default whatever is there.

    Returns:
        The records. Images that are there are named by their absolute path, with their size; others as in the file.

    Raises:
        DataError: there is nothing, or something is wrong and ``bad`` doesn't skip it.
    """
    if source.is_file() and (only.name != "pts" if only is not None else source.suffix.lower() not in READERS):
        found = read_annotations(source, format=only, skip_bad=bad.skip)
        bad.extend(BadFile(source, problem) for problem in found.problems)
        return located(found, ImageFinder(source))
    paths = [source, *_images_beside(source)] if source.is_file() else [source]
    images = find_images_if_any([str(path) for path in paths])
    labels = read_labels([str(path) for path in paths], images, bad, only=only)
    items = [
        replace(label.annotation, image=os.path.abspath(label.image), size=label.annotation.size or image_size(label.image))
        for own in labels.by_image.values()
        for label in own
    ]
    if only is None or only.name == "pts":
        items += _from_pts([str(path) for path in paths], set(labels.by_image), bad)
    if not items:
        raise DataError(f"{listed(source)}: no annotation found{f' of the format {only.name}' if only else ''}")
    return Annotations(sorted(items, key=lambda item: item.image), labels.layout, notes=labels.notes)


def _from_pts(paths: list[str], known: set[str], bad: BadFiles) -> list[Annotation]:
    """The points of ``.pts`` files, with the images they lie beside."""
    samples = read_folder(paths, skip_bad=bad.skip)
    bad.extend(one for one in samples.bad if one not in bad)
    return [
        Annotation(os.path.abspath(sample.path), np.asarray(sample.points), size=image_size(sample.path))
        for sample in samples
        if sample.points is not None and os.path.abspath(sample.path) not in known
    ]


def _images_beside(annotation: Path) -> list[Path]:
    found = [path for path in annotation.parent.iterdir() if path.stem == annotation.stem]
    return [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]


def _from(image: str, folder: Path) -> str:
    """An image that is there by its path from a folder; any other name as it is."""
    return relative_name(Path(image), folder) if os.path.isabs(image) and os.path.isfile(image) else image
