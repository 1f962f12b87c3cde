"""What ``brule predict`` writes, read again: its list of landmarks, and its folder.

Predictions become annotations where they are asked for by name, and never by being in a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from brule.data.formats.record import Annotation, Annotations
from brule.data.formats.values import as_dict, as_list, number, shown, text
from brule.data.formats.values import point as checked_point
from brule.data.samples import Layout
from brule.errors import DataError

TABLES = ("landmarks.json", "landmarks.csv")  # of a folder of predictions, the one with the names first
PICTURES = ("overlays", "heatmaps")  # its folders of pictures, which are no images to learn from
_HEAD = 2**20  # bytes of a table's first row, at most
NOTE = "predictions, not labels: a list of `brule predict`"


def is_prediction_list(content: object) -> bool:
    """Whether a JSON value is a list of predictions: ``{"landmarks": N, "images": [{"path", "points"}, …]}``."""
    if not isinstance(content, dict) or not isinstance(content.get("landmarks"), int):
        return False
    images = content.get("images")
    return isinstance(images, list) and all(isinstance(one, dict) and "path" in one and "points" in one for one in images[:5])


def read_if_predictions(path: Path, content: Any) -> Annotations | None:
    """As :func:`read_prediction_list`; None for anything else."""
    return read_prediction_list(path, content) if is_prediction_list(content) else None


def read_prediction_list(path: Path, content: Any) -> Annotations:
    """The annotations in a list of predictions; an image in which nothing was found has no landmarks.

    Raises:
        DataError: it is damaged.
    """
    count, names = content["landmarks"], content.get("names")
    items = []
    for position, entry in enumerate(as_list(content["images"], str(path), "predictions"), 1):
        where = f"{path}: image {position}"
        entry = as_dict(entry, where, "a prediction")
        image, points = text(entry.get("path"), where, "an image's path"), _points(where, entry.get("points"), count)
        items.append(Annotation(image, points, spacing=_spacing(where, entry.get("mm_per_pixel"))))
    if not isinstance(names, list) or len(names) != count:
        names = None
    layout = Layout(None if names is None else tuple(text(name, f"{path}: names", "a landmark's name") for name in names))
    return Annotations(items, layout, notes=[NOTE], predicted=True)


def _spacing(where: str, spacing: object) -> tuple[float, float] | None:
    if spacing is None:
        return None
    values = [number(one, where, "mm_per_pixel") for one in as_list(spacing, f"{where}: mm_per_pixel", "two numbers")]
    if len(values) != 2 or min(values) <= 0:
        raise DataError(f"{where}: expected mm_per_pixel as two numbers above 0, got {shown(spacing)}")
    return values[0], values[1]


def _points(where: str, rows: object, count: int) -> np.ndarray | None:
    if rows is None:
        return None
    own = as_list(rows, where, "points")
    if len(own) != count:
        raise DataError(f"{where}: expected {count} points, got {len(own)}")
    if bad := [row for row in own if not isinstance(row, list) or len(row) != 2]:
        raise DataError(f"{where}: expected points [x, y], got {shown(bad[0])}")
    return np.array([checked_point(x, y, where) for x, y in own], dtype=np.float32).reshape(-1, 2)


def prediction_table(folder: Path) -> Path | None:
    """The table of all predictions in a folder that ``brule predict`` wrote; None for any other folder."""
    found = [folder / name for name in TABLES if (folder / name).is_file()]
    return next((path for path in found if _is_prediction(path)), None)


def _is_prediction(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.readline(_HEAD)
    return start.startswith(b'{"landmarks": ') or (start.startswith(b"path,") and b",spread,score,flagged" in start)
