"""Images of hundreds of megapixels, as scanners of slides and herbaria make them: read in bands, with bounded memory.

Pillow decodes a file in one piece, four bytes a pixel. A PNG is taken apart here: some rows at a time become a PNG of their
own, before which the last row of the band above is put, since rows are stored as differences from the one above. Rows that
aren't compressed (TIFF, PNM) are read as they are. JPEG decoders shrink while they decode. Other kinds are decoded in one piece
up to a limit.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

import numpy as np
from PIL import Image, UnidentifiedImageError

from brule.data.pixels import deep_to_8bit, rgb
from brule.errors import DataError

LARGE = 2**26  # pixels: up to here an image is decoded in one piece
MAX_SIDE = 200_000  # pixels
MAX_PIXELS = 2**33  # of an image that is read in bands
MAX_BYTES = 2**30  # of a decoded image

_BAND = 2**24  # bytes
_MARGIN = 32  # blocks beside a box: the filter that shrinks further looks at up to 24
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type of PNG
_RAW_MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "I;16": 2, "I;16B": 2}  # bytes per pixel
_TURNED = 0x0112  # TIFF's tag of the orientation
_KEPT = (b"PLTE", b"tRNS")  # chunks that decide what a pixel's value means


class _Png(NamedTuple):
    """The header of a PNG: what its rows look like."""

    width: int
    height: int
    depth: int
    colour: int
    kept: bytes
    data: int  # where the pixels start

    @property
    def stride(self) -> int:
        """Bytes a row, with the one for its filter."""
        return 1 + self.width * _CHANNELS[self.colour] * self.depth // 8


def open_large(path: Path) -> Image.Image:
    """Open a file of more pixels than Pillow opens by itself, without decoding it.

    Raises:
        UnidentifiedImageError: it is no image.
    """
    Image.init()
    with path.open("rb") as file:
        prefix = file.read(16)
    for name in Image.ID:
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(prefix) is True:
            return factory(cast("IO[bytes]", str(path)), str(path))  # given a path, it closes the file itself
    raise UnidentifiedImageError(str(path))


def is_large(image: Image.Image) -> bool:
    """Whether an open file is to be read in bands, or shrunk while it is decoded."""
    return image.width * image.height > LARGE


def check_size(path: Path, image: Image.Image) -> None:
    """Refuse sizes beyond all images.

    Raises:
        DataError: the image is larger.
    """
    if max(image.size) > MAX_SIDE or image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"{path}: the image has {image.width:,} × {image.height:,} pixels; expected sides up to {MAX_SIDE:,} and at most "
            f"{MAX_PIXELS >> 30} × 2^30 pixels. Cut it into pieces, or make it smaller"
        )


def bands(path: Path, image: Image.Image, *, rows: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """The parts of an image one below the other, each with its first row.

    Args:
        path: its file.
        image: the open file, as it is stored.
        rows: what the height of all parts but the last is a multiple of.

    Raises:
        DataError: it can only be decoded in one piece, and that takes more memory than :data:`MAX_BYTES`.
    """
    with path.open("rb") as file:
        png = _png(file) if image.format == "PNG" else None
        strips = _strips(image)
        if png is not None:
            file.seek(png.data)
            yield from _png_bands(file, png, rows)
        elif strips:
            yield from _raw_bands(file, image, strips, rows=rows)
        else:
            check_memory(path, image)
            image.load()
            yield 0, image


def region(
    path: Path, image: Image.Image, edges: tuple[float, float, float, float], *, block: int
) -> tuple[Image.Image, int, int]:
    """The part of a large image under a box and about it, shrunk by whole blocks; read band by band.

    Args:
        path: its file.
        image: the open file, as it is stored.
        edges: the box, from the image's corner.
        block: pixels a block along each axis.

    Returns:
        RGB, and x and y of its corner.
    """
    left, right = (math.floor(edge / block) * block for edge in (edges[0] - _MARGIN * block, edges[2] + _MARGIN * block))
    top, bottom = (math.floor(edge / block) * block for edge in (edges[1] - _MARGIN * block, edges[3] + _MARGIN * block))
    left, top = (min(max(0, low), (side - 1) // block * block) for low, side in ((left, image.width), (top, image.height)))
    right, bottom = min(image.width, max(right, left + 1)), min(image.height, max(bottom, top + 1))
    parts = []
    for start, band in bands(path, image, rows=block):
        low, high = max(top, start), min(bottom, start + band.height)
        if low < high:
            part = band.crop((left, low - start, right, high - start))
            parts.append(np.asarray(_blocks(part, block)))
        if start + band.height >= bottom:
            break
    joined = np.concatenate(parts)
    return Image.fromarray(joined if joined.ndim == 3 else deep_to_8bit(joined)).convert("RGB"), left, top


class _Strip(NamedTuple):
    """Rows of pixels that lie in a file as they are."""

    top: int
    bottom: int
    offset: int


def _strips(image: Image.Image) -> list[_Strip]:
    """Where the rows of an open file are, from top to bottom; empty if they are compressed, in tiles, or turned."""
    if image.mode not in _RAW_MODES or getattr(image, "tag_v2", {}).get(_TURNED, 1) != 1:
        return []
    found: list[_Strip] = []
    for codec, extents, offset, args in getattr(image, "tile", ()):
        left, top, right, bottom = extents
        mode, *rest = args if isinstance(args, tuple) else (args,)
        whole = codec == "raw" and (left, right) == (0, image.width) and mode in (image.mode, "I;16B") and rest in ([], [0, 1])
        if not whole or top != (found[-1].bottom if found else 0):
            return []
        found.append(_Strip(top, bottom, offset))
    return found if found and found[-1].bottom == image.height else []


def _raw_bands(file: BinaryIO, image: Image.Image, strips: list[_Strip], *, rows: int) -> Iterator[tuple[int, Image.Image]]:
    stride = image.width * _RAW_MODES[image.mode]
    mode = "I;16B" if image.tile[0][3][0] == "I;16B" else image.mode  # type: ignore[attr-defined]
    count = max(rows, _BAND // stride // rows * rows)
    for top in range(0, image.height, count):
        bottom = min(top + count, image.height)
        data = bytearray()
        for strip in strips:
            low, high = max(top, strip.top), min(bottom, strip.bottom)
            if low < high:
                file.seek(strip.offset + (low - strip.top) * stride)
                data += _exactly(file, (high - low) * stride)
        yield top, Image.frombytes(image.mode, (image.width, bottom - top), bytes(data), "raw", mode)


def _blocks(part: Image.Image, block: int) -> Image.Image | np.ndarray:
    """A part of an image as the means of its blocks: RGB, or the values of one channel of more than 8 bits."""
    if not part.mode.startswith(("I", "F")):
        return rgb(part).reduce(block)
    values = np.asarray(part).astype(np.float32)
    rows, columns = np.arange(0, values.shape[0], block), np.arange(0, values.shape[1], block)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    counts = np.diff([*rows, values.shape[0]])[:, None] * np.diff([*columns, values.shape[1]])
    return np.rint(sums / counts).astype(np.uint16)


def check_memory(path: Path, image: Image.Image, *, as_rgb: bool = False) -> None:
    """Refuse to decode in one piece what takes more memory than :data:`MAX_BYTES`.

    Raises:
        DataError: it does, as it is stored or ``as_rgb``.
    """
    per_pixel = 4 if as_rgb else 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4
    needed = image.width * image.height * per_pixel
    if needed > MAX_BYTES:
        raise DataError(
            f"{path}: the image of {image.width:,} × {image.height:,} pixels takes {needed / 2**30:.1f} GiB to decode as "
            f"{image.format}; save it as PNG (not interlaced, 8 bits), JPEG or uncompressed TIFF, which are read in parts, or "
            "make it smaller"
        )


def _png(file: BinaryIO) -> _Png | None:
    """The header of a PNG whose rows can be taken apart; None for one that is interlaced or of another depth."""
    if file.read(8) != _SIGNATURE:
        return None
    header, kept = None, b""
    while True:
        length, kind = struct.unpack(">I4s", _exactly(file, 8))
        if kind == b"IDAT":
            place = file.tell() - 8
            break
        data = _exactly(file, length + 4)
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", data[:13])
        elif kind in _KEPT:
            kept += struct.pack(">I4s", length, kind) + data
    if header is None:
        return None
    width, height, depth, colour, _, _, interlaced = header
    whole = depth == 8 or (depth == 16 and colour == 0)
    return _Png(width, height, depth, colour, kept, place) if whole and not interlaced and colour in _CHANNELS else None


def _png_bands(file: BinaryIO, png: _Png, rows: int) -> Iterator[tuple[int, Image.Image]]:
    count = max(rows, _BAND // png.stride // rows * rows)
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


def _decoded(png: _Png, above: bytes, filtered: bytes, *, rows: int) -> Image.Image:
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
        length, kind = struct.unpack(">I4s", _exactly(self._file, 8))
        if kind != b"IDAT":
            raise ValueError("image file is truncated")
        return _exactly(self._file, length + 4)[:-4]


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count) if count < 2**31 else b""
    if len(data) < count:
        raise ValueError("image file is truncated")
    return data
