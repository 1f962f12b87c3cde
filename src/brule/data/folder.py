"""Read folders of images, each with its annotation or without one.

Annotations lie beside the images: a ``.pts`` file of the same name, or a file of any other format that names them.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from brule.data.discovery import Paths, find_files, find_images, find_images_if_any, folders_of, listed, suffixes_text, visible
from brule.data.formats import ANNOTATION_SUFFIXES, READERS, read_points
from brule.data.images import image_size
from brule.data.labels import Label, Labels, read_labels
from brule.data.samples import BadFiles, Box, Sample, SampleList, landmark_box, reject_odd_counts
from brule.errors import DataError

_Key = tuple[str, str]  # folder, name without suffix: what an image and its annotation share


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
    …; docs/formats.md lists them), anywhere in the folder. Only the headers of the images are read here; a file that is
    truncated shows when it is decoded (``build_cache``).

    Args:
        directory: the folder; also several, files, or globs, as for :func:`find_images`. An annotation file that names its
            images may be given alone.
        annotations: read the annotations; otherwise they are passed over.
        also: further annotation files, of which counts what they say about these images.
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
    labels = read_labels(directory, images, bad, also=also) if annotations else Labels()
    known = {os.path.abspath(image) for image in images}
    images = sorted([*images, *(own[0].image for key, own in labels.by_image.items() if key not in known)])
    if not images:
        images = find_images(directory) if not bad else images  # says that there is none
    beside = _annotations_beside(images) if annotations else {}
    given = find_files(directory, READERS) if annotations else []
    _reject_orphans(given, images, bad)
    known = {os.path.abspath(path) for path in given}
    samples = []
    for image, points in _pair(images, beside, bad):
        key = os.path.abspath(image)
        if key in labels.given and points is not None and os.path.abspath(points) not in known:
            points = None  # what was given beats what only lies there
        own = labels.by_image.get(key, [])
        bare = points is None and not own and not check_images
        samples += [Sample(image)] if bare else _read_image(image, points, own, bad)
    samples = reject_odd_counts(samples, bad)
    if require_points:
        samples = _labelled_only(samples, bad, directory)
    if not samples:
        raise DataError(f"{listed(directory)}: none of the {len(images)} images can be used; the first: {bad[0]}")
    return SampleList(samples, bad=bad, layout=labels.layout, notes=labels.notes)


def _read_image(image: Path, annotation: Path | None, labels: list[Label], bad: BadFiles) -> list[Sample]:
    """The samples of an image, one an object; none if it is bad."""
    labels = [label for label in labels if label.annotation.labelled or label.annotation.box is not None]
    sources = sorted({label.source for label in labels} | ({annotation} if annotation is not None else set()))
    if len(sources) > 1:
        bad.reject(image, f"has more than one annotation: {', '.join(map(str, sources))}; keep one")
        return []
    try:
        size = image_size(image)
    except DataError as error:
        bad.reject_error(image, error)
        return []
    samples = []
    reads: list[Callable[[], Sample]] = [partial(_labelled_sample, image, size, label) for label in labels]
    for read in reads or [partial(_read_sample, image, size, annotation)]:
        try:
            samples.append(read())
        except DataError as error:
            bad.reject_error(_culprit(error, image, sources), error)
    return samples


def _read_sample(image: Path, size: tuple[int, int], annotation: Path | None) -> Sample:
    if annotation is None:
        return Sample(image)
    points = read_points(annotation)
    check_inside(points, size, annotation)
    return Sample(image, points=points)


def _labelled_sample(image: Path, size: tuple[int, int], label: Label) -> Sample:
    known = label.annotation.size
    where = f"{label.source}: {image.name}"
    if known is not None and known != size:
        turned = " (it is turned by its EXIF data)" if known == size[::-1] else ""
        raise DataError(
            f"{where}: is {known[0]} × {known[1]} pixels by this file, but the image has {size[0]} × {size[1]}{turned}; "
            "annotate the image as it is"
        )
    box = label.annotation.box
    points = label.annotation.points if label.annotation.labelled else None
    if box is not None:
        _check_box(box, size, where)
    if points is not None:
        check_inside(points, size, where, boxed=box is not None)
    try:
        return Sample(image, points=points, box=box)
    except DataError as error:
        raise DataError(f"{where}: {str(error).removeprefix(f'{image}: ')}") from error


def check_inside(points: np.ndarray, size: tuple[int, int], path: Path | str, *, boxed: bool = False) -> None:
    """Refuse landmarks that can't belong to an image of that size.

    A landmark a little outside is normal, where the object is cut off; one that lies outside by more than the image's
    own width or height is a mistake.

    Args:
        points: ``(N, 2)`` in pixels, NaN where one is missing.
        size: width and height of the image.
        path: what the message starts with: the file.
        boxed: whether the object has a box, so that the landmarks needn't give one.

    Raises:
        DataError: a point is too far outside, or, without a box, all points lie within one pixel.
    """
    low, high = -np.array(size, dtype=np.float64), 2.0 * np.array(size)
    outside = np.flatnonzero(((points < low) | (points > high)).any(axis=1))
    if len(outside):
        x, y = points[outside[0]]
        raise DataError(
            f"{path}: point {outside[0] + 1} at ({x:.1f}, {y:.1f}) lies far outside the image of {size[0]} × {size[1]} "
            "pixels; does the annotation belong to an image of another size?"
        )
    if boxed:
        return
    try:
        left, top, right, bottom = landmark_box(points)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if max(right - left, bottom - top) < 1:
        raise DataError(f"{path}: all points lie within one pixel; expected pixels, are these fractions of the image?")


def _check_box(box: Box, size: tuple[int, int], where: str) -> None:
    left, top, right, bottom = box
    if right < 0 or bottom < 0 or left > size[0] - 1 or top > size[1] - 1:
        raise DataError(
            f"{where}: the box ({left:g}, {top:g}, {right:g}, {bottom:g}) lies outside the image of {size[0]} × {size[1]} "
            "pixels"
        )


def _pair(images: list[Path], beside: dict[_Key, list[Path]], bad: BadFiles) -> Iterable[tuple[Path, Path | None]]:
    by_key: dict[_Key, list[Path]] = defaultdict(list)
    for image in images:
        by_key[_key(image)].append(image)
    for key, same_name in by_key.items():
        notes = beside.get(key, [])
        if len(notes) > 1:
            bad.reject(same_name[0], f"has more than one annotation beside it: {_names(notes)}; keep one")
        elif notes and len(same_name) > 1:
            bad.reject(notes[0], f"belongs to more than one image: {_names(same_name)}; keep one of them")
        else:
            yield from ((image, notes[0] if notes else None) for image in same_name)


def _annotations_beside(images: list[Path]) -> dict[_Key, list[Path]]:
    found: dict[_Key, list[Path]] = defaultdict(list)
    for folder in folders_of(images):
        for file in visible(folder, READERS)[0]:
            found[_key(file)].append(file)
    return found


def _reject_orphans(annotations: list[Path], images: list[Path], bad: BadFiles) -> None:
    having_image = {_key(image) for image in images}
    for annotation in annotations:
        if annotation.suffix.lower() in READERS and _key(annotation) not in having_image:
            bad.reject(annotation, "there is no image of this name beside the annotation")


def _labelled_only(samples: list[Sample], bad: BadFiles, directory: Paths) -> list[Sample]:
    labelled = [sample for sample in samples if sample.points is not None]
    if not labelled:
        first = f"; the first bad file: {bad[0]}" if bad else ""
        raise DataError(
            f"{listed(directory)}: no labelled image; expected an annotation ({suffixes_text(ANNOTATION_SUFFIXES)}) beside "
            f"images, but none of the {len(samples)} images has one that can be used{first}"
        )
    listing = BadFiles(skip=True)  # unlabelled images are no damage: listed, never raised
    for sample in samples:
        if sample.points is None:
            listing.reject(sample.path, "has no annotation beside it")
    bad.extend(listing)
    return labelled


def _culprit(error: DataError, image: Path, sources: list[Path]) -> Path:
    return next((source for source in sources if str(error).startswith(f"{source}: ")), image)


def _key(path: Path) -> _Key:
    # macOS writes names in decomposed Unicode, so the two files may spell the same name differently.
    return os.path.abspath(path.parent), unicodedata.normalize("NFC", path.stem)


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)
