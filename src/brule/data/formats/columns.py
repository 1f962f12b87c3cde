"""The header of a table: which columns hold the image, points, a box, a size, and what a program wrote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from brule.data.formats.values import shown, text
from brule.errors import DataError

IMAGE = frozenset({"image", "path", "file", "filename", "filepath", "img", "photo", "picture"}) | {
    *(f"image{what}" for what in ("path", "name", "file", "filename")),
    *("datei", "dateiname", "bild", "bildname", "bilddatei", "foto"),  # German
}
# Columns that may hold anything: they count if file names are in them.
_PERHAPS = frozenset({"", "id", "name", "index", "specimen", "imageid", "frame", "label", "exemplar"})
_OBJECT = ("individual", "individuals", "object", "objectid", "instance", "instanceid", "animal", "track", "trackid", "group")
_POINT = ("point", "landmark", "name", "part", "bodypart", "keypoint", "node", "label", "landmarke", "punkt")
BOX = ("left", "top", "right", "bottom")
_BOXES = (BOX, ("xmin", "ymin", "xmax", "ymax"), ("bboxleft", "bboxtop", "bboxright", "bboxbottom"))
# Corner, width and height. Plain `width` and `height` are those of the image.
_CORNERED = (
    *(("x", "y", "w", "h"), ("left", "top", "w", "h"), ("bboxx", "bboxy", "bboxw", "bboxh")),
    *(("bboxx", "bboxy", "bboxwidth", "bboxheight"), ("boxx", "boxy", "boxwidth", "boxheight")),
)
SIZE = ("width", "height")
PIXEL = ("pixel_width_mm", "pixel_height_mm")
_PREDICTED = re.compile(
    r"(?:.*[_. -])?(?:likelihood|confidence|conf|score|prob|probability|uncertainty)[0-9]*|spread|expected[_ ]error",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"([xy])_?([0-9]{1,6})", re.IGNORECASE)
_BEHIND = re.compile(r"(.+)[_. -]([xy])", re.IGNORECASE)
_BEFORE = re.compile(r"([xy])[_. -](.+)", re.IGNORECASE)
_GLUED = re.compile(r"(.*[a-z0-9])([XY])")
_FILE = re.compile(r".+\.[A-Za-z0-9]{2,5}")


@dataclass
class Columns:
    """The columns of a table.

    Args:
        head: the names of all columns.
        image: the column of the image; None without.
        certain: whether its name shows that it is one.
        pairs: the columns of x and y by landmark, in the landmarks' order.
        names: the landmarks' names; None where they are numbered.
        point: in a table with one row per point, the column of its name.
        xy: in such a table, the columns of x and y.
        object: in such a table, the column of what shows which object of the image a point belongs to.
        box: the columns of a box.
        cornered: whether these are its corner, width and height, rather than its four edges.
        size: the columns of the image's size.
        pixel: the columns of a pixel's width and height in millimetres.
        predicted: the columns that only a program writes.
        headless: whether there is no row of headings.
        upwards: whether the headings are those of ml-morph, which counts y from the lower edge.
        unused: the names of the others.
    """

    head: list[str]
    image: int | None = None
    certain: bool = False
    pairs: list[tuple[int, int]] = field(default_factory=list)
    names: tuple[str, ...] | None = None
    point: int | None = None
    xy: tuple[int, int] | None = None
    object: int | None = None
    box: tuple[int, int, int, int] | None = None
    cornered: bool = False
    size: tuple[int, int] | None = None
    pixel: tuple[int, int] | None = None
    predicted: list[str] = field(default_factory=list)
    headless: bool = False
    upwards: bool = False
    unused: list[str] = field(default_factory=list)


def lacking(head: Sequence[str]) -> str:
    """What a table lacks that can't be read with this first row, in words."""
    try:
        columns = columns_of(head, "")
    except DataError as error:
        return str(error).removeprefix(": ")
    coordinates = bool(columns.pairs or columns.xy or columns.box)
    if columns.image is None:
        return f"no column is called 'image'{'' if coordinates else ', and none holds coordinates (x and y)'}"
    if not coordinates:
        return f"no column beside {shown(head[columns.image])} holds coordinates (x and y)"
    return f"the column {shown(head[columns.image])} holds no names of files; if it names the images, call it 'image'"


def looks_like_file(cell: str) -> bool:
    """Whether a cell may be the name of a file."""
    return len(cell) < 1000 and _FILE.fullmatch(cell) is not None


def columns_of(head: Sequence[str], where: str) -> Columns:
    """Understand the first row of a table.

    Raises:
        DataError: two columns have one name or hold the same thing, a landmark has only one coordinate, or numbers are left
            out.
    """
    found = Columns(list(head))
    keys = [re.sub(r"[\s_.#-]", "", name.lower()) for name in head]
    if twice := next((name for name, count in Counter(filter(None, head)).items() if count > 1), None):
        raise DataError(f"{where}: two columns are called {shown(twice)}; expected different names")
    sure = next((i for i, key in enumerate(keys) if key in IMAGE), None)
    perhaps = 0 if keys and keys[0] in _PERHAPS else None
    found.image, found.certain = (sure, True) if sure is not None else (perhaps, False)
    plain = {name.lower(): i for i, name in reversed(list(enumerate(head)))}
    by_key = {key: i for i, key in reversed(list(enumerate(keys)))}
    found.box = _box(by_key, _BOXES)
    if found.box is None and (cornered := _box(by_key, _CORNERED)):
        found.box, found.cornered = cornered, True
    found.size = (by_key["width"], by_key["height"]) if set(SIZE) <= by_key.keys() else None
    found.pixel = (plain[PIXEL[0]], plain[PIXEL[1]]) if set(PIXEL) <= plain.keys() else None
    taken = {found.image, *(found.box or ()), *(found.size or ()), *(found.pixel or ())}
    taken |= {by_key[name] for name in (*BOX, *SIZE) if name in by_key}
    if "x" in plain and "y" in plain and not taken & {plain["x"], plain["y"]}:
        found.xy = (plain["x"], plain["y"])
        found.point = next((by_key[name] for name in _POINT if name in by_key and by_key[name] != found.image), None)
        found.object = next((by_key[name] for name in _OBJECT if name in by_key and by_key[name] != found.image), None)
        taken |= {*found.xy, found.point, found.object}
    _add_points(found, [i for i in range(len(head)) if i not in taken], where)
    found.upwards = bool(keys) and keys[0] == "id" and any(name == "X1" for name in head) and found.names is None
    return found


def _box(by_key: dict[str, int], kinds: Sequence[tuple[str, str, str, str]]) -> tuple[int, int, int, int] | None:
    for left, top, right, bottom in kinds:
        if {left, top, right, bottom} <= by_key.keys():
            return by_key[left], by_key[top], by_key[right], by_key[bottom]
    return None


def _add_points(found: Columns, free: Sequence[int], where: str) -> None:
    axes: dict[str, dict[str, int]] = {}
    known = set(found.head)
    numbered = True
    for column in free:
        name = found.head[column]
        parsed = _point_column(name, known)
        if parsed is None:
            (found.predicted if _PREDICTED.fullmatch(name) else found.unused).append(name[:60])
            continue
        key, axis, is_number = parsed
        numbered &= is_number
        key = key if is_number else text(key, f"{where}: first row", "a landmark's name")
        if axis in axes.setdefault(key, {}):
            raise DataError(f"{where}: two columns hold {axis} of the landmark {shown(key)}; expected one")
        axes[key][axis] = column
    if lame := [key for key, own in axes.items() if len(own) != 2]:
        raise DataError(f"{where}: the landmark {shown(lame[0])} lacks a column for x or y")
    keys = sorted(axes, key=int) if numbered else list(axes)
    if numbered and keys and int(keys[-1]) - int(keys[0]) != len(keys) - 1:
        raise DataError(f"{where}: the columns x… and y… aren't numbered one after the other: {', '.join(keys[:8])}")
    found.pairs = [(axes[key]["x"], axes[key]["y"]) for key in keys]
    found.names = None if numbered else tuple(keys)


def _point_column(name: str, known: set[str]) -> tuple[str, str, bool] | None:
    """Landmark, axis, and whether the landmark is a number; None for another column."""
    if len(name) > 1010:
        return None
    if match := _NUMBERED.fullmatch(name):
        return str(int(match[2])), match[1].lower(), True
    if match := _BEHIND.fullmatch(name):
        return match[1], match[2].lower(), False
    if match := _BEFORE.fullmatch(name):
        return match[2], match[1].lower(), False
    if (match := _GLUED.fullmatch(name)) and {f"{match[1]}X", f"{match[1]}Y"} <= known:
        return match[1], match[2].lower(), False
    return None
