"""The rows of PNG files: some at a time become a PNG of their own, in memory, which Pillow decodes.

Rows are stored as differences from the one above, so the last row of the part above is put before them.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from PIL import Image

_BAND = 2**24  # bytes
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type
_KEPT = (b"PLTE", b"tRNS")  # chunks that decide what a pixel's value means


class Png(NamedTuple):
    """The header of a PNG: what its rows look like."""

    width: int
    height: int
    depth: int
    colour: int
    kept: bytes
    data: int  # where the pixels start

    @property
    def stride(self) -> int:
        """Bytes per row, with the one for its filter."""
        return 1 + self.width * _CHANNELS[self.colour] * self.depth // 8


def png_of(file: BinaryIO) -> Png | None:
    """The header of a PNG whose rows can be taken apart; None for one that is interlaced or of another depth."""
    if file.read(8) != _SIGNATURE:
        return None
    header, kept = None, b""
    while True:
        length, kind = struct.unpack(">I4s", exactly(file, 8))
        if kind == b"IDAT":
            place = file.tell() - 8
            break
        data = exactly(file, length + 4)
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", data[:13])
        elif kind in _KEPT:
            kept += struct.pack(">I4s", length, kind) + data
    if header is None:
        return None
    width, height, depth, colour, _, _, interlaced = header
    whole = depth == 8 or (depth == 16 and colour == 0)
    return Png(width, height, depth, colour, kept, place) if whole and not interlaced and colour in _CHANNELS else None


def png_bands(file: BinaryIO, png: Png) -> Iterator[tuple[int, Image.Image]]:
    """The parts of a PNG one below the other, each with its first row.

    Args:
        file: the open file, at the first of its chunks of pixels.
        png: its header.

    Raises:
        ValueError: the file ends before.
    """
    count = max(1, _BAND // png.stride)
    above = b""
    stream = _Inflated(file)
    for top in range(0, png.height, count):
        own = min(count, png.height - top)
        part = _decoded(png, above, stream.read(own * png.stride), rows=own)
        last = part.crop((0, own - 1, png.width, own)).tobytes()
        if png.depth == 16:  # Pillow keeps the lower byte first, PNG the upper one
            swapped = bytearray(last)
            swapped[::2], swapped[1::2] = last[1::2], last[::2]
            last = bytes(swapped)
        above = b"\0" + last
        yield top, part


def _decoded(png: Png, above: bytes, filtered: bytes, *, rows: int) -> Image.Image:
    """Rows of a PNG, as an image; ``above`` is the row above, unfiltered, if there is one."""
    height = rows + bool(above)
    header = struct.pack(">IIBBBBB", png.width, height, png.depth, png.colour, 0, 0, 0)
    pixels = zlib.compress(above + filtered, 0)
    content = _SIGNATURE + _chunk(b"IHDR", header) + png.kept + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    image = open_bytes(content)
    image.load()
    return image.crop((0, 1, png.width, height)) if above else image


def open_bytes(content: bytes) -> Image.Image:
    """A PNG in memory, whatever its size."""
    from PIL.PngImagePlugin import PngImageFile

    return PngImageFile(io.BytesIO(content))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


class _Inflated:
    """The decompressed pixels of a PNG, read as far as they are asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj()

    def read(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            ValueError: the file ends before.
        """
        found = bytearray()
        while len(found) < count:
            packed = self._inflate.unconsumed_tail or self._next()
            found += self._inflate.decompress(packed, count - len(found))
            if self._inflate.eof and len(found) < count:
                raise ValueError("image file is truncated")
        return bytes(found)

    def _next(self) -> bytes:
        length, kind = struct.unpack(">I4s", exactly(self._file, 8))
        if kind != b"IDAT":
            raise ValueError("image file is truncated")
        return exactly(self._file, length + 4)[:-4]


def exactly(file: BinaryIO, count: int) -> bytes:
    """The next bytes of a file.

    Raises:
        ValueError: it ends before.
    """
    data = file.read(count) if count < 2**31 else b""
    if len(data) < count:
        raise ValueError("image file is truncated")
    return data
