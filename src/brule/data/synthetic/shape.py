"""The shape of a drawn face: a small linear 3-D model, posed by a rotation and placed in the image.

Face frame: x to the image's right, y down, z towards the viewer; the outer eye corners are at ``(±1, 0)``. The first 68
vertices are the landmarks in the ibug order, the others outline what carries no landmark (skull, hairline, ears).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brule.arrays import Array

N_LANDMARKS = 68

IBUG_MIRROR: NDArray[np.int64] = np.array(
    [
        *(*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)),
        *(*range(45, 41, -1), 47, 46, *range(39, 35, -1), 41, 40),
        *(*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65),
    ]
)
"""``points[IBUG_MIRROR]`` puts the landmarks of a mirrored image back into the ibug order; it is its own inverse."""

# Proportions of an adult face, in units of half the outer eye corners' distance (about 45 mm). The depth of the jaw and
# the skull is less than anatomy's: landmarks of a contour sit on the visible outline, which doesn't fold in on a turn.
_LEFT: dict[int, tuple[float, float, float]] = {
    **dict(enumerate([(-1.58, -0.05, -0.75), (-1.565, 0.36, -0.72), (-1.51, 0.77, -0.66), (-1.42, 1.16, -0.56)])),
    **dict(enumerate([(-1.25, 1.54, -0.42), (-1.01, 1.89, -0.26), (-0.71, 2.19, -0.1), (-0.37, 2.42, 0.02)], 4)),
    8: (0, 2.5, 0.06),
    **dict(enumerate([(-1.27, -0.33, -0.2), (-1.05, -0.53, 0.0), (-0.77, -0.6, 0.12), (-0.5, -0.56, 0.2)], 17)),
    21: (-0.25, -0.45, 0.24),
    **dict(enumerate([(0, -0.06, 0.26), (0, 0.26, 0.42), (0, 0.58, 0.6), (0, 0.9, 0.78)], 27)),
    **dict(enumerate([(-0.36, 1.08, 0.34), (-0.18, 1.15, 0.46), (0, 1.19, 0.53)], 31)),
    **dict(enumerate([(-1, 0, -0.14), (-0.81, -0.15, 0.0), (-0.55, -0.16, 0.05), (-0.34, 0.04, 0.02)], 36)),
    **dict(enumerate([(-0.54, 0.12, 0.03), (-0.79, 0.12, -0.02)], 40)),
    **dict(enumerate([(-0.58, 1.67, 0.12), (-0.37, 1.54, 0.3), (-0.13, 1.46, 0.41), (0, 1.49, 0.43)], 48)),
    **dict(enumerate([(0, 1.95, 0.38), (-0.15, 1.93, 0.36), (-0.38, 1.83, 0.27)], 57)),
    **dict(enumerate([(-0.5, 1.67, 0.14), (-0.19, 1.63, 0.34), (0, 1.64, 0.37)], 60)),
    **dict(enumerate([(0, 1.69, 0.35), (-0.19, 1.68, 0.33)], 66)),
}
_CROWN = [(-1.61, -0.4, -0.8), (-1.62, -0.88, -0.85), (-1.48, -1.38, -0.8), (-1.13, -1.83, -0.7), (-0.6, -2.12, -0.6)]
_HAIRLINE = [(-1.53, -0.3, -0.55), (-1.4, -0.8, -0.4), (-1.12, -1.18, -0.22), (-0.6, -1.4, -0.04)]
_EAR = [(-1.5, -0.2), (-1.68, -0.3), (-1.82, -0.12), (-1.8, 0.25), (-1.68, 0.6), (-1.5, 0.66)]


def _template() -> Array:
    face = np.zeros((N_LANDMARKS, 3))
    for index, place in _LEFT.items():
        face[index] = place
        face[IBUG_MIRROR[index]] = (-place[0], place[1], place[2])

    def arch(left: list[tuple[float, float, float]], top: tuple[float, float, float]) -> list[tuple[float, ...]]:
        return [*left, top, *((-x, y, z) for x, y, z in reversed(left))]

    ear = [(x, y, -0.95) for x, y in _EAR]
    extra = arch(_CROWN, (0, -2.22, -0.55)) + arch(_HAIRLINE, (0, -1.47, 0.03))
    return np.concatenate([face, np.array([*extra, *ear, *((-x, y, z) for x, y, z in ear)])])


TEMPLATE: Array = _template()
CROWN, HAIRLINE = list(range(68, 79)), list(range(79, 88))
LEFT_EAR, RIGHT_EAR = list(range(88, 94)), list(range(94, 100))
JAW, BROWS, NOSE = list(range(17)), list(range(17, 27)), list(range(27, 36))
LEFT_EYE, RIGHT_EYE, MOUTH = list(range(36, 42)), list(range(42, 48)), list(range(48, 68))
UPPER_LIDS, LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]
_SKULL = CROWN + HAIRLINE
_EVERYTHING = list(range(len(TEMPLATE)))


def _scale(indices: list[int], *, x: float = 0, y: float = 0, z: float = 0, about: float = 0.0) -> Array:
    """A mode that stretches vertices: x from the midline, y from the height ``about``, z from the face's plane."""
    mode = np.zeros_like(TEMPLATE)
    mode[indices] = (TEMPLATE[indices] - (0, about, 0)) * (x, y, z)
    return mode


def _move(weights: dict[int, float], x: float = 0, y: float = 0) -> Array:
    """A mode that shifts vertices (given on the left, the right ones follow): x away from the midline, y down."""
    mode = np.zeros_like(TEMPLATE)
    for index, weight in weights.items():
        outwards = np.sign(TEMPLATE[index, 0])
        mode[index] = (outwards * x * weight, y * weight, 0)
        mode[IBUG_MIRROR[index]] = (-outwards * x * weight, y * weight, 0)
    return mode


def _even(*indices: int) -> dict[int, float]:
    return dict.fromkeys(indices, 1.0)


def _eye_scale(x: float, y: float) -> Array:
    mode = np.zeros_like(TEMPLATE)
    for eye in (LEFT_EYE, RIGHT_EYE):
        mode[eye] = (TEMPLATE[eye] - TEMPLATE[eye].mean(0)) * (x, y, 0)
    return mode


_JAW_SWING = {k: float(np.sin(np.pi * k / 16) ** 2) for k in range(9)}
_LOWER_LIP = {**_even(55, 56, 57, 65, 66), **dict.fromkeys([48, 60], 0.42)}

# One standard deviation of each trait in which people differ.
IDENTITY: Array = np.stack(
    [
        _scale(_EVERYTHING, x=0.055),
        _scale([*JAW, *MOUTH, *NOSE], y=0.05),
        _scale(JAW[2:15], x=0.06),
        _move({5: 0.5, 6: 0.8, 7: 1, 8: 1}, y=0.09),
        _move({3: 0.6, 4: 1, 5: 1, 6: 0.7, 7: 0.3}, x=0.07),
        _scale(_SKULL, y=0.08),
        _scale(HAIRLINE, y=0.1),
        _move(_even(*LEFT_EYE, *BROWS[:5]), x=0.05),
        _move(_even(*LEFT_EYE), y=0.04),
        _eye_scale(0.08, 0.08),
        _eye_scale(0.0, 0.2),
        _move({36: 1, 37: 0.5, 41: 0.5, 39: -0.5}, y=-0.035),
        _move(_even(*BROWS[:5]), y=0.06),
        _move({17: 1, 18: 0.5, 20: -0.5, 21: -1}, y=0.06),
        _move({18: 0.8, 19: 1, 20: 0.8}, y=0.04),
        _scale(NOSE, y=0.07),
        _scale(NOSE, x=0.13),
        _scale(NOSE, z=0.13),
        _move({30: 1}, y=0.05),
        _move(_even(48, 49, 50, 51, 55, 56, 57, 60, 61, 62, 65, 66), y=0.05),
        _scale(MOUTH, x=0.09),
        _move({49: 0.8, 50: 1, 51: 1}, y=-0.03),
        _move({55: 0.8, 56: 1, 57: 1}, y=0.04),
    ]
)

# What a full expression adds: open mouth, smile, pout, raised brows, frown.
EXPRESSION: Array = np.stack(
    [
        _move(_LOWER_LIP, y=0.5) + _move(_JAW_SWING, y=0.42) + _move({48: 1, 60: 1, 49: 0.6, 55: 0.6}, x=-0.05),
        _move({48: 1, 60: 1, 49: 0.6, 59: 0.6}, x=0.19, y=-0.15)
        + _move({50: 1, 51: 1, 61: 1, 62: 1}, y=-0.02)
        + _move({31: 1, 32: 0.5}, x=0.04)
        + _move({40: 1, 41: 1}, y=-0.035)
        + _move({3: 0.6, 4: 1, 5: 0.8}, x=0.05),
        _move({48: 1, 60: 1, 49: 0.6, 59: 0.6}, x=-0.13) + _move({50: 1, 51: 1}, y=-0.03) + _move({56: 1, 57: 1}, y=0.04),
        _move({17: 0.7, 18: 1, 19: 1, 20: 1, 21: 1}, y=-0.2) + _move({37: 1, 38: 1}, y=-0.03),
        _move({21: 1, 20: 0.6}, x=-0.05, y=0.1) + _move({17: 0.6, 18: 0.3}, y=-0.05),
    ]
)
_MODES: Array = np.concatenate([IDENTITY, EXPRESSION]).reshape(len(IDENTITY) + len(EXPRESSION), -1)


@dataclass(frozen=True)
class Face:
    """A face placed in the image.

    Attributes:
        vertices: ``(100, 2)`` in the unit square of the image, the landmarks first.
        axes: ``(3, 2)``: where the face's x, y and z axes go, for one unit of its frame.
    """

    vertices: Array
    axes: Array

    @property
    def landmarks(self) -> Array:
        """``(68, 2)`` in the unit square."""
        return self.vertices[:N_LANDMARKS]


def sample_face(rng: np.random.Generator) -> Face:
    """Draw a person, an expression, a pose and a place in the image."""
    shape, pose = sample_shape(rng), sample_pose(rng)
    share = rng.uniform(0.45, 0.65)  # of the image's side, taken by the longer side of the landmark box
    # The crop of 1.3 times the box stays inside, or leaves the image by 3 % of its side at most.
    room = max(0.0, (1 - 1.3 * share) / 2) + 0.03
    return lay_face(shape, pose, share, centre=0.5 + rng.uniform(-room, room, 2))


def lay_face(shape: Array, pose: tuple[float, float, float], share: float, *, centre: Array, turn: float = 0.0) -> Face:
    """Lay a face into the image.

    Args:
        shape: ``(100, 3)`` in the face frame.
        pose: yaw, pitch and roll in radians.
        share: of the image's side, taken by the longer side of the landmark box before it is turned.
        centre: ``(2,)`` of that box, in the unit square.
        turn: by how much the whole person is turned about the centre, in radians clockwise.
    """
    axes = _rotation(*pose)[:2].T  # weak perspective: depth is dropped, one scale for all
    flat = shape @ axes
    low, high = flat[:N_LANDMARKS].min(0), flat[:N_LANDMARKS].max(0)
    scale = share / (high - low).max()
    if not turn:
        return Face(vertices=(flat - (low + high) / 2) * scale + centre, axes=axes * scale)
    clockwise = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return Face(vertices=(flat - (low + high) / 2) @ clockwise + centre, axes=axes @ clockwise)


def sample_shape(rng: np.random.Generator) -> Array:
    """Draw a person with an expression: ``(100, 3)`` in the face frame."""
    traits = np.concatenate([rng.standard_normal(len(IDENTITY)).clip(-2, 2), _expression(rng)])
    shape = TEMPLATE + (traits @ _MODES).reshape(TEMPLATE.shape)
    _close_eyes(shape, 0.08 if rng.random() < 0.07 else rng.uniform(0.65, 1.15))
    # Nobody is quite symmetric: brows and mouth corners move a little on their own.
    shape[17:22, 1] += 0.035 * rng.standard_normal()
    shape[[48, 49, 59, 60], 1] += 0.025 * rng.standard_normal()
    return shape


def sample_pose(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw yaw, pitch and roll in radians: mostly mild, sometimes a head turned or tilted far."""
    yaw, pitch, roll = np.clip(rng.standard_normal(3), -2, 2) * (0.31, 0.18, 0.2)
    return float(yaw), float(pitch), float(roll)


def _expression(rng: np.random.Generator) -> Array:
    talks, smiles, pouts, raises, frowns = rng.random(5)
    amounts = rng.random(5)
    mouth_open = amounts[0] ** 1.5 if talks < 0.5 else 0.02
    smile, pout = (amounts[1] if smiles < 0.5 else 0.0), (amounts[2] if pouts < 0.2 and smiles >= 0.5 else 0.0)
    return np.array([mouth_open, smile, pout, amounts[3] if raises < 0.3 else 0.0, amounts[4] if frowns < 0.25 else 0.0])


def _close_eyes(shape: Array, opening: float) -> None:
    shape[UPPER_LIDS] = shape[LOWER_LIDS] + opening * (shape[UPPER_LIDS] - shape[LOWER_LIDS])


def _rotation(yaw: float, pitch: float, roll: float) -> Array:
    (sy, sp, sr), (cy, cp, cr) = np.sin([yaw, pitch, roll]), np.cos([yaw, pitch, roll])
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return tilt @ nod @ turn
