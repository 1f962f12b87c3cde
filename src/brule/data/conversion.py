"""From one annotation format to another."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from brule.data.annotations import relative_name, write_annotations
from brule.data.discovery import Paths, as_paths, find_images_if_any
from brule.data.edges import Edges
from brule.data.formats import Annotation, Annotations, Format, format_for, format_named
from brule.data.formats.outlines import with_outline_points
from brule.data.images import image_header, image_size
from brule.data.names import Names
from brule.data.predictions import prediction_table
from brule.data.reading import by_image, read_sources
from brule.data.samples import BadFiles, Layout, Sample
from brule.data.turning import as_upright
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
    outline_points: int | None = None,
    images: Paths = (),
) -> Conversion:
    """Convert annotations to another format.

    Args:
        source: an annotation file, or a folder of images and annotations.
        target: the file to write; for formats with one file per image, the folder to write them to. Images are named by their
            path from there, where they are found.
        read_as: the name of the format to read; by default recognised by suffix and content.
        write_as: the name of the format to write; by default from the suffix of ``target``.
        force: replace files that are there.
        skip_bad: leave bad records out.
        outline_points: turn each polygon into that many evenly spaced landmarks.
        images: where the images are, if they aren't in the source's folder, as for predictions.

    Returns:
        What was written, and what was lost.

    Raises:
        DataError: there is nothing to read, something is bad, or the target format can't hold a record at all.
        ConfigError: a format isn't known, or isn't clear; or a file is there and ``force`` is not given.
    """
    source, target = Path(source), Path(target)
    into = format_named(write_as) if write_as is not None else format_for(target)
    bad = BadFiles(skip=skip_bad)
    given = collect(source, bad, only=None if read_as is None else format_named(read_as, to_read=True), images=images)
    if outline_points is not None:
        given = with_outline_points(given, outline_points)
    given = _whole(_of_one_count(given, into, bad), into, bad)
    if not into.one_image:
        given = replace(given, items=[replace(item, image=_from(item.image, target.parent)) for item in given.items])
    lost = into.lost(given)
    if "unlabelled" not in into.holds:
        given = replace(given, items=[item for item in given.items if item.labelled])
    files = write_annotations(target, given, format=into, force=force)
    objects = [item for item in given.items if item.labelled or item.box is not None]
    return Conversion(files, into, len({item.image for item in given.items}), len(objects), lost, given.notes, bad)


def collect(source: Path, bad: BadFiles, *, only: Format | None = None, images: Paths = ()) -> Annotations:
    """All annotations in a file or a folder, with all that their formats hold.

    Args:
        source: the file or folder.
        bad: takes what is wrong.
        only: the format to read; by default any.
        images: where else images are.

    Returns:
        The records. Images that are there are named by their absolute path, with their size; others as in the file.

    Raises:
        DataError: there is nothing, or something is wrong and ``bad`` doesn't skip it.
    """
    table = prediction_table(source)
    source = source if table is None else table
    alone = source.is_file()
    elsewhere = as_paths(images)
    found = [] if alone and not elsewhere else find_images_if_any([*([] if alone else [source]), *elsewhere])
    sources = read_sources(source, bad, images=found, folders=elsewhere, only=only, required=not alone)
    if alone:
        pairs = [pair for file in sources.files if file.given for pair in zip(file.annotations.items, file.images, strict=True)]
        items = _located_all([pair for pair in pairs if pair[1] is not None or pair[0].image], bad)
    else:
        paths = {os.path.abspath(image): image for image in sources.images}
        labels = sorted(by_image(sources, found, bad).items())
        items = _located_all([(item, paths[key]) for key, own in labels if key in paths for item, _ in own], bad)
    if not items:
        first = f"; the first bad file: {bad[0]}" if bad else ""
        raise DataError(f"{source}: no annotation found{f' of the format {only.name}' if only else ''}{first}")
    return Annotations(items, sources.layout, notes=sources.notes)


def predicted(sample: Sample, points: np.ndarray) -> Annotation:
    """The record of an object that was found in an image: landmarks ``(N, 2)`` in pixels of the upright image."""
    return Annotation(os.path.abspath(sample.path), points, size=image_size(sample.path), spacing=sample.spacing)


def write_predictions(
    items: list[Annotation], folder: Path, *, format: Format, names: Names | None = None, edges: Edges = ()
) -> list[str]:
    """Write predictions as annotations: a file ``landmarks-FORMAT``, or a folder for a format with one file per image.

    Args:
        items: a record for each object; images by their absolute path.
        folder: the folder of the predictions. Images are named by their path from the file.
        format: the format; files of an earlier call are replaced.
        names: of the landmarks.
        edges: between landmarks.

    Returns:
        What the format can't hold, in words.
    """
    target = folder / (format.name if format.one_image else f"landmarks-{format.name}{format.suffixes[0]}")
    return write_objects(items, target, format=format, names=names, edges=edges, force=True)


def write_objects(
    items: list[Annotation], target: Path, *, format: Format, names: Names | None = None, edges: Edges = (), force: bool
) -> list[str]:
    """The same to a file or folder of any name, whose files are replaced only with ``force``.

    Raises:
        ConfigError: a file is there and ``force`` is not given.
        DataError: there is no object, or the format can't hold one at all.
    """
    if not format.one_image:
        items = [replace(item, image=relative_name(Path(item.image), target.parent)) for item in items]
    annotations = Annotations(items, Layout(names, edges if names else ()))
    write_annotations(target, annotations, format=format, force=force)
    return format.lost(annotations)


def _of_one_count(given: Annotations, into: Format, bad: BadFiles) -> Annotations:
    """Leave out the objects whose number of landmarks isn't that of those that are written with them."""
    names = given.layout.names
    files: dict[str, list[Annotation]] = {}
    own_file = into.one_image and into.companions is None
    for item in given.items:
        files.setdefault(item.image if own_file else "", []).append(item)
    odd: set[int] = set()
    for items in files.values():
        counts = Counter(len(item.points) for item in items if item.points is not None)
        usual = len(names) if names else next((count for count, _ in counts.most_common(1)), 0)
        for item in items:
            if item.points is None or len(item.points) == usual:
                continue
            odd.add(id(item))
            others = (
                f"the landmarks have {usual} names" if names else f"{counts[usual]} of {counts.total()} objects have {usual}"
            )
            bad.reject(
                Path(item.image), f"its annotation has {len(item.points)} points, but {others}: {into.title} takes one number"
            )
    items = [item for item in given.items if id(item) not in odd]
    if odd and not items:
        raise DataError(f"no object is left to convert; the first bad one: {bad[0]}")
    return replace(given, items=items)


def _whole(given: Annotations, into: Format, bad: BadFiles) -> Annotations:
    """Leave out the objects that the format can't hold."""
    items = []
    for item in given.items:
        reason = into.refuses(given, item) if item.labelled else None
        if reason is None:
            items.append(item)
        else:
            bad.reject(Path(item.image), reason)
    if given.items and not items:
        raise DataError(f"no object is left to convert; the first bad one: {bad[0]}")
    return replace(given, items=items)


def _located_all(pairs: Iterable[tuple[Annotation, Path | None]], bad: BadFiles) -> list[Annotation]:
    """Records with their images' paths and sizes; those of broken images are left out, and each image is listed once."""
    items: list[Annotation] = []
    broken: set[Path] = set()
    for item, image in pairs:
        if image is None:
            items.append(item)
        elif image not in broken:
            try:
                items.append(_located(item, image))
            except DataError as error:
                broken.add(image)
                bad.reject_error(image, error)
    return items


def _located(item: Annotation, image: Path) -> Annotation:
    """A record with its image's absolute path and size, in pixels of the upright image."""
    header = image_header(image)
    item = as_upright(item, header.size, header.orientation).annotation
    return replace(item, image=os.path.abspath(image), size=item.size or header.size, spacing=item.spacing or header.spacing)


def _from(image: str, folder: Path) -> str:
    """An image that is there by its path from a folder; any other name as it is."""
    return relative_name(Path(image), folder) if os.path.isabs(image) and os.path.isfile(image) else image
