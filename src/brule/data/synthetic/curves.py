"""Smooth curves through the vertices of a face, all of them by one matrix product."""

from __future__ import annotations

import numpy as np

from brule.arrays import Array
from brule.data.synthetic.shape import CROWN, HAIRLINE, JAW, LEFT_EAR, RIGHT_EAR, TEMPLATE


def curve_matrix(indices: list[int], *, closed: bool = False, steps: int = 4) -> Array:
    """The Catmull-Rom spline through vertices: ``(samples, vertices)``, to be multiplied with ``(vertices, 2)``.

    The spline passes through each of its vertices, so landmarks are exactly on the curves that are drawn.
    """
    n = len(indices)
    segments = n if closed else n - 1
    t = np.arange(steps) / steps
    basis = 0.5 * np.stack([-(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2], axis=1)
    rows = np.zeros((segments * steps + (not closed), len(TEMPLATE)))
    for segment in range(segments):
        for k in range(4):
            place = segment + k - 1
            place = place % n if closed else min(max(place, 0), n - 1)
            rows[segment * steps : (segment + 1) * steps, indices[place]] += basis[:, k]
    if not closed:
        rows[-1, indices[-1]] = 1
    return rows


# Every open curve runs from the left to the right of the image.
_MATRICES: dict[str, Array] = {
    "face": curve_matrix([*JAW, *reversed(CROWN)], closed=True, steps=3),
    "jaw": curve_matrix(JAW, steps=3),
    "crown": curve_matrix(CROWN, steps=3),
    "hairline": curve_matrix(HAIRLINE, steps=3),
    "left_ear": curve_matrix(LEFT_EAR, steps=3),
    "right_ear": curve_matrix(RIGHT_EAR, steps=3),
    "left_brow": curve_matrix([17, 18, 19, 20, 21], steps=3),
    "right_brow": curve_matrix([22, 23, 24, 25, 26], steps=3),
    "bridge": curve_matrix([27, 28, 29, 30], steps=1),
    "nose_base": curve_matrix([31, 32, 33, 34, 35], steps=2),
    "left_upper_lid": curve_matrix([36, 37, 38, 39]),
    "left_lower_lid": curve_matrix([36, 41, 40, 39]),
    "right_upper_lid": curve_matrix([42, 43, 44, 45]),
    "right_lower_lid": curve_matrix([42, 47, 46, 45]),
    "lips_top": curve_matrix([48, 49, 50, 51, 52, 53, 54], steps=3),
    "lips_bottom": curve_matrix([48, 59, 58, 57, 56, 55, 54], steps=3),
    "mouth_top": curve_matrix([60, 61, 62, 63, 64], steps=3),
    "mouth_bottom": curve_matrix([60, 67, 66, 65, 64], steps=3),
}
_ALL = np.concatenate(list(_MATRICES.values()))
_STOPS = np.cumsum([len(matrix) for matrix in _MATRICES.values()])
_SLICES = {name: slice(stop - len(_MATRICES[name]), stop) for name, stop in zip(_MATRICES, _STOPS, strict=True)}


def face_curves(vertices: Array) -> dict[str, Array]:
    """All curves of a face by name, in the frame of its vertices ``(100, 2)``."""
    samples = _ALL @ vertices
    return {name: samples[part] for name, part in _SLICES.items()}


def ribbon(line: Array, widths: Array) -> Array:
    """The outline of a line ``(K, 2)`` drawn with a pen of changing width ``(K,)``: ``(2 K, 2)``."""
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    length = np.sqrt((along * along).sum(1)) + 1e-9
    aside = along[:, ::-1] * (-0.5, 0.5) * (widths / length)[:, None]
    return np.concatenate([line + aside, (line - aside)[::-1]])
