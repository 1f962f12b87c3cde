"""Reading files whole, and checking the values in them: every problem is raised as a DataError."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import defusedxml.ElementTree as safe_xml
from defusedxml.common import DefusedXmlException

from brule.data.samples import Box
from brule.errors import DataError
from brule.tables import csv_rows

# Far more than any annotation of a data set: 200,000 images of 68 landmarks take some 300 MiB of JSON.
MAX_BYTES = 2**30
# Beyond float32 means nothing as a pixel, and would become infinite on the way out.
MAX_NUMBER = 1e30
MAX_TEXT_LENGTH = 1000  # characters of a name or path

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What R, Excel, SAS and people write for a number that isn't there.
_MISSING = {"", "na", "nan", "n/a", "n.a.", "#n/a", "null", "none", "-", "–", "—", ".", "?"}
_THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}(?:([,.'’ \u00a0\u202f])[0-9]{3})+(?:(?!\1)[.,][0-9]*)?")
_SEPARATOR_LINE = re.compile(r"\s*sep=(.)[ ,;\t]*\r?\n", re.IGNORECASE)


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
    """A text file in UTF-8; else in UTF-16, as Excel calls "Unicode text", or in the encoding of Western Windows.

    Programs under Windows write names in its 8-bit encoding and can't write another.

    Raises:
        DataError: as for :func:`load_bytes`, or no text.
    """
    return _decoded(path, load_bytes(path, "an annotation"))


def _decoded(path: Path, content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{path}: expected text, got UTF-16 that is cut off; save it with the encoding UTF-8")


def load_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        DataError: as for :func:`load_bytes`, or no JSON, as when it ends early.
    """
    content = load_bytes(path, "JSON")
    try:
        return json.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError as error:
        raise DataError(f"{path}: lists or objects are nested too deeply; no annotation is") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON, or cut off ({_first_line(error)})") from error


def load_xml(path: Path) -> ET.Element:
    """The root element of an XML file.

    Entities can be nested so that a few lines become gigabytes, or name files to be read; no annotation needs them, so a
    document that declares a type or an entity is refused unread.

    Raises:
        DataError: as for :func:`load_bytes`, no XML, or a DOCTYPE.
    """
    return parse_xml(load_bytes(path, "XML"), str(path))


def parse_xml(content: bytes | str, where: str) -> ET.Element:
    """The root element of an XML document; as :func:`load_xml`.

    Raises:
        DataError: no XML, or a DOCTYPE.
    """
    try:
        return safe_xml.fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataError(f"{where}: declares a DOCTYPE or an entity, which no annotation needs; remove it") from error
    except (ET.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{where}: not XML, or cut off ({_first_line(error)})") from error


_SAMPLE_ROWS = 20  # rows
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+")
_GROUPED = re.compile(r"[-+]?[1-9][0-9]{0,2}(\.[0-9]{3})+")
_EITHER = re.compile(r"[-+]?[1-9][0-9]{0,2},[0-9]{3}")  # 1,250: decimal comma, or thousands


class Table:
    """A text file of rows with a separator.

    Where commas don't separate, they are decimal commas.

    Args:
        path: the file.
        text: its content.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        if stated := _SEPARATOR_LINE.match(text):  # which Excel writes and reads
            self.text = text[stated.end() :]
        self._separator = stated[1] if stated else max(",;\t", key=self._credence)
        self._unclear: bool | None = None  # whether each comma may group thousands; None before it was asked

    def _credence(self, separator: str) -> tuple[bool, int]:
        """How likely it separates cells: names may hold the others, but then rows differ in length."""
        try:
            lengths = [len(row) for row, _ in zip(self._apart(separator), range(_SAMPLE_ROWS), strict=False)]
        except DataError:
            return False, 0
        return len(set(lengths)) == 1 and lengths[0] > 1, max(lengths, default=0)

    def rows(self) -> Iterator[list[str]]:
        """The rows that aren't empty, their cells stripped.

        Raises:
            DataError: it can't be taken apart, or its commas may be decimal commas or group thousands.
        """
        return self._rows(certain=True)

    def _rows(self, *, certain: bool) -> Iterator[list[str]]:
        rows = self._apart(self._separator)
        return rows if self._separator == "," else ([row[0], *self._decimal_points(row[1:], certain)] for row in rows)

    def _decimal_points(self, cells: list[str], certain: bool) -> list[str]:
        if not any(map(_DECIMAL_COMMA.fullmatch, cells)):
            return cells
        if certain and self._commas_unclear():
            example = next(one for one in cells if _EITHER.fullmatch(one))
            raise DataError(
                f"{self.path}: has numbers such as {shown(example)}: is the comma a decimal comma, or does it group thousands? "
                "Write all numbers with decimal points, without signs between thousands"
            )
        if grouped := next((one for one in cells if _GROUPED.fullmatch(one)), None):
            raise DataError(
                f"{self.path}: has decimal commas and the number {shown(grouped)} in one row: is its point a decimal point, or "
                "does it group thousands? Write all numbers in one way, without signs between thousands"
            )
        return [one.replace(",", ".") if _DECIMAL_COMMA.fullmatch(one) else one for one in cells]

    def _commas_unclear(self) -> bool:
        """Whether each number with a comma is one that Excel may have written with grouped thousands."""
        if self._unclear is None:
            cells = (one for row in self._apart(self._separator) for one in row[1:] if _DECIMAL_COMMA.fullmatch(one))
            self._unclear = all(map(_EITHER.fullmatch, cells))
        return self._unclear

    def _apart(self, separator: str) -> Iterator[list[str]]:
        try:
            for row in csv_rows(io.StringIO(self.text, newline=""), separator=separator):
                cells = [one.strip() for one in row]
                if any(cells):
                    yield cells
        except csv.Error as error:
            long = f"a cell has more than {csv.field_size_limit():,} characters; is a quotation mark missing?"
            raise DataError(f"{self.path}: not a table: {long if 'limit' in str(error) else error}") from error

    def head(self, count: int) -> list[list[str]]:
        """The first rows; they are also asked for of tables that are no annotations, so unclear commas are no error here."""
        return [row for row, _ in zip(self._rows(certain=False), range(count), strict=False)]


def load_table(path: Path) -> Table:
    """A table with commas, semicolons or tabs; as :func:`load_text`. A ``.txt`` file may be empty: YOLO writes such ones."""
    if path.suffix.lower() == ".txt" and path.is_file() and path.stat().st_size == 0:
        return Table(path, "")
    return Table(path, load_text(path))


def load_content(path: Path) -> Any:
    """What is in a file, by its suffix: a JSON value, an XML element or a table. Formats that share a suffix share it.

    Raises:
        DataError: as for :func:`load_json`, :func:`load_xml` and :func:`load_table`.
    """
    loaders: dict[str, Callable[[Path], Any]] = {".json": load_json, ".xml": load_xml}
    return loaders.get(path.suffix.lower(), load_table)(path)


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


def number(value: object, where: str, what: str = "a coordinate") -> float:
    """A finite number, from a number or from text.

    Raises:
        DataError: it is none.
    """
    if isinstance(value, str) and len(value) < 100:
        try:
            value = float(value)
        except ValueError:
            hint = "; write it without signs between thousands" if _THOUSANDS.fullmatch(str(value).strip()) else ""
            raise DataError(f"{where}: expected a number as {what}, got {shown(value)}{hint}") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{where}: expected a number as {what}, got {shown(value)}")
    if not abs(value) <= MAX_NUMBER or not math.isfinite(value):
        raise DataError(f"{where}: expected a finite number as {what}, got {shown(value)}")
    return float(value)


def point(x: object, y: object, where: str) -> tuple[float, float]:
    """Two finite numbers; as :func:`number`."""
    return number(x, where, "x"), number(y, where, "y")


def cells_point(x: str, y: str, where: str) -> tuple[float, float]:
    """A point from two cells of a table; NaN if both are empty or mean missing.

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
            "correct it, or remove it"
        )
    return edges


def turned_box(edges: Box, degrees: float, about: tuple[float, float]) -> Box:
    """The smallest upright box about a box that is turned clockwise about a point, as tools turn it on the screen."""
    left, top, right, bottom = edges
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(x - about[0], y - about[1]) for x in (left, right) for y in (top, bottom)]
    x = [about[0] + cos * dx - sin * dy for dx, dy in corners]
    y = [about[1] + sin * dx + cos * dy for dx, dy in corners]
    return (min(x), min(y), max(x), max(y))


def size(width: object, height: object, where: str) -> tuple[int, int] | None:
    """Width and height of an image; None if the file doesn't state them.

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
    if len(value) > MAX_TEXT_LENGTH:
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


def counted(count: int, what: str) -> str:
    """How many of something, in words: ``1 box``, ``3 boxes``."""
    if count == 1:
        return f"1 {what}"
    if what.endswith("ory"):
        return f"{count} {what[:-1]}ies"
    return f"{count} {what}{'es' if what.endswith(('x', 's')) else 's'}"


def tidy(value: float) -> float:
    """A coordinate as written to files: to a millionth of a pixel, which preserves float32."""
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
