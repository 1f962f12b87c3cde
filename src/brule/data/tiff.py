"""Strips and tiles of TIFF files, compressed or not: some rows of them at a time become a TIFF of their own, in memory.

Each strip or tile is compressed alone, so that libtiff decodes the small file as it would the large one; Pillow makes of it
what it makes of the whole.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, BinaryIO

from PIL import Image

_WIDTH, _HEIGHT, _BITS, _COMPRESSION = 256, 257, 258, 259
_OFFSETS, _SAMPLES, _ROWS, _COUNTS, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
# What a pixel's value means, and how it is compressed: photometric, fill order, predictor, colour map, inks, extra samples,
# sample format and its range, JPEG tables, YCbCr.
_KEPT = (_BITS, _COMPRESSION, 262, 266, _SAMPLES, _PLANAR, 317, 320, 332, 333, 338, 339, 340, 341, 347, 529, 530, 531, 532)
_LONG = 4  # the type of a tag
_RAW = 1  # compression
_OLD_JPEG = 6  # keeps its tables elsewhere in the file
_BAND = 2**24  # bytes
_STRIP = 2**16  # bytes of a strip that isn't compressed
_DEEP = (16, 16, 16)  # whether its values have 12 bits or 16 shows in the whole picture only (brule.data.deep)


@dataclass(frozen=True)
class Segments:
    """The strips or tiles of a TIFF's first picture.

    Args:
        tags: the tags of the file.
        size: width and height as stored.
        side: width and height of a strip or tile.
        offsets: where each is in the file, row by row, plane by plane.
        counts: how many bytes each has.
        tiled: whether they are tiles.
        planes: how many planes have strips or tiles of their own.
        per_pixel: bytes of a decoded pixel in Pillow's memory.
    """

    tags: Any
    size: tuple[int, int]
    side: tuple[int, int]
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    tiled: bool
    planes: int
    per_pixel: int

    @property
    def across(self) -> int:
        """Strips or tiles beside each other."""
        return math.ceil(self.size[0] / self.side[0])

    @property
    def down(self) -> int:
        """Strips or tiles one below the other."""
        return math.ceil(self.size[1] / self.side[1])


def segments_of(image: Image.Image) -> Segments | None:
    """The strips or tiles of an open file; None if it is no TIFF, or one that only decodes as a whole."""
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None or tags.get(_COMPRESSION, 1) == _OLD_JPEG:
        return None
    if tuple(tags.get(_BITS, ())[:3]) == _DEEP or not {_WIDTH, _HEIGHT} <= set(tags):
        return None
    width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
    tiled = _TILE_OFFSETS in tags
    side = (tags.get(_TILE_WIDTH), tags.get(_TILE_HEIGHT)) if tiled else (width, min(tags.get(_ROWS, height), height))
    places = [_as_tuple(tags.get(tag, ())) for tag in ((_TILE_OFFSETS, _TILE_COUNTS) if tiled else (_OFFSETS, _COUNTS))]
    if not all(isinstance(one, int) and one > 0 for one in side):
        return None
    planes = int(tags.get(_SAMPLES, 1)) if tags.get(_PLANAR, 1) == 2 else 1
    per_pixel = 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4
    found = Segments(tags, (width, height), (side[0], side[1]), places[0], places[1], tiled, planes, per_pixel)
    if not len(found.offsets) == len(found.counts) == found.across * found.down * planes:
        return None
    return found if tiled or tags.get(_COMPRESSION, 1) != _RAW else _cut_finer(found)


def _cut_finer(strips: Segments) -> Segments:
    """Strips that aren't compressed, cut into lower ones: programs write all rows as one."""
    width, height = strips.size
    rows = [min(strips.side[1], height - top) for top in range(0, height, strips.side[1])] * strips.planes
    strides = {count // own for count, own in zip(strips.counts, rows, strict=True) if count % own == 0}
    if len(strides) != 1 or any(count % own for count, own in zip(strips.counts, rows, strict=True)):
        return strips
    (stride,) = strides
    step = max((own for own in range(1, strips.side[1] + 1) if own * stride <= _STRIP and strips.side[1] % own == 0), default=1)
    pieces = [
        (start + top * stride, min(step, own - top) * stride)
        for start, own in zip(strips.offsets, rows, strict=True)
        for top in range(0, own, step)
    ]
    offsets, counts = zip(*pieces, strict=True)
    return replace(strips, side=(width, step), offsets=offsets, counts=counts)


def row_bytes(segments: Segments, columns: tuple[int, int]) -> int:
    """Bytes in memory of the strips or tiles of one row, as far as they are under ``columns``."""
    first, last = _range(columns, segments.side[0])
    return (last - first) * segments.side[0] * segments.side[1] * segments.per_pixel


def segment_bands(
    file: BinaryIO, segments: Segments, *, columns: tuple[int, int], rows: tuple[int, int]
) -> Iterator[tuple[int, Image.Image]]:
    """The parts of an image under some columns and rows, one below the other, each with its first row.

    Args:
        file: the open file.
        segments: its strips or tiles.
        columns: the first, and the one behind the last; the parts have these alone.
        rows: the same; the parts begin before and end behind them, where their strips or tiles do.

    Raises:
        ValueError: the file ends before.
    """
    first, last = _range(columns, segments.side[0])
    top, bottom = _range(rows, segments.side[1])
    step = max(1, _BAND // row_bytes(segments, columns))
    left = first * segments.side[0]
    for row in range(top, bottom, step):
        part = _cut_out(file, segments, columns=(first, last), rows=(row, min(row + step, segments.down)))
        if (columns[0] - left, columns[1] - left) != (0, part.width):
            part = part.crop((columns[0] - left, 0, columns[1] - left, part.height))
        yield row * segments.side[1], part


def _range(pixels: tuple[int, int], side: int) -> tuple[int, int]:
    return pixels[0] // side, math.ceil(pixels[1] / side)


def _cut_out(file: BinaryIO, segments: Segments, *, columns: tuple[int, int], rows: tuple[int, int]) -> Image.Image:
    """Some strips or tiles beside and below each other, as an image of their own."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

    per_plane = segments.across * segments.down
    wanted = [
        plane * per_plane + row * segments.across + column
        for plane in range(segments.planes)
        for row in range(*rows)
        for column in range(*columns)
    ]
    pieces = []
    for index in wanted:
        file.seek(segments.offsets[index])
        pieces.append(file.read(segments.counts[index]))
        if len(pieces[-1]) < segments.counts[index]:
            raise ValueError("image file is truncated")
    header = segments.tags.prefix + (b"*\0" if segments.tags.prefix == b"II" else b"\0*")
    tags = ImageFileDirectory_v2(header + bytes(4))
    for tag in _KEPT:
        if tag in segments.tags:
            tags.tagtype[tag] = segments.tags.tagtype[tag]
            tags[tag] = segments.tags[tag]
    tags[_WIDTH] = min(columns[1] * segments.side[0], segments.size[0]) - columns[0] * segments.side[0]
    tags[_HEIGHT] = min(rows[1] * segments.side[1], segments.size[1]) - rows[0] * segments.side[1]
    if segments.tiled:
        tags[_TILE_WIDTH], tags[_TILE_HEIGHT] = segments.side
    else:
        tags[_ROWS] = segments.side[1]
    offsets, counts = (_TILE_OFFSETS, _TILE_COUNTS) if segments.tiled else (_OFFSETS, _COUNTS)
    tags.tagtype[offsets] = tags.tagtype[counts] = _LONG
    tags[counts] = tuple(map(len, pieces))
    tags[offsets] = tuple(accumulate(map(len, pieces[:-1]), initial=0))
    start = len(header) + 4
    if segments.tiled:  # Pillow counts the places of strips from the end of the tags itself
        behind = start + len(tags.tobytes(start))
        tags[offsets] = tuple(behind + place for place in _as_tuple(tags[offsets]))
    place = start.to_bytes(4, "little" if segments.tags.prefix == b"II" else "big")
    image = TiffImageFile(io.BytesIO(b"".join((header, place, tags.tobytes(start), *pieces))))
    image.load()
    return image


def _as_tuple(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)
