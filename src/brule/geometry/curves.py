"""Semilandmarks: evenly spaced points along a drawn curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from brule.errors import BruleError


def evenly_spaced(points: ArrayLike, n: int, *, closed: bool = False) -> np.ndarray:
    """Points along a polyline, at equal distances along it.

    Args:
        points: ``(K, 2)``, the corners of the line, in any frame; a drawn curve has many.
        n: how many points.
        closed: whether the line leads back to its start.

    Returns:
        ``(n, 2)`` float64: of an open line both ends are among them; of a closed one they begin at its start, which isn't
        repeated at the end. A single point is the start.

    Raises:
        BruleError: fewer than two corners, all of them in one place, a coordinate that isn't finite, or ``n`` below 1.

    Example:
        >>> evenly_spaced([[0, 0], [4, 0], [4, 4]], 3).tolist()
        [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]]
    """
    line = np.asarray(points, dtype=np.float64)
    if line.ndim != 2 or line.shape[1] != 2 or len(line) < 2 or not np.isfinite(line).all():
        raise BruleError(f"curve: expected at least two finite points (K, 2), got {line.shape}")
    if n < 1:
        raise BruleError(f"curve: expected at least 1 point along it, got {n}")
    if closed:
        line = np.concatenate([line, line[:1]])
    lengths = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    if not along[-1] > 0:
        raise BruleError(f"curve: all {len(line)} points are in one place; draw a line")
    wanted = np.linspace(0.0, along[-1], n, endpoint=not closed) if n > 1 else np.zeros(1)
    kept = np.concatenate([[True], lengths > 0])  # np.interp needs places that differ
    return np.stack([np.interp(wanted, along[kept], line[kept, axis]) for axis in (0, 1)], axis=-1)
