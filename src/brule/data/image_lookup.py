"""Find the images that an annotation file names, also when it was written on another machine."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import parse_qs, unquote, urlsplit

from brule.data.discovery import find_files
from brule.data.images import IMAGE_SUFFIXES, image_size
from brule.errors import DataError

# Label Studio puts this before the name of what is uploaded.
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")


class ImageFinder:
    """Finds images by the names in one annotation file.

    A name is looked up, in this order: as it stands, from the file's folder; without its first folders, from there; and,
    if none of its folders exists here, by its last part alone among the images known and those below the file's folder.

    Args:
        file: the annotation file.
        images: images that are known already.
    """

    def __init__(self, file: Path, images: Iterable[Path] = ()) -> None:
        self._file = file
        self._folder = file.parent
        self._known = list(images)
        self._by_name: dict[str, list[Path]] | None = None
        self._taken: dict[Path, str] = {}

    def find(self, name: str) -> Path:
        """The image of that name.

        Raises:
            DataError: there is none, or several could be meant; the message says what to do.
        """
        parts = _parts(name)
        for start in range(len(parts)):
            candidate = self._folder.joinpath(*parts[start:]) if start or not _is_absolute(name) else Path(name)
            if os.path.isfile(candidate):
                return self._take(Path(os.path.normpath(candidate)), name)
        if len(parts) > 1 and not _is_absolute(name) and os.path.isdir(self._folder / parts[0]):
            raise self._missing(name)
        return self._take(self._by_last_part(name, parts), name)

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of the image of that name.

        Raises:
            DataError: it isn't found, or is broken.
        """
        try:
            return image_size(self.find(name))
        except DataError as error:
            raise DataError(f"{self._file}: {str(error).removeprefix(f'{self._file}: ')}") from error

    def _by_last_part(self, name: str, parts: list[str]) -> Path:
        if self._by_name is None:
            self._by_name = defaultdict(list)
            below = find_files(self._folder, IMAGE_SUFFIXES) if self._folder.is_dir() else []
            for path in {os.path.abspath(image): image for image in [*self._known, *below]}.values():
                self._by_name[unicodedata.normalize("NFC", path.name)].append(path)
        last = unicodedata.normalize("NFC", parts[-1]) if parts else ""
        found = self._by_name.get(last) or self._by_name.get(_UPLOAD.sub("", last, count=1)) or []
        if not found:
            raise self._missing(name)
        best = max(_common_tail(path, parts) for path in found)
        found = [path for path in found if _common_tail(path, parts) == best]
        if len(found) > 1:
            raise DataError(
                f"{self._file}: the image {_quoted(name)} could be {found[0]} or {found[1]}; write paths relative to the "
                "annotation file into it"
            )
        return found[0]

    def _take(self, path: Path, name: str) -> Path:
        other = self._taken.setdefault(path, name)
        if _parts(other) != _parts(name):
            raise DataError(
                f"{self._file}: the images {_quoted(other)} and {_quoted(name)} both lead to {path}; put the images where the "
                "file says they are"
            )
        return path

    def _missing(self, name: str) -> DataError:
        return DataError(
            f"{self._file}: the image {_quoted(name)} isn't there, neither relative to this file nor by its name anywhere "
            f"below {self._folder}; put it there, or give the folder of the images together with this file"
        )


def _parts(name: str) -> list[str]:
    """The parts of a path or address, whatever system it was written on; without drive and root."""
    if "://" in name or name.startswith("/data/"):
        address = urlsplit(name)
        query = parse_qs(address.query).get("d")
        name = unquote(query[0] if query else address.path)
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        path: PurePosixPath | PureWindowsPath = PureWindowsPath(name)
    else:
        path = PurePosixPath(name)
    return [part for part in path.parts if part not in (path.anchor, ".", "/", "\\")]


def _is_absolute(name: str) -> bool:
    return os.path.isabs(name)


def _common_tail(path: Path, parts: list[str]) -> int:
    """How many folders above the file the two paths share."""
    count = 0
    for own, other in zip(reversed(path.parts[:-1]), reversed(parts[:-1]), strict=False):
        if own != other:
            break
        count += 1
    return count


def _quoted(name: str) -> str:
    return repr(name if len(name) <= 120 else "…" + name[-119:])
