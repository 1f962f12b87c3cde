"""What annotated shapes have in common: their mean, how they vary, and what a few placed points imply about the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brule.errors import BruleError

MAX_MODES = 30
_ROUNDS = 30
_BEND, _BEND_LENGTH, _NOISE = 0.08, 0.35, 0.015  # in units of the shape's root-mean-square radius
_POSE = 0.02  # standard deviation that the pose always has, so that one shape alone isn't taken for all


@dataclass(frozen=True, eq=False)
class Pose:
    """A similarity: the place of a shape in an image.

    Args:
        matrix: ``(2, 2)``, rotation times scale; points are rows, so a shape becomes ``shape @ matrix + offset``.
        offset: ``(2,)`` in pixels.
    """

    matrix: np.ndarray
    offset: np.ndarray

    @property
    def scale(self) -> float:
        """Pixels per unit of the shape."""
        return float(np.hypot(*self.matrix[0]))

    def __call__(self, shape: np.ndarray) -> np.ndarray:
        """Shape → pixels."""
        return shape @ self.matrix + self.offset

    def back(self, points: np.ndarray) -> np.ndarray:
        """Pixels → shape."""
        return (points - self.offset) @ np.linalg.inv(self.matrix)


def similarity(source: np.ndarray, target: np.ndarray, *, weights: np.ndarray | None = None) -> Pose | None:
    """The least-squares similarity (no reflection) from one shape to another.

    Args:
        source: ``(N, 2)``, NaN where a point is missing.
        target: of the same shape.
        weights: ``(N,)`` of the squared distances, positive; by default all the same.

    Returns:
        The pose, or None where they share fewer than two different points.
    """
    shared = np.isfinite(source).all(1) & np.isfinite(target).all(1)
    if shared.sum() < 2:
        return None
    weight = np.ones(int(shared.sum())) if weights is None else weights[shared]
    share = (weight / weight.sum())[:, None]
    a, b = source[shared], target[shared]
    mean_a, mean_b = (share * a).sum(0), (share * b).sum(0)
    a, b = a - mean_a, b - mean_b
    size = (share * a**2).sum()
    if not size > 0:
        return None
    along = (share * a * b).sum() / size
    across = (share[:, 0] * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])).sum() / size
    if not np.hypot(along, across) > 0:
        return None
    matrix = np.array([[along, across], [-across, along]])
    return Pose(matrix, mean_b - mean_a @ matrix)


@dataclass(frozen=True, eq=False)
class ShapeStatistics:
    """The Procrustes mean of shapes, and their principal directions.

    Args:
        mean: ``(N, 2)``, centred, its points' root-mean-square distance from the centre being 1; y points down.
        modes: ``(M, N, 2)``, the principal directions times their standard deviations.
        aligned: ``(K, N, 2)``, the shapes aligned with the mean, NaN where a point is missing.
        poses: of the shapes, in pixels.
    """

    mean: np.ndarray
    modes: np.ndarray
    aligned: np.ndarray
    poses: tuple[Pose, ...]

    @classmethod
    def of(cls, shapes: np.ndarray, *, pairs: Sequence[tuple[int, int]] | None = None) -> ShapeStatistics | None:
        """Generalised Procrustes analysis.

        Args:
            shapes: ``(K, N, 2)`` in pixels, NaN where a point is missing.
            pairs: landmarks that change places in a mirror image; with them, every shape's mirror image counts, too.

        Returns:
            The statistics, or None where no shape has two points, or a landmark is in none of them.
        """
        usable = [shape for shape in np.asarray(shapes, dtype=np.float64) if _spread(shape)]
        if not usable:
            return None
        mean = _procrustes(usable)
        if mean is None:
            return None
        laid = [similarity(shape, mean) for shape in usable]
        kept = [(shape, pose) for shape, pose in zip(usable, laid, strict=True) if pose is not None]
        aligned = np.stack([pose(shape) for shape, pose in kept])
        whole = np.where(np.isfinite(aligned), aligned, mean)
        if pairs is not None:
            whole = np.concatenate([whole, [_mirrored(shape, pairs, mean) for shape in whole]])
        apart = (whole - whole.mean(0)).reshape(len(whole), -1)
        _, sizes, directions = np.linalg.svd(apart / np.sqrt(max(len(whole) - 1, 1)), full_matrices=False)
        count = int((sizes > 1e-6).sum())
        modes = (sizes[:, None] * directions)[: min(count, MAX_MODES)].reshape(-1, *mean.shape)
        poses = tuple(found for shape, _ in kept if (found := similarity(mean, shape)) is not None)
        return cls(mean, modes, aligned, poses)

    def covariance(self, scale: float = 1.0) -> np.ndarray:
        """``(2N, 2N)`` of a shape's deformations about the mean (modes, smooth bends, noise), in squares of ``scale``."""
        apart = np.linalg.norm(self.mean[:, None] - self.mean[None], axis=-1)
        bends = _BEND**2 * np.exp(-(apart**2) / (2 * _BEND_LENGTH**2)) + _NOISE**2 * np.eye(len(self.mean))
        flat = self.modes.reshape(len(self.modes), self.mean.size)
        return scale**2 * (np.kron(bends, np.eye(2)) + flat.T @ flat)


def conditioned(
    prior: np.ndarray, fixed: np.ndarray, statistics: ShapeStatistics, *, pose_sd: tuple[float, float, float]
) -> np.ndarray:
    """A guess, given points that a person has placed: the conditional mean of a Gaussian about the guess.

    The Gaussian has the shapes' own modes, smooth bends, noise, and a pose that is known only so far. Placed points stay
    exactly where they are.

    Args:
        prior: ``(N, 2)`` in pixels.
        fixed: ``(N, 2)`` in pixels, NaN where no point is placed.
        statistics: of the annotated shapes.
        pose_sd: standard deviations of the prior's place, of the logarithm of its size, and of its angle: in units of the
            shape's root-mean-square radius, and in radians.

    Returns:
        ``(N, 2)``.
    """
    placed = np.isfinite(fixed).all(1)
    if not placed.any():
        return prior.copy()
    if placed.sum() >= 3 and (near := similarity(np.where(placed[:, None], prior, np.nan), fixed)) is not None:
        prior, pose_sd = near(prior), (0.1, 0.05, 0.05)
    pose = similarity(statistics.mean, prior)
    if pose is None:
        raise BruleError("guess: the prior has no extent")
    scale, centred = pose.scale, prior - prior.mean(0)
    turned = np.stack([-centred[:, 1], centred[:, 0]], -1)
    place, size, angle = (float(np.hypot(sd, _POSE)) for sd in pose_sd)
    moves = [np.tile([place * scale, 0.0], (len(prior), 1)), np.tile([0.0, place * scale], (len(prior), 1))]
    basis = np.stack([*moves, size * centred, angle * turned]).reshape(4, -1)
    turn = np.kron(np.eye(len(prior)), pose.matrix / scale)  # from the mean's axes to the image's
    covariance = turn.T @ statistics.covariance(scale) @ turn + basis.T @ basis
    given = np.repeat(placed, 2)
    left = (fixed - prior).ravel()[given]
    moved = covariance[:, given] @ np.linalg.solve(covariance[np.ix_(given, given)], left)
    return np.where(placed[:, None], fixed, prior + moved.reshape(-1, 2))


def _spread(shape: np.ndarray) -> bool:
    there = shape[np.isfinite(shape).all(1)]
    return len(there) >= 2 and bool(np.ptp(there, axis=0).max() > 0)


def _procrustes(shapes: list[np.ndarray]) -> np.ndarray | None:
    """The mean of aligned shapes; it keeps the orientation of the shape with the most points."""
    first = max(shapes, key=lambda shape: int(np.isfinite(shape).all(1).sum()))
    mean = _standard(first)
    for _ in range(_ROUNDS):
        laid = [pose(shape) for shape in shapes if (pose := similarity(shape, mean)) is not None]
        stack = np.stack(laid)
        counts = np.isfinite(stack).all(-1).sum(0)[:, None]
        following = np.nansum(stack, axis=0) / np.maximum(counts, 1)
        following[counts[:, 0] == 0] = np.nan
        following = _standard(following)
        back = similarity(following, mean)
        following = following if back is None else _standard(following @ (back.matrix / back.scale))
        settled = np.array_equal(np.isnan(mean), np.isnan(following)) and np.allclose(
            mean, following, equal_nan=True, atol=1e-9
        )
        mean = following
        if settled:
            break
    if not np.isfinite(mean).all():
        return None
    upright = [pose.matrix / pose.scale for shape in shapes if (pose := similarity(mean, shape)) is not None]
    turn = sum(upright[1:], start=upright[0])
    size = float(np.hypot(*turn[0]))
    return mean @ (turn / size) if size > 1e-6 * len(upright) else mean


def _standard(shape: np.ndarray) -> np.ndarray:
    centred = shape - np.nanmean(shape, axis=0)
    return centred / np.sqrt(np.nanmean((centred**2).sum(1)))


def _mirrored(shape: np.ndarray, pairs: Sequence[tuple[int, int]], mean: np.ndarray) -> np.ndarray:
    order = np.arange(len(shape))
    for a, b in pairs:
        order[a], order[b] = b, a
    image = (shape * [-1.0, 1.0])[order]
    pose = similarity(image, mean)
    return image if pose is None else pose(image)
