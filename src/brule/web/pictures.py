"""Images as the page shows them: previews, tiles and cut-outs as JPEG, decoded once and kept."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections import OrderedDict
from pathlib import Path

from PIL import Image

from brule.annotating.folders import ImageEntry
from brule.data.images import image_size, load_crop, load_image, load_part, load_reduced
from brule.data.large import LARGE
from brule.data.samples import Sample
from brule.errors import DataError, OutputError
from brule.files import atomic_write

SIZES = (256, 512, 1024, 2048, 4096)
TILE = 512
QUALITY = 88
MAX_DECODED = 384 << 20  # bytes of decoded images in memory
MAX_CACHED = 2 << 30  # bytes of previews on the disk


def levels_of(width: int, height: int) -> int:
    """How many times an image can be halved until one tile holds it, plus one."""
    count, longest = 1, max(width, height)
    while longest > TILE:
        longest, count = (longest + 1) // 2, count + 1
    return count


def etag(path: Path) -> str:
    """A text that changes when the file does.

    Raises:
        DataError: there is no such file.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


class Pictures:
    """Previews and tiles of a project's images.

    Args:
        cache: the folder to keep previews in.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._decoded: OrderedDict[tuple[str, str, int, int], Image.Image] = OrderedDict()
        self._guard = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}
        self._written = 0
        # Earlier sessions may have left more; a folder of many files takes a while to list.
        threading.Thread(target=_shrink, args=(cache, MAX_CACHED), name="previews", daemon=True).start()

    def view(self, entry: ImageEntry, size: int) -> bytes:
        """An image whose longer side is ``size`` pixels at most, as JPEG.

        Raises:
            DataError: it is missing or broken.
        """
        file = self._cache / entry.id[:2] / f"{entry.id}-{etag(entry.path)}-{size}.jpg"
        try:
            content = file.read_bytes()
            if content:
                return content
        except OSError:
            pass
        with self._one_at_a_time(entry.id):
            content = _jpeg(load_reduced(entry.path, size))
        self._keep(file, content)
        return content

    def tile(self, entry: ImageEntry, level: int, *, column: int, row: int) -> bytes:
        """A tile of an image that was halved ``level`` times, as JPEG.

        Raises:
            DataError: the image is missing or broken, or has no such tile.
        """
        image, first = self._rows(entry, level, row)
        left, top = column * TILE, row * TILE - first
        if left >= image.width or top >= image.height:
            raise DataError(f"there is no tile {column}, {row} at level {level}")
        return _jpeg(image.crop((left, top, min(left + TILE, image.width), min(top + TILE, image.height))))

    def cut_out(self, entry: ImageEntry, box: tuple[float, float, float, float], size: int) -> bytes:
        """A square part of an image, given in pixels, at ``size × size``, as JPEG.

        Raises:
            DataError: the image is missing or broken.
        """
        crop, _ = load_crop(Sample(entry.path, box=box), size, scale=1.0)
        return _jpeg(Image.fromarray(crop))

    def _rows(self, entry: ImageEntry, level: int, row: int) -> tuple[Image.Image, int]:
        """Rows of an image at a level, those of a row of tiles among them, and the number of the first.

        A large image is never decoded as a whole: what is kept is a level of at most a quarter of :data:`LARGE` pixels, or else
        a row of tiles.
        """
        width, height = image_size(entry.path)
        if level >= levels_of(width, height):
            raise DataError(f"there is no level {level} of {entry.shown}")
        large = width * height > LARGE
        alone = large and width * height > LARGE // 4 << 2 * level
        first = row * TILE if alone else 0
        if first << level >= height:
            raise DataError(f"there is no row {row} of tiles at level {level} of {entry.shown}")
        key = (entry.id, etag(entry.path), level, first)
        with self._one_at_a_time(entry.id):
            with self._guard:
                if key in self._decoded:
                    self._decoded.move_to_end(key)
                    return self._decoded[key], first
            window = (0, first << level, width, min(height, (first + TILE) << level) if alone else height)
            made = {level: load_part(entry.path, window, block=1 << level)} if large else _levels(entry.path, level)
            with self._guard:
                for number, one in made.items():
                    self._decoded[key[0], key[1], number, first] = one
                self._forget()
            return made[level], first

    def _forget(self) -> None:
        while len(self._decoded) > 1 and sum(3 * one.width * one.height for one in self._decoded.values()) > MAX_DECODED:
            self._decoded.popitem(last=False)

    def _one_at_a_time(self, image: str) -> threading.Lock:
        """The lock of an image, so that many requests for its tiles decode it once."""
        with self._guard:
            if len(self._busy) > 1000:
                self._busy = {key: lock for key, lock in self._busy.items() if lock.locked()}
            return self._busy.setdefault(image, threading.Lock())

    def _keep(self, file: Path, content: bytes) -> None:
        """Keep a preview, if there is room; a full disk is no reason not to show an image."""
        try:
            with atomic_write(file) as temporary:
                temporary.write_bytes(content)
        except (OutputError, OSError):
            return
        self._written += len(content)
        if self._written > MAX_CACHED // 8:
            self._written = 0
            _shrink(self._cache, MAX_CACHED)


def _levels(path: Path, level: int) -> dict[int, Image.Image]:
    """An image as it is, halved once, twice, and so on."""
    made = {0: load_image(path)}
    for number in range(1, level + 1):
        made[number] = made[number - 1].reduce(2)
    return made


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _shrink(folder: Path, limit: int) -> None:
    """Remove the oldest files of a folder until the rest is within the limit."""
    files = []
    for file in folder.rglob("*.jpg"):
        try:
            files.append((file.stat().st_mtime, file.stat().st_size, file))
        except OSError:
            continue
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= limit:
            return
        with contextlib.suppress(OSError):  # such as a folder that has become read-only
            file.unlink(missing_ok=True)
            total -= size
