"""The one reader of annotation files: found, recognised, read, matched with images, and brought into one order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from brule.data.discovery import Paths, as_paths, find_annotations, find_foreign, folders_given, folders_of, visible
from brule.data.formats import ANNOTATION_SUFFIXES, Annotation, Annotations, Format, SizeOf, formats_of, load
from brule.data.formats.foreign import HDF5_SUFFIXES, odd_content, way_out
from brule.data.formats.record import in_one_order
from brule.data.formats.values import load_table
from brule.data.image_lookup import ImageFinder, KnownImages, is_below
from brule.data.names import name_remarks
from brule.data.predictions import NOTE, is_prediction_list, prediction_table, read_if_predictions
from brule.data.projects import Projects
from brule.data.samples import BadFiles, Layout
from brule.errors import DataError

Other = Callable[[Path, Any], Annotations | None]
Labels = list[tuple[Annotation, Path]]  # the objects of an image, each with the file that describes it

MAX_LISTED_FILES = 3
SAME_POINT = 0.01  # pixels: as formats round


@dataclass(frozen=True, eq=False)
class Source:
    """An annotation file that was read.

    Args:
        path: the file.
        annotations: its records, their landmarks in the order of all files read together.
        given: whether the file was in the paths asked for, rather than only beside an image.
        images: the image of each record, None where it isn't found; empty if images weren't asked for.
    """

    path: Path
    annotations: Annotations
    given: bool
    images: list[Path | None] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Sources:
    """Annotation files that were read together.

    Args:
        files: one per file, those given first.
        layout: names and edges of the landmarks.
        notes: what was passed over on purpose.
        spoilt: the images, by absolute path, whose own annotation can't be used.
    """

    files: list[Source] = field(default_factory=list)
    layout: Layout = field(default_factory=Layout)
    notes: list[str] = field(default_factory=list)
    spoilt: set[str] = field(default_factory=set)

    @property
    def images(self) -> list[Path]:
        """The images that given files name, as often as they do."""
        return [image for file in self.files if file.given for image in file.images if image is not None]


def parse_annotations(
    path: Path, size_of: SizeOf, *, format: Format | None = None, other: Other | None = None
) -> Annotations | None:
    """Read an annotation file; None if it is of no known format.

    Args:
        path: the file.
        size_of: from an image's name in the file to its width and height.
        format: its format; by default recognised by suffix and content.
        other: reads what no format recognises.

    Raises:
        DataError: it is damaged.
    """
    if format is None:
        format, content = load(path)
    else:
        content = format.load(path)
    if format is None:
        return None if other is None else other(path, content)
    found = format.parse(path, content, size_of)
    if not found.items and not found.problems and not found.predicted:
        raise DataError(f"{path}: holds no images; expected {format.title} with at least one")
    return found


def read_sources(
    paths: Paths,
    bad: BadFiles,
    *,
    images: Sequence[Path] | None = None,
    also: Iterable[Path] = (),
    folders: Iterable[Path] = (),
    only: Format | None = None,
    other: Other | None = None,
    required: bool = True,
) -> Sources:
    """Read the annotation files in ``paths``, and those beside ``images``.

    A file in a folder that is of no known format is something else, and passed over.

    Args:
        paths: files, folders, globs.
        bad: takes what is wrong.
        images: the images that were found in ``paths``; None if images don't matter, as for shapes.
        also: further annotation files that count as if they were beside the images.
        folders: further folders in which images may be.
        only: take files to be of this format, and pass over those of another suffix.
        other: reads a file that was given by its name and is of no known format.
        required: whether every image that a file in ``paths`` names has to be there.

    Raises:
        DataError: something is wrong, and ``bad`` doesn't skip it.
    """
    folders = list(folders)
    known_folders = [*folders_given(paths), *(path for path in folders if path.is_dir())]
    known_images = KnownImages(images or (), known_folders, anywhere=bool(folders))
    reader = _Reader(paths, bad, known_images, match=images is not None, only=only, other=other)
    given = find_annotations(paths)
    known = {os.path.abspath(path) for path in given}
    near = {os.path.abspath(path): path for path in [*_beside(() if folders else images or ()), *also]}
    files = [reader.read(path, required=required) for path in given if reader.wanted(path)]
    files += [reader.read(path) for key, path in near.items() if key not in known and reader.wanted(path, beside=True)]
    found = [
        file for file in files if file is not None and (images is None or any(file.images) or (file.given and not required))
    ]
    ordered, layout = in_one_order([file.annotations for file in found])
    sources = Sources(layout=layout, spoilt=reader.spoilt)
    for file, items in zip(found, ordered, strict=True):
        own = layout if file.annotations.layout.names else file.annotations.layout
        sources.files.append(replace(file, annotations=replace(file.annotations, items=items, layout=own)))
        reader.add_notes(file.path, file.annotations.notes)
    sources.notes.extend([*reader.notes(), *_name_notes(sources, found)])
    return sources


def _name_notes(sources: Sources, found: list[Source]) -> list[str]:
    """Remarks on names that are almost the same, and on files without names beside files with names."""
    labelled = [file for file in found if any(item.labelled for item in file.annotations.items)]
    named = [file.path for file in labelled if file.annotations.layout.names]
    bare = [file.path for file in labelled if not file.annotations.layout.names]
    if not named:
        return []
    names = sources.layout.names or ()
    items = [item for file in sources.files if file.annotations.layout.names for item in file.annotations.items]
    points = [item.points for item in items if item.points is not None and len(item.points) == len(names)]
    notes = name_remarks(names, np.isfinite(np.array(points)).all(axis=-1)) if points else []
    if bare:
        verb, other = ("has" if len(bare) == 1 else "have"), ("has" if len(named) == 1 else "have")
        unknown = "whether the landmarks are in the same order can't be checked"
        notes.append(f"{_files(bare)} {verb} no landmark names, {_files(named)} {other}: {unknown}")
    return notes


def counted(paths: list[Path]) -> str:
    """Files as a remark on them begins: the first, and how many more."""
    return f"{paths[0]} and {len(paths) - 1} more" if len(paths) > 1 else f"{paths[0]}"


def is_shape_file(content: object) -> bool:
    """Whether JSON is a file of shapes, which names no images."""
    shapes = content.get("shapes") if isinstance(content, dict) else None
    return isinstance(shapes, list) and bool(shapes) and all(isinstance(shape, list) for shape in shapes)


def foreign_notes(paths: Paths, bad: BadFiles) -> list[str]:
    """Remarks on files in folders that are neither images nor annotations brule reads; one given by its name is bad.

    Args:
        paths: files, folders, globs.
        bad: takes the files given by name.

    Raises:
        DataError: one was given by its name, and ``bad`` doesn't skip it.
    """
    named = {os.path.abspath(path) for path in as_paths(paths)}
    found: dict[str, list[Path]] = {}
    for path in find_foreign(paths):
        what = way_out(path) or "isn't read"
        if os.path.abspath(path) in named:
            bad.reject(path, what)
        else:
            found.setdefault(what, []).append(path)
    suffixes = {what: ", ".join(sorted({path.suffix.lower() for path in own})) for what, own in found.items()}
    return [f"{counted(own)} ({suffixes[what]}): {what}" for what, own in found.items()]


def _files(paths: list[Path]) -> str:
    more = f" and {len(paths) - MAX_LISTED_FILES} more files" if len(paths) > MAX_LISTED_FILES else ""
    return ", ".join(map(str, paths[:MAX_LISTED_FILES])) + more


def by_image(sources: Sources, images: Iterable[Path], bad: BadFiles) -> dict[str, Labels]:
    """The annotations of each image, by its absolute path; files that were given take precedence over those beside images.

    Args:
        sources: the files; an image with more than one annotation becomes spoilt.
        images: those that count for files only beside images.
        bad: takes images with more than one annotation.

    Raises:
        DataError: there is such an image, and ``bad`` doesn't skip it.
    """
    wanted = {os.path.abspath(image): image for image in [*sources.images, *images]}
    found: dict[str, Labels] = {}
    given: set[str] = set()
    for file in sources.files:
        for item, image in zip(file.annotations.items, file.images, strict=True):
            key = "" if image is None else os.path.abspath(image)
            if image is None or (key in given and not file.given):
                continue
            if file.given and _describes(item):
                given.add(key)
            found.setdefault(key, []).append((item, file.path))
    for key, labels in list(found.items()):
        files = sorted({path for item, path in labels if _describes(item)})
        if len(files) > 1 and _agree([[item for item, path in labels if path == file and _describes(item)] for file in files]):
            found[key] = [(item, path) for item, path in labels if path == files[0]]
        elif len(files) > 1:
            names = ", ".join(path.name if path.parent == wanted[key].parent else str(path) for path in files)
            bad.reject(wanted[key], f"has more than one annotation: {names}; keep one")
            sources.spoilt.add(key)
            del found[key]
    return found


def _agree(sets: list[list[Annotation]]) -> bool:
    """Whether files have the same objects, as a copy of one in another folder has."""
    first, *others = sets
    return all(len(own) == len(first) and all(map(_same, first, own)) for own in others)


def _same(one: Annotation, other: Annotation) -> bool:
    if one.box != other.box or (one.points is None) != (other.points is None):
        return False
    if one.points is None or other.points is None:
        return True
    return one.points.shape == other.points.shape and np.allclose(one.points, other.points, atol=SAME_POINT, equal_nan=True)


def _describes(item: Annotation) -> bool:
    return item.labelled or item.box is not None


class _Reader:
    """Reads files one by one."""

    def __init__(
        self, paths: Paths, bad: BadFiles, known: KnownImages, *, match: bool, only: Format | None, other: Other | None
    ) -> None:
        self._named = {os.path.abspath(path) for path in as_paths(paths)}
        self._folders = [os.path.abspath(path) for path in as_paths(paths) if path.is_dir()]
        self._bad, self._known, self._match, self._only, self._other = bad, known, match, only, other
        self.spoilt: set[str] = set()
        self._notes: dict[str, list[Path]] = {}
        self._predicted: dict[Path, bool] = {}
        self._projects = Projects()

    def add_notes(self, path: Path, notes: Iterable[str]) -> None:
        """Note what was remarked on a file."""
        for note in notes:
            self._notes.setdefault(note, []).append(path)

    def _add_unknown(self, path: Path, content: Any) -> None:
        """Note a file in a folder that is of no known format."""
        if is_prediction_list(content):
            self.add_notes(path, [f"{NOTE}; give the file by its name to read it"])
        elif (what := odd_content(path, content)) is not None and not is_shape_file(content):
            self.add_notes(path, [what])

    def _read_own(self, path: Path, content: Any) -> Annotations | None:
        """A file given by its name that is of no annotation format, but of a kind that brule writes."""
        found = read_if_predictions(path, content)
        return self._other(path, content) if found is None and self._other is not None else found

    def _of_predictions(self, folder: Path) -> bool:
        """Whether a folder, or one above it that was given, was written by ``brule predict``."""
        if folder not in self._predicted:
            inside = any(os.path.abspath(folder) == own or is_below(os.path.abspath(folder), own) for own in self._folders)
            above = inside and folder != folder.parent and self._of_predictions(folder.parent)
            self._predicted[folder] = inside and (prediction_table(folder) is not None or above)
        return self._predicted[folder]

    def notes(self) -> list[str]:
        """A sentence for each kind of remark, however many files it is about."""
        return [f"{counted(paths)}: {note}" for note, paths in self._notes.items()]

    def wanted(self, path: Path, *, beside: bool = False) -> bool:
        """Whether a file is to be read; one that names no image and is only beside images needs one of its name."""
        if self._only is not None and path.suffix.lower() not in self._only.suffixes:
            return False
        return not beside or self._names_images(path) or bool(self._known.of_stem(path))

    def read(self, path: Path, *, required: bool | None = None) -> Source | None:
        """A file; None if it can't be used. ``required`` as for :func:`read_sources`, None if it is only beside images."""
        explicit = required is not None and not self._walked(path)
        if not explicit and self._match and self._of_predictions(path.parent):
            self.add_notes(
                path, ["predictions, not labels: in a folder of `brule predict`; give the file by its name to read it"]
            )
            return None
        if not explicit and path.suffix.lower() in HDF5_SUFFIXES and path.with_suffix(".csv").is_file():
            self.add_notes(path, ["passed over: the CSV beside it is read, and DeepLabCut writes the same into both"])
            return None
        finder = ImageFinder(path, self._known)
        size_of = finder.size if self._match else (lambda image: (0, 0))
        try:
            other = self._read_own if explicit else self._add_unknown
            found = parse_annotations(path, size_of, format=self._only, other=other)
        except DataError as error:
            self._spoil(path)
            self._bad.reject_error(path, error)
            return None
        if found is None:
            if explicit:
                self._bad.reject(path, _unknown(path))
            return None
        if found.predicted and not explicit and self._only is None:
            # Predictions never become labels by being in a folder.
            way = "; give the file by its name to read it" if found.items else ""
            self.add_notes(path, [f"{note}{way}" for note in found.notes])
            return None
        for problem in found.problems:
            self._bad.reject(path, problem)
        images = self._images(path, finder, found, required=bool(required)) if self._match else []
        if required is None:
            images = [image if image is not None and self._known.holds(image) else None for image in images]
        if (project := self._projects.of(path)) is not None:
            found = project.added_to(found, images)
        return Source(path, found, required is not None, images)

    def _walked(self, path: Path) -> bool:
        """Whether a file was found in a folder, rather than asked for by its name or a pattern."""
        key = os.path.abspath(path)
        return key not in self._named and any(key.startswith(os.path.join(folder, "")) for folder in self._folders)

    def _images(self, path: Path, finder: ImageFinder, found: Annotations, *, required: bool) -> list[Path | None]:
        """The image of each record; problems are one entry per file, however many there are."""
        images: list[Path | None] = []
        wrong: dict[str, DataError] = {}
        for item in found.items:
            try:
                images.append(finder.find(item.image))
            except DataError as error:
                images.append(None)
                wrong.setdefault(item.image, error)
        if wrong and (required or "" in wrong):
            first = str(next(iter(wrong.values()))).removeprefix(f"{path}: ")
            names = {item.image for item in found.items}
            more = f" ({len(wrong) - 1} more of its {len(names)} images aren't found either)" if len(wrong) > 1 else ""
            more += f"; {found.way}" if found.way else ""
            self._spoil(path)
            self._bad.reject(path, first + more)
        return images

    def _spoil(self, path: Path) -> None:
        if not self._names_images(path):
            self.spoilt.update(map(os.path.abspath, self._known.of_stem(path)))

    @staticmethod
    def _names_images(path: Path) -> bool:
        return any(format.names_images for format in formats_of(path))


def _unknown(path: Path) -> str:
    """Why a file of its suffix is no annotation, in a sentence without its name."""
    suffix = path.suffix.lower()
    what = None
    if suffix in HDF5_SUFFIXES:
        what = odd_content(path, None)
    elif suffix in (".csv", ".tsv"):
        what = odd_content(path, load_table(path))
    return what or f"no annotation of a known format for {suffix} files; see docs/formats.md"


def _beside(images: Iterable[Path]) -> list[Path]:
    """The annotation files in the folders of images."""
    return [file for folder in folders_of(images) for file in visible(folder, ANNOTATION_SUFFIXES)[0]]
