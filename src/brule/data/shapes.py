"""Annotated shapes without their images: the only annotation that training without labels needs."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath

import numpy as np

from brule.coordinates import pixels_to_unit
from brule.data.discovery import Paths, as_paths, find_annotations, listed, suffixes_text
from brule.data.edges import Edges, checked_edges
from brule.data.formats import ANNOTATION_SUFFIXES, READERS, Annotation, Annotations, load, read_points
from brule.data.formats.record import in_one_order
from brule.data.images import IMAGE_SUFFIXES
from brule.data.samples import CROP_SCALE, BadFiles, Box, crop_box, landmark_box
from brule.data.sources import dataset_of, plain_paths, read_samples
from brule.errors import DataError
from brule.files import write_text

Keep = Callable[[Path, list[str]], bool]

MIN_POINTS = 3  # of a shape that lacks some: fewer don't say where the others are

_JSON_EXAMPLE = '{"shapes": [[[x, y], …], …]}'


@dataclass(frozen=True, eq=False)
class Shapes:
    """Landmark sets, each in the unit square of its own crop.

    Args:
        points: one ``(N_i, 2)`` float64 array a shape, NaN where a point is missing.
        names: where each comes from, one a shape.
        bad: the files that were left out.
        placed: the numbers of those whose crop doesn't follow from their points, because the object's box was known.
        edges: which landmarks are joined by lines, if the files say so.
    """

    points: list[np.ndarray]
    names: list[str]
    bad: BadFiles = field(default_factory=BadFiles)
    placed: frozenset[int] = frozenset()
    edges: Edges = ()

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
class _Found:
    """A landmark set as a file gives it."""

    name: str
    points: np.ndarray
    images: list[str]  # the names of the image files that it may be of
    box: Box | None = None  # of the object, in the points' frame
    edges: Edges = ()
    placed: bool = False  # the points are in the unit square of their crop

    def in_crop(self, scale: float) -> np.ndarray:
        """The points in the unit square of their crop."""
        return np.asarray(self.points, dtype=np.float64) if self.placed else to_crop(self.points, scale=scale, box=self.box)


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
    shapes = Shapes([], [], bad)
    dropped, placed = 0, list[int]()
    edges: Edges = ()
    for path, found in _in_one_order(_read_all(paths, bad)):
        try:
            kept = [one for one in found if keep is None or keep(path, one.images)]
            read = [(one.name, one.in_crop(scale), one.placed or one.box is not None) for one in kept]
        except DataError as error:
            bad.reject_error(path, error)
        else:
            dropped += len(found) - len(kept)
            placed += [number for number, (_, _, boxed) in enumerate(read, len(shapes)) if boxed]
            shapes.names.extend(name for name, _, _ in read)
            shapes.points.extend(points for _, points, _ in read)
            edges = edges or next((one.edges for one in kept if one.edges), ())
    if not shapes.points and dropped:
        raise DataError(f"{listed(paths)}: none of the {dropped} shapes is kept")
    if not shapes.points:
        why = f"none of {len(bad)} files holds a shape that can be used; the first: {bad[0]}" if bad else _nothing(paths)
        raise DataError(why)
    least = min(map(len, shapes.points))
    edges = edges if all(max(edge) < least for edge in edges) else ()
    shapes = replace(shapes, edges=edges, placed=frozenset(placed))
    return shapes if n_shapes is None else draw_shapes(shapes, n_shapes, seed)


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
    known ``edges``, and where the crops don't follow from the points, ``placed``.
    """
    content: dict[str, object] = {"shapes": [points_as_json(points) for points in shapes.points], "names": shapes.names}
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
        DataError: all points lie in one place, and there is no box.
    """
    points = np.asarray(points, dtype=np.float64)
    return pixels_to_unit(points, crop_box(landmark_box(points) if box is None else box, scale=scale))


def _read_all(paths: Paths, bad: BadFiles) -> list[tuple[Path, list[_Found] | Annotations]]:
    """What each data set and file holds, the files in the order of their paths."""
    sets = [_of_dataset(path, bad) for path in as_paths(paths) if dataset_of(path) is not None]
    paths = plain_paths(paths)
    if sets and not paths:
        return sets
    files = find_annotations(paths)
    if not files:
        raise DataError(_nothing(paths))
    walked = {path for path in files if _in_folder(path, paths)}
    result: list[tuple[Path, list[_Found] | Annotations]] = []
    damaged: list[tuple[Path, str]] = []
    for path in files:
        try:
            found = _read(path, explicit=path not in walked)
        except DataError as error:
            damaged.append((path, str(error).removeprefix(f"{path}: ")))
            continue
        if found is not None:
            result.append((path, found))
        damaged += [(path, problem) for problem in found.problems] if isinstance(found, Annotations) else []
    if not result and walked.issuperset(path for path, _ in damaged):
        hint = f"; {damaged[0][0]} can't be read: {damaged[0][1]}" if damaged else ""
        raise DataError(_nothing(paths) + hint)
    for path, reason in damaged:
        bad.reject(path, reason)
    return sets + [(path, _usable(path, found, bad) if isinstance(found, Annotations) else found) for path, found in result]


def _of_dataset(path: Path, bad: BadFiles) -> tuple[Path, list[_Found] | Annotations]:
    """The landmark sets of a data set."""
    samples = read_samples(path, require_points=True, skip_bad=bad.skip)
    bad.extend(samples.bad)
    labelled = [(one, one.points) for one in samples if one.points is not None and _lack(one.points) is None]
    edges = samples.layout.edges
    return path, [_Found(one.name, points, [one.path.name], one.box, edges) for one, points in labelled]


def _read(path: Path, *, explicit: bool) -> list[_Found] | Annotations | None:
    """The landmark sets in a file; None for a file in a folder that is something else."""
    if path.suffix.lower() in READERS:
        return [_Found(path.stem, read_points(path), _images_beside(path))]
    format, content = load(path)
    if format is not None:
        # A shape may lie anywhere, so an image's height doesn't matter where y counts from the bottom.
        return format.parse(path, content, lambda image: (0, 0))
    if not explicit:
        return None
    if path.suffix.lower() != ".json":
        raise DataError(f"{path}: no annotation of a known format for {path.suffix.lower()} files; see docs/formats.md")
    return _json_shapes(path, content)


def _json_shapes(path: Path, content: object) -> list[_Found]:
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected {_JSON_EXAMPLE}")
    shapes = content.get("shapes")
    if not isinstance(shapes, list) or not shapes:
        raise DataError(f"{path}: expected {_JSON_EXAMPLE}, got a file without a list 'shapes'")
    names = content.get("names")
    if not isinstance(names, list) or len(names) != len(shapes):
        names = [f"{path.stem} {number}" for number in range(1, len(shapes) + 1)]
    placed = content.get("placed")
    in_crop = set(placed) if isinstance(placed, list) and all(isinstance(number, int) for number in placed) else set[int]()
    edges = content.get("edges", [])
    if not isinstance(edges, list):
        raise DataError(f"{path}: expected edges as [[0, 1], …], got {edges!r}")
    lines = checked_edges(edges, None, f"{path}: edges")
    return [
        _Found(str(name), _as_shape(path, number + 1, shape), [], edges=lines, placed=number in in_crop)
        for number, (name, shape) in enumerate(zip(names, shapes, strict=True))
    ]


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


def _usable(path: Path, annotations: Annotations, bad: BadFiles) -> Annotations:
    """The records with landmarks enough."""
    items = []
    for item in annotations.items:
        if item.points is None or not item.labelled:
            continue
        if lack := _lack(item.points):
            bad.reject(path, f"{item.image}: {lack}")
        else:
            items.append(item)
    return replace(annotations, items=items)


def _lack(points: np.ndarray) -> str | None:
    """What makes a shape with missing points useless, if anything does."""
    present = int(np.isfinite(points).all(axis=1).sum())
    if present == len(points) or present >= MIN_POINTS:
        return None
    return f"has {present} of its {len(points)} points; a shape needs at least {MIN_POINTS} of them to say where the others are"


def _in_one_order(found: list[tuple[Path, list[_Found] | Annotations]]) -> Iterator[tuple[Path, list[_Found]]]:
    """Bring the landmarks of the files that name them into one order."""
    named = [own for _, own in found if isinstance(own, Annotations)]
    records, layout = in_one_order(named)
    ordered = iter(records)
    for path, own in found:
        yield path, [_from_item(item, layout.edges) for item in next(ordered)] if isinstance(own, Annotations) else own


def _from_item(item: Annotation, edges: Edges) -> _Found:
    image = PureWindowsPath(item.image)  # takes both kinds of slashes
    return _Found(image.stem, np.asarray(item.points), [image.name], item.box, edges)


def _images_beside(annotation: Path) -> list[str]:
    same_name = annotation.parent.glob(f"{glob.escape(annotation.stem)}.*")
    return sorted(path.name for path in same_name if path.suffix.lower() in IMAGE_SUFFIXES)


def _in_folder(path: Path, paths: Paths) -> bool:
    """Whether a file was found by walking a folder, rather than given by its name or a glob."""
    return any(folder.is_dir() and path.is_relative_to(folder) for folder in as_paths(paths))


def _nothing(paths: Paths) -> str:
    return f"{listed(paths)}: no shape found; expected {suffixes_text(ANNOTATION_SUFFIXES)} files, or a folder of them"
