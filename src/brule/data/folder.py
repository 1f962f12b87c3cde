"""Read folders of images, each with its annotation or without one.

Annotations are files that name their images, anywhere in the folder, or files beside an image that have its name (``.pts``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from brule.data.discovery import Paths, as_paths, find_images, find_images_if_any, is_project, listed, suffixes_text
from brule.data.formats import ANNOTATION_SUFFIXES, Annotation
from brule.data.images import image_header, image_spacing
from brule.data.reading import Labels, Sources, by_image, foreign_notes, read_sources
from brule.data.remarks import Remarks
from brule.data.samples import BadFiles, Box, Sample, SampleList, landmark_box, reject_odd_counts
from brule.data.turning import as_upright
from brule.errors import DataError


def read_folder(
    directory: Paths,
    *,
    annotations: bool = True,
    also: Iterable[Path] = (),
    require_points: bool = False,
    check_images: bool = True,
    skip_bad: bool = False,
) -> SampleList:
    """Read a folder of images with their annotations, or without.

    Annotations are ``.pts`` files of the same name as their image, and files that name their images (COCO, labelme, CVAT,
    …; docs/formats.md lists them), anywhere in the folder. A file in ``directory`` counts whole: each of its images has to be
    there. A file that is only beside an image counts for the images asked for, unless one in ``directory`` describes the same
    image. Only the headers of the images are read here; a file that is truncated shows when it is decoded
    (``build_cache``).

    Args:
        directory: the folder; also several, files, or globs, as for :func:`find_images`. An annotation file that names its
            images may be given alone.
        annotations: read the annotations; otherwise they are passed over.
        also: further annotation files, which count for these images only.
        require_points: return labelled images only; the others are listed in ``bad`` of the result.
        check_images: read the headers of images without annotation, too. It takes most of the time, and a file that is no
            image shows when it is decoded, at the latest.
        skip_bad: leave bad files out and list them in ``bad`` of the result, rather than raise at the first.

    Returns:
        The samples, sorted by path; an image with several annotated objects gives a sample for each.

    Raises:
        DataError: nothing there, no labelled image though ``require_points``, nothing left after the bad ones; or a bad
            file, without ``skip_bad``: a broken image, a bad annotation, one without its image or with two, a number
            of points unlike the others', points in one place or far outside the image.
    """
    bad = BadFiles(skip=skip_bad)
    images = find_images_if_any(directory)
    foreign = foreign_notes(directory, bad)
    sources = read_sources(directory, bad, images=images, also=also) if annotations else Sources()
    labels = by_image(sources, images, bad)
    images = sorted({os.path.abspath(image): image for image in [*sources.images, *images]}.values())
    if not images:
        images = find_images(directory) if not bad else images  # raises: there is none
    samples, remarks = [], Remarks()
    for image in images:
        key = os.path.abspath(image)
        own = labels.get(key, [])
        if own or (check_images and key not in sources.spoilt):
            samples += _read_image(image, own, bad=bad, remarks=remarks)
        elif key not in sources.spoilt:
            samples.append(Sample(image, spacing=_spacing_if_whole(image)))
    samples = reject_odd_counts(samples, bad)
    if require_points:
        samples = _labelled_only(samples, bad, directory)
    if not samples and not images:
        raise DataError(str(bad[0]))
    if not samples:
        raise DataError(f"{listed(directory)}: none of the {len(images)} images can be used; the first: {bad[0]}")
    return SampleList(samples, bad=bad, layout=sources.layout, notes=[*sources.notes, *foreign, *remarks.notes()])


def _read_image(image: Path, labels: Labels, *, bad: BadFiles, remarks: Remarks) -> list[Sample]:
    """The samples of an image, one an object; none if it is bad."""
    stated = next((item.spacing for item, _ in labels if item.spacing is not None), None)
    labels = [(item, source) for item, source in labels if item.labelled or item.box is not None]
    try:
        header = image_header(image, count=True)
    except DataError as error:
        bad.reject_error(image, error)
        return []
    remarks.add_image(image, header)
    size, spacing = header.size, stated or header.spacing
    samples = [] if labels else [Sample(image, spacing=spacing)]
    for item, source in labels:
        try:
            turned = as_upright(item, size, header.orientation)
            samples.append(replace(_sample(image, size, turned.annotation, source=source), spacing=spacing))
            remarks.add_turned(source, image, turned.remark)
            if turned.annotation.points is not None:
                remarks.add_points(source, image, turned.annotation.points, size=size)
        except DataError as error:
            bad.reject_error(source, error)
    return samples


def _spacing_if_whole(image: Path) -> tuple[float, float] | None:
    """Millimetres per pixel; None for a damaged file, whose damage shows when it is decoded."""
    try:
        return image_spacing(image)
    except DataError:
        return None


def _sample(image: Path, size: tuple[int, int], item: Annotation, *, source: Path) -> Sample:
    """An object of an image, once its annotation is known to fit."""
    where = f"{source}: {image.name}" if item.image else str(source)
    if item.size is not None and item.size != size:
        exchanged = " (width and height are exchanged)" if item.size == size[::-1] else ""
        raise DataError(
            f"{where}: is {item.size[0]} × {item.size[1]} pixels by this file, but the image has {size[0]} × {size[1]}"
            f"{exchanged}; annotate the image as it is"
        )
    points = item.points if item.labelled else None
    if item.box is not None:
        _check_box(item.box, size, where)
    if points is not None:
        check_inside(points, size, where, boxed=item.box is not None)
    try:
        return Sample(image, points=points, box=item.box)
    except DataError as error:
        raise DataError(f"{where}: {str(error).removeprefix(f'{image}: ')}") from error


def check_inside(points: np.ndarray, size: tuple[int, int], path: Path | str, *, boxed: bool = False) -> None:
    """Refuse landmarks that can't belong to an image of that size.

    A landmark a little outside is normal, where the object is cut off; one outside by more than the image's
    own width or height is a mistake.

    Args:
        points: ``(N, 2)`` in pixels, NaN where one is missing.
        size: width and height of the image.
        path: what the message starts with: the file.
        boxed: whether the object has a box, so that the landmarks needn't give one.

    Raises:
        DataError: a point is too far outside, all points look like fractions, or, without a box, are within one pixel.
    """
    low, high = -np.array(size, dtype=np.float64), 2.0 * np.array(size)
    outside = np.flatnonzero(((points < low) | (points > high)).any(axis=1))
    if len(outside):
        x, y = points[outside[0]]
        raise DataError(
            f"{path}: point {outside[0] + 1} at ({x:.1f}, {y:.1f}) is far outside the image of {size[0]} × {size[1]} "
            "pixels; does the annotation belong to an image of another size?"
        )
    there = points[np.isfinite(points).all(axis=1)]
    if boxed and len(there) > 1 and bool(((there >= 0) & (there <= 1)).all()):
        raise DataError(f"{path}: all points are between 0 and 1; expected pixels, are these fractions of the image?")
    if boxed:
        return
    try:
        left, top, right, bottom = landmark_box(points)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if max(right - left, bottom - top) < 1:
        raise DataError(f"{path}: all points are within one pixel; expected pixels, are these fractions of the image?")


def _check_box(box: Box, size: tuple[int, int], where: str) -> None:
    left, top, right, bottom = box
    if right < 0 or bottom < 0 or left > size[0] - 1 or top > size[1] - 1:
        raise DataError(
            f"{where}: the box ({left:g}, {top:g}, {right:g}, {bottom:g}) is outside the image of {size[0]} × {size[1]} pixels"
        )


def _labelled_only(samples: list[Sample], bad: BadFiles, directory: Paths) -> list[Sample]:
    labelled = [sample for sample in samples if sample.points is not None]
    if not labelled:
        first = f"; the first bad file: {bad[0]}" if bad else ""
        raise DataError(
            f"{listed(directory)}: no labelled image; expected an annotation ({suffixes_text(ANNOTATION_SUFFIXES)}) beside "
            f"images, but none of the {len(samples)} images has one that can be used{first}"
        )
    project = any(is_project(path) for path in as_paths(directory))
    reason = "has no accepted annotation in the project" if project else "has no annotation beside it"
    listing = BadFiles(skip=True)  # unlabelled images are no damage: listed, never raised
    for sample in samples:
        if sample.points is None:
            listing.reject(sample.path, reason)
    bad.extend(listing)
    return labelled
