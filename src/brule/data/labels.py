"""The annotations that belong to a set of images: found, read, brought into one order, and matched with the images."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from brule.data.annotations import parse_annotations
from brule.data.discovery import Paths, as_paths, find_annotations, folders_of, visible
from brule.data.formats import ANNOTATION_SUFFIXES, READERS, Annotation, Annotations, Format
from brule.data.formats.record import in_one_order
from brule.data.image_lookup import ImageFinder
from brule.data.samples import BadFiles, Layout
from brule.errors import DataError


@dataclass(frozen=True, eq=False)
class Label:
    """One object in an image.

    Args:
        image: the file.
        annotation: what is known of the object.
        source: the file that says so.
    """

    image: Path
    annotation: Annotation
    source: Path


@dataclass(frozen=True, eq=False)
class Labels:
    """What annotation files say about images; ``.pts`` files, which name no image, aren't among them.

    Args:
        by_image: the objects of every image, by its absolute path.
        layout: names and edges of the landmarks.
        notes: what was passed over on purpose.
        given: the images of which files say something that were given, rather than found beside them.
    """

    by_image: dict[str, list[Label]] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)
    notes: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)


def read_labels(
    paths: Paths, images: list[Path], bad: BadFiles, *, also: Iterable[Path] = (), only: Format | None = None
) -> Labels:
    """Read the annotation files in ``paths``, and those beside ``images``.

    A file in ``paths`` counts whole: each of its images has to be there. Of a file that only lies beside an image, what it
    says about ``images`` counts, unless a file in ``paths`` says something about the same image. A file in a folder that is
    of no known format is something else, and passed over.

    Args:
        paths: files, folders, globs.
        images: the images that were found in them.
        bad: takes what is wrong.
        also: further annotation files that count as if they lay beside the images.
        only: take files to be of this format, and pass over those of another suffix.

    Raises:
        DataError: something is wrong, and ``bad`` doesn't skip it.
    """
    given = [path for path in find_annotations(paths) if path.suffix.lower() not in READERS]
    known = {os.path.abspath(path) for path in given}
    near = {os.path.abspath(path): path for path in [*_beside(images), *also] if path.suffix.lower() not in READERS}
    beside = [path for key, path in near.items() if key not in known]
    explicit = {os.path.abspath(path) for path in as_paths(paths)}
    sources: list[tuple[Path, ImageFinder, Annotations]] = []
    for path in [*given, *beside]:
        finder = ImageFinder(path, images)
        if only is not None and path.suffix.lower() not in only.suffixes:
            continue
        found = _read(path, finder, bad, only, explicit=os.path.abspath(path) in explicit)
        if found is not None:
            sources.append((path, finder, found))
    ordered, layout = in_one_order([found for _, _, found in sources])
    wanted = {os.path.abspath(image): image for image in images}
    labels = Labels(defaultdict(list), layout, [f"{path}: {note}" for path, _, found in sources for note in found.notes])
    for (path, finder, _), items in zip(sources, ordered, strict=True):
        for item in items:
            is_given = os.path.abspath(path) in known
            image = _image(finder, item, path, bad, required=is_given)
            key = os.path.abspath(image) if image is not None else ""
            if image is None or (not is_given and (key not in wanted or key in labels.given)):
                continue
            if is_given and (item.labelled or item.box is not None):
                labels.given.add(key)
            labels.by_image[key].append(Label(wanted.get(key, image), item, path))
    return labels


def _beside(images: Iterable[Path]) -> list[Path]:
    """The annotation files in the folders of images."""
    suffixes = ANNOTATION_SUFFIXES - READERS.keys()
    return [file for folder in folders_of(images) for file in visible(folder, suffixes)[0]]


def _read(path: Path, finder: ImageFinder, bad: BadFiles, only: Format | None, *, explicit: bool) -> Annotations | None:
    try:
        found = parse_annotations(path, finder.size, format=only)
    except DataError as error:
        bad.reject_error(path, error)
        return None
    if found is None and explicit:
        bad.reject(path, f"no annotation of a known format for {path.suffix.lower()} files; see docs/formats.md")
    for problem in found.problems if found is not None else ():
        bad.reject(path, problem)
    return found


def _image(finder: ImageFinder, item: Annotation, path: Path, bad: BadFiles, *, required: bool) -> Path | None:
    try:
        return finder.find(item.image)
    except DataError as error:
        if required:
            bad.reject_error(path, error)
        return None
