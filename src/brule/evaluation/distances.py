"""The distances that errors are divided by, so that a large face and a small one count alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array, mean_of_present
from brule.errors import DataError
from brule.evaluation.checks import check_distance, check_truth, listed

LEFT_TO_RIGHT_EYE = (36, 45)  # the outer corners among the 68 ibug points, 0-based
PUPIL_POINTS = (slice(36, 42), slice(42, 48))


def normaliser(truth: ArrayLike, kind: str | ArrayLike = "auto") -> tuple[str, Array]:
    """The distance that the errors of each image are divided by, and its name for the output.

    Args:
        truth: ``(B, N, 2)``, NaN = missing.
        kind: ``auto`` (68 points: outer eye corners; 5 points: the eyes; otherwise the diagonal of the ground-truth box),
            ``outer-eye-corners``, ``pupils`` (68 points: from the mean of 36 … 41 to that of 42 … 47, those present),
            ``eyes`` (the first two points), ``box-diagonal``, ``box-size`` (√(width · height), as the field does), or the
            distance itself, in the unit of ``truth``: a number or ``(B,)``. A box is that of the points that are present, edge
            to edge.

    Returns:
        The name, e.g. ``"outer eye corners"``, and the distances ``(B,)``.

    Raises:
        DataError: the kind is unknown or doesn't fit the number of points, or an image's distance is zero or missing.
    """
    points = check_truth(truth)
    if not isinstance(kind, str):
        return "given distance", check_distance(kind, len(points))
    if kind == "auto":
        kind = {68: "outer-eye-corners", 5: "eyes"}.get(points.shape[1], "box-diagonal")
    if kind not in _KINDS:
        raise DataError(f"unknown normaliser {kind!r}: expected auto, {', '.join(_KINDS)}, or a number.")
    needed, measure = _KINDS[kind]
    if needed is not None and points.shape[1] != needed and not (kind == "eyes" and points.shape[1] >= 2):
        raise DataError(
            f"normaliser {kind!r} needs {needed} points per image, got {points.shape[1]}: use 'auto' or 'box-diagonal'."
        )
    distance = measure(points)
    bad = np.flatnonzero(~(np.isfinite(distance) & (distance > 0)))
    if len(bad):
        other = "box-size" if kind == "box-diagonal" else "box-diagonal"
        raise DataError(
            f"normaliser {kind!r} is zero or missing in {listed(bad)}: expected a positive distance; "
            f"leave those images out or choose another normaliser, such as {other!r} or a number."
        )
    return kind.replace("-", " "), distance


def fitting_kinds(truth: ArrayLike) -> dict[str, Array]:
    """Every distance that all images have: its name → ``(B,)``; those that an image lacks or has as zero are left out.

    Args:
        truth: ``(B, N, 2)``, NaN = missing.
    """
    found = {}
    for kind, (needed, _) in _KINDS.items():
        if needed in (None, np.shape(truth)[1]):
            try:
                name, distance = normaliser(truth, kind)
            except DataError:
                continue
            found[name] = distance
    return found


def _outer_eye_corners(points: Array) -> Array:
    left, right = LEFT_TO_RIGHT_EYE
    return np.linalg.norm(points[:, left] - points[:, right], axis=1)


def _pupils(points: Array) -> Array:
    left, right = (mean_of_present(points[:, part], axis=1) for part in PUPIL_POINTS)
    return np.linalg.norm(left - right, axis=1)


def _first_two(points: Array) -> Array:
    return np.linalg.norm(points[:, 0] - points[:, 1], axis=1)


def _box_sides(points: Array) -> Array:
    return np.nanmax(points, axis=1) - np.nanmin(points, axis=1)


def _box_diagonal(points: Array) -> Array:
    return np.linalg.norm(_box_sides(points), axis=1)


def _box_size(points: Array) -> Array:
    return np.sqrt(_box_sides(points).prod(axis=1))


_KINDS: dict[str, tuple[int | None, Callable[[Array], Array]]] = {  # kind → (number of points needed, distance)
    "outer-eye-corners": (68, _outer_eye_corners),
    "pupils": (68, _pupils),
    "eyes": (5, _first_two),
    "box-diagonal": (None, _box_diagonal),
    "box-size": (None, _box_size),
}
