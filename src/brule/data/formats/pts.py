"""The ``.pts`` annotations of ibug and 300-W: a short header, then one 1-based pixel ``x y`` per line between braces."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from brule.data.formats.format import Format, SizeOf
from brule.data.formats.marks import MissingMarks
from brule.data.formats.record import Annotation, Annotations
from brule.errors import DataError
from brule.files import write_text

# The file counts pixels from 1, as MATLAB does; we count from 0 (coordinates.py).
FIRST_PIXEL = 1.0
# 16 MiB hold some 700,000 points: anything longer is no annotation, and not worth reading to the end.
MAX_BYTES = 2**24

_BODY = re.compile(r"^(?P<header>[^{}]*)\{(?P<body>[^{}]*)\}\s*$")
_N_POINTS = re.compile(r"n_points\s*:\s*(\S*)")


def read_pts(path: Path | str) -> np.ndarray:
    """Read the landmarks of one ``.pts`` file.

    Args:
        path: the file.

    Returns:
        ``(N, 2)`` float32 in pixels, the centre of the first pixel at (0, 0); NaN where the file has 0 0 or -1 -1, as
        tools write missing points.

    Raises:
        DataError: the file is missing, empty, truncated or no ``.pts`` at all, announces another number of points than
            it holds, or holds something that isn't a finite number. The message starts with the file's name.
    """
    path = Path(path)
    return _points(path, _read_text(path))


def _points(path: Path, text: str) -> np.ndarray:
    return _marked(path, text)[0]


def _marked(path: Path, text: str) -> tuple[np.ndarray, list[str]]:
    """The points, NaN where they are marked as missing, and remarks."""
    match = _BODY.match(text)
    if match is None:
        raise DataError(f"{path}: {_what_is_wrong(text)}")
    lines = [line for line in match["body"].splitlines() if line.strip()]
    points = np.array([_read_point(path, line) for line in lines], dtype=np.float64).reshape(-1, 2)
    _check_count(path, match["header"], len(points))
    marks = MissingMarks()
    for i, (x, y) in enumerate(points.tolist()):
        if marks.missing(x, y, f"point {i + 1}"):
            points[i] = np.nan
    return (points - FIRST_PIXEL).astype(np.float32), marks.notes()


def write_pts(path: Path | str, points: np.ndarray) -> None:
    """Write landmarks as a ``.pts`` file; missing folders are made.

    Args:
        path: the file to write; one that is there is replaced.
        points: ``(N, 2)`` in pixels, the centre of the first pixel at (0, 0).

    Raises:
        DataError: ``points`` has another shape, or holds NaN or infinity, which the format can't hold.
    """
    path = Path(path)
    try:
        write_text(path, _content(points))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _content(points: np.ndarray) -> str:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise DataError(f"expected points of shape (N, 2) with N ≥ 1 to write, got {array.shape}")
    if not np.isfinite(array).all():
        raise DataError("a .pts file can't hold missing points (NaN or infinity); write CSV or JSON instead")
    rows = "\n".join(f"{x:.6f} {y:.6f}" for x, y in array + FIRST_PIXEL)
    return f"version: 1\nn_points: {len(array)}\n{{\n{rows}\n}}\n"


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"{path}: expected a .pts file, but there is no such file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path}: longer than {MAX_BYTES >> 20} MiB, so it is no .pts annotation")
    return content.decode("utf-8-sig", errors="replace")


def _what_is_wrong(text: str) -> str:
    if not text.strip():
        return "the file is empty; expected a .pts annotation"
    if "{" not in text:
        return "no '{' in it: expected a .pts annotation, 'version: 1', 'n_points: N', then the points between braces"
    if "}" not in text:
        return "no closing '}': the file is truncated"
    return "expected one pair of braces with the points between them, and nothing after it"


def _read_point(path: Path, line: str) -> tuple[float, float]:
    fields = line.split()
    if len(fields) != 2:
        raise DataError(f"{path}: expected two numbers 'x y' per line, got {_shown(line)}")
    try:
        x, y = float(fields[0]), float(fields[1])
    except ValueError as error:
        raise DataError(f"{path}: expected two numbers 'x y' per line, got {_shown(line)}") from error
    # Beyond float32 means nothing as a pixel, and would become infinite on the way out.
    if not (math.isfinite(x) and math.isfinite(y)) or max(abs(x), abs(y)) > 1e30:
        raise DataError(f"{path}: expected finite coordinates, got {_shown(line)}; correct or remove that annotation")
    return x, y


def _check_count(path: Path, header: str, found: int) -> None:
    if found == 0:
        raise DataError(f"{path}: holds no points")
    announced = _N_POINTS.search(header)
    if announced is not None and announced[1] != str(found):
        raise DataError(f"{path}: announces n_points: {_shown(announced[1])} but holds {found}; the file is damaged")


def _shown(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 60 else text[:57] + "…")


def _parse(path: Path, content: str, size_of: SizeOf) -> Annotations:
    points, notes = _marked(path, content)
    return Annotations([Annotation("", points)], notes=notes)


def _dump(annotations: Annotations) -> str:
    (item,) = annotations.items
    if item.points is None:
        raise DataError(f"a .pts file can't hold an image without landmarks ({item.image})")
    return _content(item.points)


PTS = Format(
    name="pts",
    title="ibug .pts",
    suffixes=(".pts",),
    load=_read_text,
    recognises=lambda content: "{" in content,
    parse=_parse,
    dump=_dump,
    holds=frozenset({"images", "fractions"}),  # the image is the one of the same name
    one_image=True,
    whole=True,
    names_images=False,
)
