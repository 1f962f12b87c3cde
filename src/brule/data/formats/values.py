"""Reading files whole, and checking the values in them: whatever isn't right comes out as a DataError."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brule.data.samples import Box
from brule.errors import DataError

# Far more than any annotation of a data set: 200,000 images of 68 landmarks take some 300 MiB of JSON.
MAX_BYTES = 2**30
# Beyond float32 means nothing as a pixel, and would become infinite on the way out.
LARGEST = 1e30
LONGEST = 1000  # characters of a name or path

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MISSING = {"", "na", "nan", "n/a", "null", "none"}


def load_bytes(path: Path, what: str, *, limit: int = MAX_BYTES) -> bytes:
    """A file's content.

    Raises:
        DataError: it is missing, empty, longer than ``limit``, or can't be read.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected {what}, but there is no such file")
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    if len(content) > limit:
        raise DataError(f"{path}: longer than {limit >> 20} MiB, so it is no annotation")
    if not content.strip():
        raise DataError(f"{path}: the file is empty; expected {what}")
    return content


def load_text(path: Path) -> str:
    """A text file in UTF-8.

    Raises:
        DataError: as for :func:`load_bytes`, or another encoding.
    """
    try:
        return load_bytes(path, "an annotation").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start}); save it with the encoding UTF-8") from error


def load_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        DataError: as for :func:`load_bytes`, or no JSON, as when it ends early.
    """
    content = load_bytes(path, "JSON")
    try:
        return json.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON, or cut off ({_first_line(error)})") from error


def load_xml(path: Path) -> ET.Element:
    """The root element of an XML file.

    Entities can be nested so that a few lines become gigabytes, or name files to be read; no annotation needs them, so a
    document that declares a type or an entity is refused unread.

    Raises:
        DataError: as for :func:`load_bytes`, no XML, or a DOCTYPE.
    """
    content = load_bytes(path, "XML")
    # Without the zeros, UTF-16 shows its ASCII; expat takes no encoding that writes ASCII otherwise.
    plain = content.replace(b"\0", b"")
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise DataError(f"{path}: declares a DOCTYPE or an entity, which no annotation needs; remove it")
    try:
        return ET.fromstring(content)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path}: not XML, or cut off ({_first_line(error)})") from error


_LOOKED_AT = 20  # rows


class Table:
    """A text file of rows with a separator.

    Args:
        path: the file, for errors.
        text: its content.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text = path, text
        self._separator = max(",;\t", key=self._credence)

    def _credence(self, separator: str) -> tuple[bool, int]:
        """How likely cells are told apart by it: names may hold the others, but then rows differ in length."""
        try:
            lengths = [len(row) for row, _ in zip(self._apart(separator), range(_LOOKED_AT), strict=False)]
        except DataError:
            return False, 0
        return len(set(lengths)) == 1 and lengths[0] > 1, max(lengths, default=0)

    def rows(self) -> Iterator[list[str]]:
        """The rows that aren't empty, their cells stripped.

        Raises:
            DataError: it can't be taken apart.
        """
        return self._apart(self._separator)

    def _apart(self, separator: str) -> Iterator[list[str]]:
        try:
            for row in csv.reader(io.StringIO(self._text, newline=""), delimiter=separator):
                cells = [one.strip() for one in row]
                if any(cells):
                    yield cells
        except csv.Error as error:
            raise DataError(f"{self._path}: not a table ({error})") from error

    def head(self, count: int) -> list[list[str]]:
        """The first rows."""
        return [row for row, _ in zip(self.rows(), range(count), strict=False)]


def load_table(path: Path) -> Table:
    """A table with commas, semicolons or tabs; as :func:`load_text`."""
    return Table(path, load_text(path))


def xml_text(root: ET.Element) -> str:
    """An XML document as text.

    Raises:
        DataError: a name holds signs that XML can't.
    """
    ET.indent(root, " ")
    text = ET.tostring(root, encoding="unicode")
    if found := _NO_XML.search(text):
        raise DataError(f"XML can't hold the character {found[0]!r}, which is in the name of a file or landmark")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def csv_text(rows: list[list[str]]) -> str:
    """Rows as text, with commas."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def number(value: object, where: str, what: str = "a coordinate") -> float:
    """A finite number, from a number or from text.

    Raises:
        DataError: it is none.
    """
    if isinstance(value, str) and len(value) < 100:
        try:
            value = float(value)
        except ValueError:
            raise DataError(f"{where}: expected a number as {what}, got {shown(value)}") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{where}: expected a number as {what}, got {shown(value)}")
    if not abs(value) <= LARGEST or not math.isfinite(value):
        raise DataError(f"{where}: expected a finite number as {what}, got {shown(value)}")
    return float(value)


def point(x: object, y: object, where: str) -> tuple[float, float]:
    """Two finite numbers; as :func:`number`."""
    return number(x, where, "x"), number(y, where, "y")


def cells_point(x: str, y: str, where: str) -> tuple[float, float]:
    """A point from two cells of a table; NaN where both are empty or say so.

    Raises:
        DataError: a cell holds no finite number, or only one of them is empty.
    """
    missing = [one.lower() in _MISSING for one in (x, y)]
    if all(missing):
        return math.nan, math.nan
    if any(missing):
        raise DataError(f"{where}: has one coordinate without the other ({shown(x)}, {shown(y)}); leave both empty if missing")
    return point(x, y, where)


def box(edges: tuple[float, float, float, float], where: str) -> Box | None:
    """A box with an area, ``(left, top, right, bottom)``; None where all of it is 0, as tools write that there is none.

    Raises:
        DataError: it has no area, or a negative one.
    """
    left, top, right, bottom = edges
    if not any(edges):
        return None
    if right <= left or bottom <= top:
        raise DataError(
            f"{where}: expected a box with an area, got one {right - left:g} wide and {bottom - top:g} high; "
            "mend it, or remove it"
        )
    return edges


def size(width: object, height: object, where: str) -> tuple[int, int] | None:
    """Width and height of an image; None where the file doesn't say.

    Raises:
        DataError: they are no positive whole numbers.
    """
    if width is None or height is None:
        return None
    values = number(width, where, "the image's width"), number(height, where, "the image's height")
    if values == (0, 0):
        return None
    if min(values) < 1 or max(values) > 1e7 or any(value != int(value) for value in values):
        raise DataError(f"{where}: expected the image's width and height in pixels, got {values[0]:g} and {values[1]:g}")
    return int(values[0]), int(values[1])


def text(value: object, where: str, what: str = "a name") -> str:
    """Text that can be a name: not empty, no control characters, writable as UTF-8.

    Raises:
        DataError: it isn't.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = shown(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: expected {what}, got {shown(value)}")
    if len(value) > LONGEST:
        raise DataError(f"{where}: expected {what}, got one of {len(value)} characters: {shown(value)}")
    if _CONTROL.search(value) or not _encodable(value):
        raise DataError(f"{where}: {what} holds characters that don't belong there: {shown(value)}")
    return value


def as_list(value: object, where: str, what: str) -> list[Any]:
    """A list.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, list):
        raise DataError(f"{where}: expected a list of {what}, got {shown(value)}")
    return value


def as_dict(value: object, where: str, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected {what} as an object {{…}}, got {shown(value)}")
    return value


def tidy(value: float) -> float:
    """A coordinate as it is written: to a millionth of a pixel, which keeps float32 as it was."""
    return round(float(value), 6)


def cell(value: float) -> str:
    """A coordinate as a cell of a table; empty for NaN."""
    return "" if math.isnan(value) else str(tidy(value))


def shown(value: object) -> str:
    """A value as a message quotes it, never long."""
    try:
        large = isinstance(value, (list, dict)) and len(value) > 10
        found = f"a {type(value).__name__} of more than ten" if large else repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or a list in a list in a list …
        found = type(value).__name__
    return found if len(found) <= 60 else found[:57] + "…"


def _encodable(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return shown(str(error).splitlines()[0] if str(error) else type(error).__name__).strip("'\"")
