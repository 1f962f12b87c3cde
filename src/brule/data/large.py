"""Images of hundreds of megapixels, as scanners of slides and herbaria make them: read in bands, with bounded memory.

Pillow decodes a file in one piece, four bytes per pixel. A PNG is taken apart here: some rows at a time become a PNG of their
own, before which the last row of the band above is put, since rows are stored as differences from the one above. Rows of
PNM are read as they are; strips and tiles of TIFF are taken apart in :mod:`brule.data.tiff`. JPEG decoders shrink while they
decode. Other kinds are decoded in one piece up to a limit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

import numpy as np
from PIL import Image, UnidentifiedImageError

from brule.data.pixels import UPRIGHT, deep_to_8bit, finite_extremes, rgb
from brule.data.png import exactly, png_bands, png_of
from brule.data.tiff import Segments, row_bytes, segment_bands, segments_of
from brule.errors import DataError

LARGE = 2**26  # pixels: up to here an image is decoded in one piece
MAX_SIDE = 200_000  # pixels
MAX_PIXELS = 2**33  # of an image that is read in bands
MAX_BYTES = 2**30  # of a decoded image

_BAND = 2**24  # bytes
_MARGIN = 32  # blocks beside a box: the filter that shrinks further looks at up to 24
_RAW_MODES = {"L": 1, "RGB": 3}  # bytes per pixel
_TURNED = 0x0112  # TIFF's tag of the orientation
_WAYS = (
    "save it as PNG (not interlaced, 8 bits), JPEG or TIFF (strips or tiles, colour of 8 bits), which are read in parts, "
    "or make it smaller"
)
_MAX_KNOWN = 10_000
_known_extremes: dict[tuple[str, int, int], tuple[float, float]] = {}
Window = tuple[int, int, int, int]  # left, top, right, bottom


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
    """Whether an open file has more pixels than are decoded in one piece."""
    return image.width * image.height > LARGE


def in_parts(image: Image.Image) -> bool:
    """Whether an open file is to be read in bands; JPEG decoders shrink large ones instead."""
    return is_large(image) and image.format not in ("JPEG", "MPO")


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


def bands(path: Path, image: Image.Image, window: Window | None = None) -> Iterator[tuple[int, Image.Image]]:
    """The parts of an image one below the other, each with its first row.

    Args:
        path: its file.
        image: the open file, as it is stored.
        window: left, top, right, bottom of what is wanted; by default all of it. The parts have its columns alone; rows above
            and below it may be among them.

    Raises:
        DataError: it can only be decoded in one piece, and that takes more memory than :data:`MAX_BYTES`.
    """
    left, top, right, bottom = window or (0, 0, *stored_size(image))
    with path.open("rb") as file:
        png = png_of(file) if image.format == "PNG" else None
        segments, strips = segments_of(image), _strips(image)
        if segments is not None:
            _check_segments(path, segments, (left, right))
            yield from segment_bands(file, segments, columns=(left, right), rows=(top, bottom))
            return
        if png is not None:
            file.seek(png.data)
            found = png_bands(file, png)
        elif strips:
            found = _raw_bands(file, image, strips)
        else:
            check_memory(path, image)
            image.load()
            found = iter([(0, image)])
        for start, part in found:
            yield start, part if (left, right) == (0, part.width) else part.crop((left, 0, right, part.height))
            if start + part.height >= bottom and window is not None:
                return


def block_for(width: int, height: int, factor: float) -> int:
    """Pixels a block along each axis, if ``factor`` of the size of a whole image is enough, or as much as memory allows."""
    wanted = int(1 / (2 * min(1.0, factor)))
    return max(1, wanted, math.ceil(math.sqrt(3 * width * height / (MAX_BYTES / 2))))


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an open file as it is read in bands; of TIFF, Pillow gives those of the upright image."""
    segments = segments_of(image)
    return image.size if segments is None else segments.size


def stored_orientation(image: Image.Image, orientation: int) -> int:
    """How what :func:`bands` gives has to be turned to be upright, if EXIF data say ``orientation`` of the open file.

    Pillow turns TIFF files itself where it decodes them in one piece.
    """
    if image.format != "TIFF":
        return orientation
    segments = segments_of(image)
    value = 1 if segments is None else segments.tags.get(_TURNED, 1)
    return value if value in range(1, 9) else 1


def region(
    path: Path, image: Image.Image, edges: tuple[float, float, float, float], *, block: int, orientation: int = 1
) -> tuple[Image.Image, int, int]:
    """The part of a large image under a box and about it, shrunk by whole blocks; read band by band.

    Args:
        path: its file.
        image: the open file, as it is stored.
        edges: the box, from the corner of the upright image.
        block: pixels per block along each axis.
        orientation: how the stored image is to be turned (:func:`stored_orientation`).

    Returns:
        RGB, upright, and x and y of its corner in the upright image.
    """
    width, height = stored_size(image)
    swapped, mirrored = orientation >= 5, (orientation in (2, 3, 7, 8), orientation in (3, 4, 6, 7))
    own = (edges[1], edges[0], edges[3], edges[2]) if swapped else edges
    columns = _blocks_under((own[0], own[2]), width, block)
    rows = _blocks_under((own[1], own[3]), height, block)
    left, right = (width - columns[1], width - columns[0]) if mirrored[0] else columns
    top, bottom = (height - rows[1], height - rows[0]) if mirrored[1] else rows
    parts = []
    found = bands(path, image, (left, top, right, bottom))
    for start, band in _in_blocks(found, block, first=height % block if mirrored[1] else 0):
        low, high = max(top, start), min(bottom, start + band.height)
        if low < high:
            part = (
                band if (low, high) == (start, start + band.height) else band.crop((0, low - start, band.width, high - start))
            )
            parts.append(_blocks(part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored[0] else part, block))
    joined = np.concatenate(parts)[:, :: -1 if mirrored[0] else 1]
    del parts  # a whole image of the finest block is large
    plain = np.ascontiguousarray(joined if joined.ndim == 3 else deep_to_8bit(joined, _extremes(path, image)))
    piece = Image.fromarray(plain) if plain.ndim == 3 else Image.fromarray(plain).convert("RGB")
    x, y = (rows[0], columns[0]) if swapped else (columns[0], rows[0])
    return (piece.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else piece), x, y


def _extremes(path: Path, image: Image.Image) -> tuple[float, float]:
    """The least and the largest value of an image of one channel: what is white doesn't depend on the part that is read."""
    status = path.stat()
    key = (os.path.abspath(path), status.st_mtime_ns, status.st_size)
    if key not in _known_extremes:
        found = [finite_extremes(np.asarray(_plain(part))) for _, part in bands(path, image)]
        if len(_known_extremes) >= _MAX_KNOWN:
            _known_extremes.clear()
        _known_extremes[key] = min(low for low, _ in found), max(high for _, high in found)
    return _known_extremes[key]


def _blocks_under(edges: tuple[float, float], side: int, block: int) -> tuple[int, int]:
    """The pixels from whole blocks under two edges and about them, along an axis that isn't mirrored any more."""
    first, last = (math.floor(edge / block) * block for edge in (edges[0] - _MARGIN * block, edges[1] + _MARGIN * block))
    first = min(max(0, first), (side - 1) // block * block)
    return first, min(side, max(last, first + 1))


def _in_blocks(found: Iterator[tuple[int, Image.Image]], block: int, *, first: int) -> Iterator[tuple[int, Image.Image]]:
    """Bands that begin where blocks do, as :func:`_plain` has them.

    Args:
        found: bands, one below the other.
        block: rows per block.
        first: rows of the first block, if it has fewer: in an image that is to be mirrored, the last one is whole.
    """
    rest: Image.Image | None = None
    start = 0
    for top, part in found:
        part = _plain(part)
        if rest is None:
            start = top if top == 0 else first + math.ceil((top - first) / block) * block
            whole = part if start == top else part.crop((0, start - top, part.width, part.height))
        elif not rest.height:
            whole = part
        else:
            whole = Image.new(part.mode, (part.width, rest.height + part.height))
            whole.paste(rest, (0, 0))
            whole.paste(part, (0, rest.height))
        end = start + whole.height
        for cut in (first, first + (end - first) // block * block):
            if start < cut <= end:
                yield start, whole.crop((0, 0, whole.width, cut - start))
                whole, start = whole.crop((0, cut - start, whole.width, whole.height)), cut
        rest = whole
    if rest is not None and rest.height:
        yield start, rest


class _Strip(NamedTuple):
    """Rows of pixels that lie in a file as they are."""

    top: int
    bottom: int
    offset: int


def _strips(image: Image.Image) -> list[_Strip]:
    """Where the rows of an open file other than TIFF are, from top to bottom; empty if they are compressed."""
    if image.mode not in _RAW_MODES or image.format == "TIFF":
        return []
    found: list[_Strip] = []
    for codec, extents, offset, args in getattr(image, "tile", ()):
        left, top, right, bottom = extents
        mode, *rest = args if isinstance(args, tuple) else (args,)
        whole = codec == "raw" and (left, right) == (0, image.width) and mode == image.mode and rest in ([], [0, 1])
        if not whole or top != (found[-1].bottom if found else 0):
            return []
        found.append(_Strip(top, bottom, offset))
    return found if found and found[-1].bottom == image.height else []


def _raw_bands(file: BinaryIO, image: Image.Image, strips: list[_Strip]) -> Iterator[tuple[int, Image.Image]]:
    stride = image.width * _RAW_MODES[image.mode]
    count = max(1, _BAND // stride)
    for top in range(0, image.height, count):
        bottom = min(top + count, image.height)
        data = bytearray()
        for strip in strips:
            low, high = max(top, strip.top), min(bottom, strip.bottom)
            if low < high:
                file.seek(strip.offset + (low - strip.top) * stride)
                data += exactly(file, (high - low) * stride)
        yield top, Image.frombytes(image.mode, (image.width, bottom - top), bytes(data), "raw", image.mode)


def _plain(part: Image.Image) -> Image.Image:
    """A part as RGB, or as one channel of 32 bits if it has more than 8."""
    if part.mode.startswith("I"):
        return part.convert("I")
    return part if part.mode in ("F", "RGB") and "transparency" not in part.info else rgb(part)


def _blocks(part: Image.Image, block: int) -> np.ndarray:
    """A part of an image, as :func:`_plain` has it, as the means of its blocks: RGB, or the values of its channel."""
    if part.mode == "RGB":
        return np.asarray(part.reduce(block))
    values = np.asarray(part).astype(np.float32)
    rows, columns = np.arange(0, values.shape[0], block), np.arange(0, values.shape[1], block)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    counts = np.diff([*rows, values.shape[0]])[:, None] * np.diff([*columns, values.shape[1]])
    return sums / counts if part.mode == "F" else np.rint(sums / counts).astype(np.int32)


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
            f"{image.format}; {_WAYS}"
        )


def _check_segments(path: Path, segments: Segments, columns: tuple[int, int]) -> None:
    """Refuse strips or tiles one of whose rows takes more memory than :data:`MAX_BYTES`.

    Raises:
        DataError: it does.
    """
    needed = row_bytes(segments, columns)
    if needed > MAX_BYTES:
        width, height = segments.side
        raise DataError(
            f"{path}: is compressed in pieces of {width:,} × {height:,} pixels, which take {needed / 2**30:.1f} GiB to decode; "
            f"save it in smaller strips or tiles (`tiffcp -r 16 {path.name} smaller.tif`), or make it smaller"
        )
