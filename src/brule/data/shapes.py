"""Annotated shapes without their images: the only annotation that training without labels needs."""

from __future__ import annotations

import glob
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath

import numpy as np

from brule.coordinates import pixels_to_unit
from brule.data.discovery import Paths, as_paths, find_images_if_any, folders_given, listed, suffixes_text
from brule.data.edges import Edges, checked_edges
from brule.data.formats import ANNOTATION_SUFFIXES, Annotation, Annotations
from brule.data.formats.values import shown, text
from brule.data.image_lookup import ImageFinder, KnownImages
from brule.data.images import IMAGE_SUFFIXES
from brule.data.reading import read_sources
from brule.data.samples import CROP_SCALE, BadFiles, Box, Layout, crop_box, landmark_box
from brule.data.sources import dataset_of, plain_paths, read_samples
from brule.errors import DataError
from brule.files import write_text

Keep = Callable[[Path, list[str]], bool]

MIN_SHAPE_POINTS = 3  # of a shape that lacks some: fewer don't determine where the others are

_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # Label Studio puts this before the name of what is uploaded
_JSON_EXAMPLE = '{"shapes": [[[x, y], …], …]}'


@dataclass(frozen=True, eq=False)
class Shapes:
    """Landmark sets, each in the unit square of its own crop.

    Args:
        points: one ``(N_i, 2)`` float64 array a shape, NaN where a point is missing.
        names: where each comes from, one per shape.
        bad: the files that were left out.
        placed: the numbers of those whose crop doesn't follow from their points, because the object's box was known.
        edges: which landmarks are joined by lines, if the files have that.
        landmarks: the names of the landmarks, if the files have them.
        notes: what the user should know about the reading, one plain sentence each.
    """

    points: list[np.ndarray]
    names: list[str]
    bad: BadFiles = field(default_factory=BadFiles)
    placed: frozenset[int] = frozenset()
    edges: Edges = ()
    landmarks: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def n_points(self) -> int | None:
        """The number of landmarks that all shapes share; None if they differ."""
        counts = {len(points) for points in self.points}
        return counts.pop() if len(counts) == 1 else None

    @property
    def missing(self) -> list[int]:
        """How many points each shape lacks."""
        return [int((~np.isfinite(points).all(axis=1)).sum()) for points in self.points]


@dataclass(frozen=True, eq=False)
class _ShapeFile(Annotations):
    """The content of a JSON file of shapes: their names are no images', and those in ``placed`` are in their crop already."""

    placed: frozenset[int] = frozenset()


def read_shapes(
    paths: Paths,
    *,
    n_shapes: int | None = None,
    seed: int = 0,
    scale: float = CROP_SCALE,
    keep: Keep | None = None,
    skip_bad: bool = False,
) -> Shapes:
    """Read landmark sets and put each into the unit square of its own crop.

    Args:
        paths: one path or several: annotations of any format (docs/formats.md), folders of them (images beside them don't
            matter), data sets as ``NAME:SPLIT:ROOT``, or JSON files ``{"shapes": [[[x, y], …], …]}`` in any frame with y
            pointing down, ``null`` for a missing point. The latter are passed over in folders.
        n_shapes: how many to draw, without replacement, from the list sorted by path; None for all.
        seed: seed of that draw.
        scale: the crop rule's side over the longer side of the landmark box.
        keep: asked for every shape, with its file and the names of the image files that it may be of (none: not known),
            whether to keep it.
        skip_bad: leave bad files out and list them, rather than raise at the first.

    Returns:
        The shapes in the order of their paths; their numbers of points may differ, and points may be missing. The crop of a
        shape with missing points is that of the others: see :func:`brule.detector.ready_shapes`.

    Raises:
        DataError: nothing there, fewer shapes than ``n_shapes``, or a bad file without ``skip_bad``. A shape that lacks points
            is bad if fewer than three are left.
    """
    bad = BadFiles(skip=skip_bad)
    found = _Collected(plain_paths(paths), bad, keep=keep, scale=scale)
    parts = [_of_dataset(path, bad) for path in as_paths(paths) if dataset_of(path) is not None]
    plain = plain_paths(paths)
    if plain or not parts:
        parts += _of_files(plain, bad, found.shapes.notes)
    for part in parts:
        found.add(*part)
    found.note_unknown()
    shapes = found.shapes
    if not shapes.points and found.dropped:
        raise DataError(f"{listed(paths)}: none of the {found.dropped} shapes is kept")
    if not shapes.points:
        why = f"none of {len(bad)} files holds a shape that can be used; the first: {bad[0]}" if bad else _nothing(paths)
        raise DataError(why)
    least = min(map(len, shapes.points))
    if any(max(edge) >= least for edge in shapes.edges):
        shapes = replace(shapes, edges=())
    if shapes.landmarks is not None and shapes.n_points != len(shapes.landmarks):
        shapes = replace(shapes, landmarks=None)
    return shapes if n_shapes is None else draw_shapes(shapes, n_shapes, seed)


class _Collected:
    """Shapes as they come in, file by file."""

    def __init__(self, paths: Paths, bad: BadFiles, *, keep: Keep | None, scale: float) -> None:
        self.shapes = Shapes([], [], bad)
        self.dropped = 0
        self._keep, self._scale, self._paths = keep, scale, paths
        self._known: KnownImages | None = None
        self._unknown: dict[str, Path] = {}

    def add(self, path: Path, annotations: Annotations) -> None:
        """Add the shapes of a file, or none of them if one can't be cut out."""
        stored = isinstance(annotations, _ShapeFile)
        placed = annotations.placed if isinstance(annotations, _ShapeFile) else frozenset()
        own = list(enumerate(annotations.items))
        kept = own if self._keep is None else [one for one in own if self._keep(path, [] if stored else self._of(path, one[1]))]
        try:
            points = [
                np.asarray(item.points, dtype=np.float64)
                if number in placed
                else to_crop(np.asarray(item.points), scale=self._scale, box=item.box)
                for number, item in kept
            ]
        except DataError as error:
            self.shapes.bad.reject_error(path, error)
            return
        self.dropped += len(own) - len(kept)
        start = len(self.shapes)
        in_place = {start + i for i, (number, item) in enumerate(kept) if number in placed or item.box is not None}
        self.shapes.points.extend(points)
        self.shapes.names.extend(item.image if stored else _name_of(path, item) for _, item in kept)
        layout = annotations.layout if kept else Layout()
        self.shapes = replace(
            self.shapes,
            placed=self.shapes.placed | in_place,
            edges=self.shapes.edges or layout.edges,
            landmarks=self.shapes.landmarks or layout.names,
        )

    def _of(self, path: Path, item: Annotation) -> list[str]:
        """The names of the image files that a shape may be of: those that readers of images take, if they are there."""
        if dataset_of(path) is not None:  # the name is that of a file
            return [item.image]
        if self._known is None:
            self._known = KnownImages(find_images_if_any(self._paths), folders_given(self._paths))
        found = _images_meant(path, item.image, self._known)
        if not found and item.image:
            self._unknown.setdefault(item.image, path)
        return [image.name for image in found] or _images_of(path, item)

    def note_unknown(self) -> None:
        """Remark on images that were asked for and aren't there."""
        if self._unknown:
            image, path = next(iter(self._unknown.items()))
            more = f" (nor are {len(self._unknown) - 1} more)" if len(self._unknown) > 1 else ""
            self.shapes.notes.append(
                f"{path}: the image {shown(image)} isn't there{more}: whether a shape of it is left out is decided by its name "
                "as written in this file; give the folder of the images together with the file"
            )


def draw_shapes(shapes: Shapes, n_shapes: int, seed: int = 0) -> Shapes:
    """Draw some of the shapes, without replacement; they stay in their order.

    Raises:
        DataError: there are fewer.
    """
    if not 1 <= n_shapes <= len(shapes):
        raise DataError(f"expected to draw from 1 to {len(shapes)} shapes, as many as there are, got {n_shapes}")
    drawn = sorted(np.random.default_rng(seed).choice(len(shapes), n_shapes, replace=False).tolist())
    placed = frozenset(number for number, i in enumerate(drawn) if i in shapes.placed)
    return replace(shapes, points=[shapes.points[i] for i in drawn], names=[shapes.names[i] for i in drawn], placed=placed)


def write_shapes(path: Path | str, shapes: Shapes) -> None:
    """Write shapes as JSON, for :func:`read_shapes`; missing folders are made.

    The file holds ``shapes``, the points in the unit square of each crop, ``null`` for a missing one, ``names``, where they are
    known ``landmarks`` (their names) and ``edges``, and where the crops don't follow from the points, ``placed``.
    """
    content: dict[str, object] = {"shapes": [points_as_json(points) for points in shapes.points], "names": shapes.names}
    content |= {"landmarks": shapes.landmarks} if shapes.landmarks else {}
    content |= {"edges": shapes.edges} if shapes.edges else {}
    content |= {"placed": sorted(shapes.placed)} if shapes.placed else {}
    write_text(path, json.dumps(content, allow_nan=False) + "\n")


def points_as_json(points: np.ndarray) -> list[list[float] | None]:
    """Points ``(N, 2)`` as lists; a missing one is None, since JSON knows no NaN."""
    return [[float(x), float(y)] if np.isfinite(x) and np.isfinite(y) else None for x, y in np.asarray(points)]


def to_crop(points: np.ndarray, *, scale: float = CROP_SCALE, box: Box | None = None) -> np.ndarray:
    """Landmarks ``(N, 2)`` of any frame → the unit square of their own crop, float64; missing ones stay NaN.

    Args:
        points: the landmarks.
        scale: the crop rule's side over the longer side of the box.
        box: of the object, in the same frame; by default that of the landmarks.

    Raises:
        DataError: all points are in one place, and there is no box.
    """
    points = np.asarray(points, dtype=np.float64)
    return pixels_to_unit(points, crop_box(landmark_box(points) if box is None else box, scale=scale))


def _of_dataset(path: Path, bad: BadFiles) -> tuple[Path, Annotations]:
    """The landmark sets of a data set."""
    samples = read_samples(path, require_points=True, skip_bad=bad.skip)
    bad.extend(samples.bad)
    items = [Annotation(one.path.name, one.points, one.box) for one in samples]
    usable = [item for item in items if item.points is not None and _lack(item.points) is None]
    return path, Annotations(usable, samples.layout)


def _of_files(paths: Paths, bad: BadFiles, notes: list[str]) -> list[tuple[Path, Annotations]]:
    """What each annotation file holds, in the order of their paths."""
    damaged = BadFiles(skip=True)
    sources = read_sources(paths, damaged, other=_json_shapes)
    if not sources.files and all(_in_folder(one.path, paths) for one in damaged):
        hint = f"; {damaged[0].path} can't be read: {damaged[0].reason}" if damaged else ""
        raise DataError(_nothing(paths) + hint)
    for one in damaged:
        bad.reject(*one)
    notes.extend(sources.notes)
    return [(file.path, replace(file.annotations, items=_usable(file.path, file.annotations, bad))) for file in sources.files]


def _json_shapes(path: Path, content: object) -> Annotations:
    if path.suffix.lower() != ".json":
        raise DataError(f"{path}: no annotation of a known format for {path.suffix.lower()} files; see docs/formats.md")
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected {_JSON_EXAMPLE}")
    shapes = content.get("shapes")
    if not isinstance(shapes, list) or not shapes:
        raise DataError(f"{path}: expected {_JSON_EXAMPLE}, got a file without a list 'shapes'")
    names = content.get("names")
    if not isinstance(names, list) or len(names) != len(shapes):
        names = [f"{path.stem} {number}" for number in range(1, len(shapes) + 1)]
    placed = content.get("placed")
    if not isinstance(placed, list) or not all(isinstance(number, int) for number in placed):
        placed = []
    edges = content.get("edges", [])
    if not isinstance(edges, list):
        raise DataError(f"{path}: expected edges as [[0, 1], …], got {edges!r}")
    layout = _layout(path, content.get("landmarks"), checked_edges(edges, None, f"{path}: edges"))
    points = [_as_shape(path, number, shape) for number, shape in enumerate(shapes, 1)]
    items = [Annotation(str(name), own) for name, own in zip(names, points, strict=True)]
    return _ShapeFile(items, layout, placed=frozenset(placed))


def _layout(path: Path, landmarks: object, edges: Edges) -> Layout:
    if landmarks is None:
        return Layout(edges=edges)
    if not isinstance(landmarks, list):
        raise DataError(f"{path}: expected landmarks as a list of names, got {shown(landmarks)}")
    names = tuple(text(name, f"{path}: landmarks", "a landmark's name") for name in landmarks)
    try:
        return Layout(names, edges)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _as_shape(path: Path, number: int, shape: object) -> np.ndarray:
    rows = [[None, None] if row is None else row for row in shape] if isinstance(shape, list) else shape
    try:
        points = np.asarray(rows, dtype=np.float64)  # None → NaN
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: shape {number} isn't a list of [x, y]; expected {_JSON_EXAMPLE}") from error
    half = points.ndim == 2 and bool((np.isnan(points).any(axis=1) & ~np.isnan(points).all(axis=1)).any())
    if points.ndim != 2 or points.shape[1] != 2 or np.isinf(points).any() or half:
        raise DataError(
            f"{path}: shape {number} isn't a list of finite [x, y], or null for a missing point; expected {_JSON_EXAMPLE}"
        )
    if lack := _lack(points):
        raise DataError(f"{path}: shape {number} {lack}")
    return points


def _usable(path: Path, annotations: Annotations, bad: BadFiles) -> list[Annotation]:
    """The records with landmarks enough."""
    items = []
    for item in annotations.items:
        if item.points is None or not item.labelled:
            continue
        if (lack := _lack(item.points)) and item.image:
            bad.reject(path, f"{item.image}: {lack}")
        elif lack:
            bad.reject(path, lack)
        else:
            items.append(item)
    return items


def _lack(points: np.ndarray) -> str | None:
    """What makes a shape with missing points useless, if anything does."""
    present = int(np.isfinite(points).all(axis=1).sum())
    if present == len(points) or present >= MIN_SHAPE_POINTS:
        return None
    return f"has {present} of its {len(points)} points; a shape needs at least {MIN_SHAPE_POINTS}"


def _images_meant(path: Path, name: str, known: KnownImages) -> list[Path]:
    """The images that a name in an annotation file leads to; several where it is unclear, none where they aren't there."""
    if not name:
        return known.of_stem(path)
    try:
        return [ImageFinder(path, known).find(name)]  # one for each: that two names lead to one image is no problem here
    except DataError:
        return known.named(unicodedata.normalize("NFC", PureWindowsPath(name).name), path.parent)


def _images_of(path: Path, item: Annotation) -> list[str]:
    """The names of the image files that a shape may be of, by what is written in its file."""
    if item.image:
        last = PureWindowsPath(item.image).name  # takes both kinds of slashes
        return list(dict.fromkeys([last, unicodedata.normalize("NFC", last), _UPLOAD.sub("", last, count=1)]))
    same_name = path.parent.glob(f"{glob.escape(path.stem)}.*")
    return sorted(path.name for path in same_name if path.suffix.lower() in IMAGE_SUFFIXES)


def _name_of(path: Path, item: Annotation) -> str:
    return PureWindowsPath(item.image).stem if item.image else path.stem


def _in_folder(path: Path, paths: Paths) -> bool:
    """Whether a file was found by walking a folder, rather than given by its name or a glob."""
    return any(folder.is_dir() and path.is_relative_to(folder) for folder in as_paths(paths))


def _nothing(paths: Paths) -> str:
    return f"{listed(paths)}: no shape found; expected {suffixes_text(ANNOTATION_SUFFIXES)} files, or a folder of them"
