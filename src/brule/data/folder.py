"""Find images, and read those that lie in folders with an annotation of the same name beside each, or without.

Folders are walked to any depth. Symbolic links are followed, every folder once, so that a loop of links does no harm.
Hidden files and folders and ``__MACOSX`` are passed over.
"""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from brule.data.formats import READERS, read_points
from brule.data.images import IMAGE_SUFFIXES, image_size
from brule.data.samples import BadFiles, Sample, SampleList, landmark_box, reject_odd_counts
from brule.errors import DataError

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_Key = tuple[str, str]  # folder, name without suffix: what an image and its annotation share


def find_images(paths: Paths) -> list[Path]:
    """Find image files.

    Args:
        paths: one path or several: files (taken whatever their suffix), folders, globs (``**`` for any depth).

    Returns:
        The files, sorted, none twice.

    Raises:
        DataError: a path leads nowhere, or there is no image at all.
    """
    # A shell writes out `faces/*` with the annotations in it.
    found = [file for file in find_files(paths, IMAGE_SUFFIXES) if file.suffix.lower() not in READERS]
    if not found:
        raise DataError(f"{_listed(paths)}: no image found; expected files ending in {_suffixes(IMAGE_SUFFIXES)}")
    return found


def find_files(paths: Paths, suffixes: Collection[str]) -> list[Path]:
    """Find files of the given suffixes (lower case, with the dot), as :func:`find_images`; none at all is no error."""
    found: dict[str, Path] = {}
    visited: set[tuple[int, int]] = set()
    for path in as_paths(paths):
        for file in _expand(path, suffixes, visited):
            found.setdefault(os.path.abspath(file), file)
    return sorted(found.values())


def as_paths(paths: Paths) -> list[Path]:
    """One path or several → a list of them."""
    return [Path(paths)] if isinstance(paths, (str, os.PathLike)) else [Path(path) for path in paths]


def read_folder(
    directory: Paths, *, annotations: bool = True, require_points: bool = False, skip_bad: bool = False
) -> SampleList:
    """Read a folder of images, each with its annotation (``.pts``, same name) beside it or without one.

    Only the headers of the images are read here; a file that is truncated shows when it is decoded (``build_cache``).

    Args:
        directory: the folder; also several, files, or globs, as for :func:`find_images`.
        annotations: read the annotations; otherwise they are passed over.
        require_points: return labelled images only; the others are listed in ``bad`` of the result.
        skip_bad: leave bad files out and list them in ``bad`` of the result, rather than raise at the first.

    Returns:
        The samples, sorted by path.

    Raises:
        DataError: nothing there, no labelled image though ``require_points``, nothing left after the bad ones; or a bad
            file, without ``skip_bad``: a broken image, a bad annotation, one without its image or with two, a number
            of points unlike the others', points in one place or far outside the image.
    """
    bad = BadFiles(skip=skip_bad)
    images = find_images(directory)
    beside = _annotations_beside(images) if annotations else {}
    if annotations:
        _reject_orphans(find_files(directory, READERS), images, bad)
    samples = []
    for image, annotation in _pair(images, beside, bad):
        try:
            samples.append(_read_sample(image, annotation))
        except DataError as error:
            bad.reject_error(_culprit(error, image, annotation), error)
    samples = reject_odd_counts(samples, bad)
    if require_points:
        samples = _labelled_only(samples, bad, directory)
    if not samples:
        raise DataError(f"{_listed(directory)}: none of the {len(images)} images can be used; the first: {bad[0]}")
    return SampleList(samples, bad=bad)


def _read_sample(image: Path, annotation: Path | None) -> Sample:
    size = image_size(image)
    if annotation is None:
        return Sample(image)
    points = read_points(annotation)
    check_inside(points, size, annotation)
    return Sample(image, points=points)


def check_inside(points: np.ndarray, size: tuple[int, int], path: Path) -> None:
    """Refuse landmarks that can't belong to an image of that size.

    A landmark a little outside is normal, where the object is cut off; one that lies outside by more than the image's
    own width or height is a mistake.

    Args:
        points: ``(N, 2)`` in pixels.
        size: width and height of the image.
        path: the file to name.

    Raises:
        DataError: a point is too far outside, or all points lie within one pixel.
    """
    low, high = -np.array(size, dtype=np.float64), 2.0 * np.array(size)
    outside = np.flatnonzero(((points < low) | (points > high)).any(axis=1))
    if len(outside):
        x, y = points[outside[0]]
        raise DataError(
            f"{path}: point {outside[0] + 1} at ({x:.1f}, {y:.1f}) lies far outside the image of {size[0]} × {size[1]} "
            "pixels; does the annotation belong to an image of another size?"
        )
    try:
        left, top, right, bottom = landmark_box(points)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if max(right - left, bottom - top) < 1:
        raise DataError(f"{path}: all points lie within one pixel; expected pixels, are these fractions of the image?")


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
    for folder in sorted({image.parent for image in images}):
        for file in sorted(_visible(folder)[0]):
            if file.suffix.lower() in READERS:
                found[_key(file)].append(file)
    return found


def _reject_orphans(annotations: list[Path], images: list[Path], bad: BadFiles) -> None:
    having_image = {_key(image) for image in images}
    for annotation in annotations:
        if _key(annotation) not in having_image:
            bad.reject(annotation, "there is no image of this name beside the annotation")


def _labelled_only(samples: list[Sample], bad: BadFiles, directory: Paths) -> list[Sample]:
    labelled = [sample for sample in samples if sample.points is not None]
    if not labelled:
        first = f"; the first bad file: {bad[0]}" if bad else ""
        raise DataError(
            f"{_listed(directory)}: no labelled image; expected an annotation ({', '.join(READERS)}) beside images, "
            f"of the same name, but none of the {len(samples)} images has one that can be used{first}"
        )
    listing = BadFiles(skip=True)  # unlabelled images are no damage: listed, never raised
    for sample in samples:
        if sample.points is None:
            listing.reject(sample.path, "has no annotation beside it")
    bad.extend(listing)
    return labelled


def _culprit(error: DataError, image: Path, annotation: Path | None) -> Path:
    return annotation if annotation is not None and str(error).startswith(f"{annotation}: ") else image


def _key(path: Path) -> _Key:
    # macOS writes names in decomposed Unicode, so the two files may spell the same name differently.
    return os.path.abspath(path.parent), unicodedata.normalize("NFC", path.stem)


def _expand(path: Path, suffixes: Collection[str], visited: set[tuple[int, int]]) -> Iterable[Path]:
    if path.is_dir():
        return _walk(path, suffixes, visited)
    if path.exists() or path.is_symlink():
        return [path]
    if not glob.has_magic(str(path)):
        raise DataError(f"{path}: no such file or folder")
    found = [Path(match) for match in glob.glob(str(path), recursive=True)]
    if not found:
        raise DataError(f"{path}: nothing matches this pattern")
    found = [match for match in found if "__MACOSX" not in match.parts]
    files = [file for file in found if not file.is_dir() and file.suffix.lower() in suffixes]
    return files + [file for folder in found if folder.is_dir() for file in _walk(folder, suffixes, visited)]


def _walk(root: Path, suffixes: Collection[str], visited: set[tuple[int, int]]) -> list[Path]:
    found, waiting = [], [root]
    while waiting:
        folder = waiting.pop()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        files, folders = _visible(folder)
        found += [file for file in files if file.suffix.lower() in suffixes]
        waiting += sorted(folders, reverse=True)
    return found


def _visible(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files (broken links among them: they get reported) and the folders in a folder."""
    files, folders = [], []
    try:
        for path in folder.iterdir():
            if path.name.startswith(".") or path.name == "__MACOSX":
                continue
            if path.is_dir():
                folders.append(path)
            elif path.is_file() or path.is_symlink():
                files.append(path)
    except OSError as error:
        raise DataError(f"{folder}: the folder can't be read ({error.strerror})") from error
    return files, folders


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _suffixes(suffixes: Collection[str]) -> str:
    return ", ".join(sorted(suffixes))


def _listed(paths: Paths) -> str:
    return ", ".join(str(path) for path in as_paths(paths)) or "(no path given)"
