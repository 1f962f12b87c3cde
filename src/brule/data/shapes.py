"""Annotated shapes without their images: the only annotation that training without labels needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from brule.coordinates import pixels_to_unit
from brule.data.folder import Paths, as_paths, find_files
from brule.data.formats import READERS, read_points
from brule.data.images import IMAGE_SUFFIXES
from brule.data.samples import CROP_SCALE, BadFiles, crop_box, landmark_box
from brule.errors import DataError
from brule.files import write_text

_JSON_EXAMPLE = '{"shapes": [[[x, y], …], …]}'


@dataclass(frozen=True, eq=False)
class Shapes:
    """Landmark sets, each in the unit square of its own crop.

    Args:
        points: one ``(N_i, 2)`` float64 array a shape.
        names: where each comes from, one a shape.
        bad: the files that were left out.
    """

    points: list[np.ndarray]
    names: list[str]
    bad: BadFiles = field(default_factory=BadFiles)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def n_points(self) -> int | None:
        """The number of landmarks that all shapes share; None if they differ."""
        counts = {len(points) for points in self.points}
        return counts.pop() if len(counts) == 1 else None


def read_shapes(
    paths: Paths, *, n_shapes: int | None = None, seed: int = 0, scale: float = CROP_SCALE, skip_bad: bool = False
) -> Shapes:
    """Read landmark sets and put each into the unit square of its own crop.

    Args:
        paths: one path or several: annotations (``.pts``), folders of them (images beside them don't matter), or JSON
            files ``{"shapes": [[[x, y], …], …]}`` in any frame with y pointing down. JSON files in folders are passed
            over.
        n_shapes: how many to draw, without replacement, from the list sorted by path; None for all.
        seed: seed of that draw.
        scale: the crop rule's side over the longer side of the landmark box.
        skip_bad: leave bad files out and list them, rather than raise at the first.

    Returns:
        The shapes in the order of their paths; their numbers of points may differ.

    Raises:
        DataError: nothing there, fewer shapes than ``n_shapes``, or a bad file without ``skip_bad``.
    """
    bad = BadFiles(skip=skip_bad)
    shapes = Shapes([], [], bad)
    for path in _find(paths):
        try:
            read = [(name, to_crop(points, scale=scale)) for name, points in _read(path)]
        except DataError as error:
            bad.reject_error(path, error)
        else:
            shapes.names.extend(name for name, _ in read)
            shapes.points.extend(points for _, points in read)
    if not shapes.points:
        raise DataError(f"none of {len(bad)} files holds a shape that can be used; the first: {bad[0]}")
    return shapes if n_shapes is None else draw_shapes(shapes, n_shapes, seed=seed)


def draw_shapes(shapes: Shapes, n_shapes: int, *, seed: int) -> Shapes:
    """Some of the shapes, drawn without replacement.

    Raises:
        DataError: there are fewer.
    """
    if not 1 <= n_shapes <= len(shapes):
        raise DataError(f"expected to draw from 1 to {len(shapes)} shapes, as many as there are, got {n_shapes}")
    drawn = sorted(np.random.default_rng(seed).choice(len(shapes), n_shapes, replace=False).tolist())
    return Shapes([shapes.points[i] for i in drawn], [shapes.names[i] for i in drawn], shapes.bad)


def write_shapes(path: Path | str, shapes: Shapes) -> None:
    """Write shapes as JSON, for :func:`read_shapes`; missing folders are made.

    The file holds ``shapes``, the points in the unit square of each crop, and ``names``.
    """
    content = {"shapes": [np.asarray(points).tolist() for points in shapes.points], "names": shapes.names}
    write_text(path, json.dumps(content, allow_nan=False) + "\n")


def to_crop(points: np.ndarray, *, scale: float = CROP_SCALE) -> np.ndarray:
    """Landmarks ``(N, 2)`` of any frame → the unit square of their own crop, float64.

    Raises:
        DataError: all points lie in one place.
    """
    points = np.asarray(points, dtype=np.float64)
    return pixels_to_unit(points, crop_box(landmark_box(points), scale=scale))


def _find(paths: Paths) -> list[Path]:
    # A shell writes out `faces/*` with the images in it.
    found = [path for path in find_files(paths, READERS) if path.suffix.lower() not in IMAGE_SUFFIXES]
    if not found:
        listed = ", ".join(str(path) for path in as_paths(paths)) or "(no path given)"
        raise DataError(f"{listed}: no shape found; expected {', '.join(READERS)} files, a folder of them, or JSON")
    return found


def _read(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if path.suffix.lower() != ".json":
        return iter([(path.stem, read_points(path))])
    content = _load_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected {_JSON_EXAMPLE}")
    shapes = content.get("shapes")
    if not isinstance(shapes, list) or not shapes:
        raise DataError(f"{path}: expected {_JSON_EXAMPLE}, got a file without a list 'shapes'")
    names = content.get("names")
    if not isinstance(names, list) or len(names) != len(shapes):
        names = [f"{path.stem} {number}" for number in range(1, len(shapes) + 1)]
    named = enumerate(zip(names, shapes, strict=True), 1)
    return iter([(str(name), _as_shape(path, number, shape)) for number, (name, shape) in named])


def _load_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); expected {_JSON_EXAMPLE}") from error


def _as_shape(path: Path, number: int, shape: object) -> np.ndarray:
    try:
        points = np.asarray(shape, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: shape {number} isn't a list of [x, y]; expected {_JSON_EXAMPLE}") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise DataError(f"{path}: shape {number} isn't a list of finite [x, y]; expected {_JSON_EXAMPLE}")
    return points
