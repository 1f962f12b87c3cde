"""Which landmarks belong together, for errors by region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from brule.errors import DataError
from brule.files import read_json

Regions = Mapping[str, Sequence[int]]

IBUG_68: dict[str, tuple[int, ...]] = {  # 0-based
    "jaw": tuple(range(17)),
    "brows": tuple(range(17, 27)),
    "nose": tuple(range(27, 36)),
    "eyes": tuple(range(36, 48)),
    "mouth": tuple(range(48, 68)),
}
_EXAMPLE = '{"left": [0, 1, 2], "right": [3, 4, 5]}'


def landmark_regions(n_points: int, regions: Regions | None = None) -> dict[str, tuple[int, ...]]:
    """The regions of a landmark set: those given, else the five of the 68 ibug points, else one that is called "all".

    Args:
        n_points: the number of landmarks.
        regions: name → 0-based indices; they may overlap and needn't cover all landmarks.

    Raises:
        DataError: a region is empty, or names a landmark twice or one that doesn't exist.
    """
    if regions is None:
        return dict(IBUG_68) if n_points == 68 else {"all": tuple(range(n_points))}
    if not regions:
        raise DataError(f"regions: expected at least one, such as {_EXAMPLE}, got none")
    for name, indices in regions.items():
        known = all(isinstance(i, int | np.integer) and not isinstance(i, bool) and 0 <= i < n_points for i in indices)
        if not len(indices) or not known or len(set(indices)) < len(indices):
            raise DataError(
                f"region {name!r}: expected different indices from 0 to {n_points - 1}, got {list(indices)}; "
                f"write regions as {_EXAMPLE}"
            )
    return {str(name): tuple(int(i) for i in indices) for name, indices in regions.items()}


def contours(n_points: int) -> list[tuple[int, int]]:
    """Pairs of landmarks to join by lines when a shape is drawn: the 68 ibug points' curves; none for other shapes."""
    if n_points != 68:
        return []
    open_curves = [(0, 17), (17, 22), (22, 27), (27, 31), (31, 36)]
    closed_curves = [(36, 42), (42, 48), (48, 60), (60, 68)]
    lines = [(i, i + 1) for start, end in open_curves + closed_curves for i in range(start, end - 1)]
    return lines + [(end - 1, start) for start, end in closed_curves]


def read_regions(path: Path | str, n_points: int) -> dict[str, tuple[int, ...]]:
    """Regions from a JSON file, ``{"left": [0, 1, 2], …}`` with 0-based indices.

    Raises:
        DataError: the file can't be read, or doesn't hold regions of ``n_points`` landmarks.
    """
    content = read_json(path, f"regions as {_EXAMPLE}")
    if not isinstance(content, dict) or not all(isinstance(indices, list) for indices in content.values()):
        raise DataError(f"{path}: expected regions as {_EXAMPLE}")
    try:
        return landmark_regions(n_points, content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
